"""What of an event was odd: read in another way than it was written, or left out.

An optional field never costs its event. What became of an odd one is noted beside the event, for
`explain`, the report of quality and the metrics; no decision hangs on it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from pydantic import TypeAdapter, ValidationError

Problem = Literal[
    "empty",
    "format",
    "kind",
    "unreadable",
    "range",
    "too_long",
    "several",
    "unknown_word",
    "missing",
    "assumed",
    "more",
]
"""Closed, so that it can be a label in metrics.

    empty         an empty text where nothing else can be meant than that there is none
    format        a value written in another way than ours, as `10,00`
    kind          another kind of value, as a list where a text is expected
    unreadable    what no value of the field is
    range         negative, too large or no number
    too_long      longer than the field holds
    several       more than one meaning, as two addresses, or `1,234`
    unknown_word  none of the words that the field knows
    missing       what a member of a list is known by, as the product of a line
    assumed       what was not said and had to be supposed, as the zone of a time
    more          stands for those beyond ODD_KEPT; the value is their number
"""

ODD_KEPT = 8
"""Odd fields that are noted one by one for an event; the rest is counted in one more."""
ODD_VALUE = 64
"""Characters of a value that are noted."""
ODD_FIELD = 200
"""Characters of a field's path that are noted."""

HEADER = "ritorno_odd"
"""Of a record that has the event in our own words: what was odd about the sender's."""


class OddField(NamedTuple):
    """One field of an event."""

    field: str
    """Where: `products.2.price`. Names are the model's, numbers places in lists, from 0."""
    value: str
    """What was given, as Python writes it, cut to ODD_VALUE characters."""
    problem: str
    """One of `Problem`."""
    kept: bool
    """Something else was taken for it; else it was left out."""

    @property
    def name(self) -> str:
        """The field without places in lists: `products.price`."""
        if "." not in self.field:
            return self.field
        return ".".join(part for part in self.field.split(".") if not part.isdecimal())


def shown(given: object) -> str:
    """Return a value as it is noted."""
    text = repr(given)
    return text if len(text) <= ODD_VALUE else text[: ODD_VALUE - 1] + "…"


def noted(odd: list[OddField]) -> tuple[OddField, ...]:
    """Return those that an event keeps: the ones that were left out come before the others."""
    if len(odd) <= ODD_KEPT:
        return tuple(odd)
    first = sorted(odd, key=lambda each: each.kept)  # stable: else in the order of the fields
    rest = first[ODD_KEPT:]
    return (*first[:ODD_KEPT], OddField("", str(len(rest)), "more", all(e.kept for e in rest)))


def header(odd: tuple[OddField, ...]) -> tuple[str, bytes]:
    """Return the header in which a record passes it on."""
    return HEADER, _LIST.dump_json(list(odd))


def of_header(text: bytes) -> tuple[OddField, ...]:
    """Read such a header. Of one that is none of ours nothing is left."""
    try:
        found = _LIST.validate_json(text)
    except ValidationError:
        return ()
    return tuple(
        OddField(each.field[:ODD_FIELD], each.value[:ODD_VALUE], each.problem, each.kept)
        for each in found[: ODD_KEPT + 1]
        if each.problem in PROBLEMS
    )


PROBLEMS = frozenset(get_args(Problem))

_LIST = TypeAdapter(list[OddField])
