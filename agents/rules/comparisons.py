"""Comparisons of a field's value with what a condition wants, by the field's type, as functions.

Nothing that is known or not known of a customer makes an answer fail: of what isn't known only
`is_not`, `not_in`, `lacks` and `known: false` are true, and a flag is false. A time test turns at
one instant: at exactly `60d` it is `longer_ago_than: 60d` and no more `within: 60d`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

from agents.rules.evaluation import EvaluationContext
from agents.rules.fields.field import Field, FieldType, Read
from agents.rules.local_time import day_begins
from agents.rules.values import READERS
from schemas.days import parse_day
from schemas.definitions.conditions import Test
from schemas.stored import NEVER

_YAML_NAMES = {"is_": "is", "one_of": "in"}
_EQUALITY = ("is", "is_not", "in", "not_in")
_ORDER = ("above", "at_least", "below", "at_most")
_TIME = ("within", "longer_ago_than")
_MEMBERS = ("contains", "lacks", "in", "not_in")

POSSIBLE: Mapping[FieldType, tuple[str, ...]] = {
    "text": (*_EQUALITY, "contains", "lacks", "known"),
    "number": (*_EQUALITY, *_ORDER, "known"),
    "money": (*_EQUALITY, *_ORDER, "known"),
    "flag": ("is", "is_not", "known"),
    "instant": (*_TIME, "known"),
    "date": (*_EQUALITY, *_TIME, "known"),
    "texts": (*_MEMBERS, "known"),
    "numbers": (*_MEMBERS, "known"),
}
"""Tests by type. Of several texts or numbers `in` asks whether any of them is among the given."""

_WORDS: Mapping[FieldType, str] = {
    "text": "a text",
    "number": "a number",
    "money": "an amount",
    "flag": "true or false",
    "instant": "a point in time",
    "date": "a date",
    "texts": "a set of texts",
    "numbers": "a set of numbers",
}

Answer = Callable[[Any], bool]
"""Of the field's value, which is known."""


class ComparisonError(ValueError):
    """Something is asked that the field can't answer; the text names value and what is possible."""


class Question(NamedTuple):
    """A test of one field as functions."""

    matches: Callable[[EvaluationContext], bool]
    changes: Callable[[EvaluationContext], int] | None
    """The earliest instant (ms) after now at which time alone may change the answer."""


def compile_test(field: Field, test: Test) -> Question:
    """Return the test of a field. Raises Wrong."""
    asked = {
        _YAML_NAMES.get(name, name): getattr(test, name) for name in sorted(test.model_fields_set)
    }
    if field.type == "any":
        field = _typed(field, asked)
    _check_possible(field, asked)
    parts = [_matches(field, name, wanted) for name, wanted in asked.items()]
    spans = [wanted for name, wanted in asked.items() if name in _TIME]
    thresholds = [float(asked[name]) for name in _ORDER if name in asked]
    return Question(
        parts[0] if len(parts) == 1 else lambda evaluation: all(part(evaluation) for part in parts),
        _changes(field, spans, thresholds),
    )


def possible(field: Field) -> tuple[str, ...]:
    """Return what may be asked of a field."""
    asked = POSSIBLE[field.type] if field.type != "any" else tuple(Test.model_fields)
    return tuple(name for name in asked if not (field.flows and name in _EQUALITY))


def _typed(field: Field, asked: Mapping[str, Any]) -> Field:
    """Take a field of unknown type as what it is asked for."""
    type_: FieldType = "text"
    if any(name in asked for name in _TIME):
        type_ = "date"
    elif any(name in asked for name in _ORDER):
        type_ = "number"
    else:
        wanted = next((asked[name] for name in ("is", "is_not") if name in asked), None)
        several = next((asked[name] for name in ("in", "not_in") if name in asked), [wanted])
        if isinstance(several[0], bool):
            type_ = "flag"
        elif isinstance(several[0], int | float):
            type_ = "number"
    convert = READERS[type_]
    return field._replace(type=type_, read=lambda evaluation: convert(field.read(evaluation)))


def _check_possible(field: Field, asked: Mapping[str, Any]) -> None:
    answered = possible(field)
    for name, wanted in asked.items():
        if name not in answered:
            what = "a number that changes all the time" if field.flows else _WORDS[field.type]
            raise ComparisonError(
                f"{name}: {_shown(wanted)} can't be asked, it is {what}; "
                f"possible: {', '.join(answered)}"
            )
        if wanted is None:
            raise ComparisonError(
                f"{name}: nothing is given; to ask for what isn't known: {{known: false}}"
            )


def _matches(field: Field, name: str, wanted: Any) -> Callable[[EvaluationContext], bool]:
    read = field.compared or field.read
    if name == "known":
        return partial(_is_known, read, wanted)
    if name in _TIME:
        moment = partial(_midnight, read) if field.type == "date" else read
        return partial(_lies_back, moment, wanted, name == "longer_ago_than")
    answer = _answer(field, name, wanted)
    if field.type == "flag":
        return lambda evaluation: answer(bool(read(evaluation)))
    unknown = name in ("is_not", "not_in", "lacks")

    def matches(evaluation: EvaluationContext) -> bool:
        value = read(evaluation)
        return unknown if value is None else answer(value)

    return matches


def _answer(field: Field, name: str, wanted: Any) -> Answer:
    several = isinstance(wanted, list)
    given = [_given(field, name, each) for each in (wanted if several else [wanted])]
    one = given[0]
    if field.type in ("texts", "numbers"):
        return _of_several(name, one, given)
    if field.type == "text" and name in ("contains", "lacks"):
        part = str(one).casefold()
        contains: Answer = lambda text: part in text.casefold()  # noqa: E731  # one of two ways to say it
        return contains if name == "contains" else lambda text: not contains(text)
    answers: Mapping[str, Answer] = {
        "is": lambda value: bool(value == one),
        "is_not": lambda value: bool(value != one),
        "in": lambda value: value in given,
        "not_in": lambda value: value not in given,
        "above": lambda value: bool(value > one),
        "at_least": lambda value: bool(value >= one),
        "below": lambda value: bool(value < one),
        "at_most": lambda value: bool(value <= one),
    }
    return answers[name]


def _of_several(name: str, one: Any, given: Sequence[Any]) -> Answer:
    answers: Mapping[str, Answer] = {
        "contains": lambda values: one in values,
        "lacks": lambda values: one not in values,
        "in": lambda values: any(each in values for each in given),
        "not_in": lambda values: not any(each in values for each in given),
    }
    return answers[name]


def _given(field: Field, name: str, wanted: Any) -> Any:
    """Return what is wanted as the field's values are. Raises Wrong when it is of another type."""
    is_number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    if field.type in ("number", "money", "numbers") and is_number and math.isfinite(wanted):
        return Decimal(str(wanted)) if field.type == "money" else wanted
    if field.type == "flag" and isinstance(wanted, bool):
        return wanted
    if field.type == "date" and isinstance(wanted, str) and (day := parse_day(wanted)):
        return day
    if field.type in ("text", "texts") and isinstance(wanted, str):
        _check_exists(field, name, wanted)
        return wanted
    example = {"text": 'write it in quotes: "…"', "texts": 'write it in quotes: "…"',
               "date": 'write "2026-12-25"'}.get(field.type, "")  # fmt: skip
    hint = f"; {example}" if example else ""
    raise ComparisonError(
        f"{name}: {_shown(wanted)} is given, but it is {_WORDS[field.type]}{hint}"
    )


def _check_exists(field: Field, name: str, wanted: str) -> None:
    partly = field.type == "text" and name in ("contains", "lacks")
    if field.values is None or wanted in field.values or partly:
        return
    near = get_close_matches(wanted, field.values, n=1)
    known = ", ".join(sorted(value for value in field.values if value)) or "none"
    hint = f"did you mean {near[0]}?" if near else f"there are: {known}"
    raise ComparisonError(f"{name}: it is never {_shown(wanted)}; {hint}")


def _is_known(read: Read, wanted: bool, evaluation: EvaluationContext) -> bool:
    value = read(evaluation)
    empty = value is None or (isinstance(value, str | Collection) and not value)
    return empty != wanted


def _lies_back(
    moment: Callable[[EvaluationContext], int | None],
    span: int,
    far: bool,
    evaluation: EvaluationContext,
) -> bool:
    instant = moment(evaluation)
    return instant is not None and (evaluation.now - instant >= span) == far


def _midnight(read: Read, evaluation: EvaluationContext) -> int | None:
    day = read(evaluation)
    return None if day is None else day_begins(day, evaluation.customer.profile.zone)


def _changes(
    field: Field, spans: Sequence[int], thresholds: Sequence[float]
) -> Callable[[EvaluationContext], int] | None:
    if spans:
        moment = partial(_midnight, field.read) if field.type == "date" else field.read
        return partial(_next_change, moment, spans)
    if field.changes is not None:
        changes = field.changes
        return lambda evaluation: changes(evaluation, thresholds)
    return None


def _next_change(
    moment: Callable[[EvaluationContext], int | None],
    spans: Sequence[int],
    evaluation: EvaluationContext,
) -> int:
    instant = moment(evaluation)
    earliest = NEVER
    if instant is not None:
        for span in spans:  # not a generator: this runs at each event
            if evaluation.now < instant + span < earliest:
                earliest = instant + span
    return earliest


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
