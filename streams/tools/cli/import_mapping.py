"""Which column of a file holds what: as an export of its kind has it, as somebody says, or as its
heads let guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from shlex import quote

from streams.tools.cli.console import printable, say
from streams.tools.cli.tables import wrapped
from streams.tools.customer_import import customer_columns
from streams.tools.export_formats import ExportFormat, What, mapped, otherwise
from streams.tools.order_import import order_columns
from streams.tools.order_import.order_columns import ColumnError, columns, parse_map, positions

NONE = "-"
"""Instead of a column: none is read, though one was guessed."""

_FIELDS: Mapping[What, Sequence[str]] = {
    "orders": order_columns.FIELDS,
    "customers": customer_columns.FIELDS,
}
_GUESSES: Mapping[What, Callable[[Sequence[str], Mapping[str, str]], dict[str, str]]] = {
    "orders": order_columns.guess,
    "customers": customer_columns.guess,
}


def columns_of(
    header: Sequence[str],
    mapping: list[str],
    what: What,
    known: ExportFormat | None,
    *,
    by_address: bool,
) -> dict[str, int]:
    """Return the position of each field's column, and say what was found out. `known`: the export
    that it is. `by_address`: who ordered is known by the address where there is no number. Raises
    ColumnError."""
    given = parse_map(mapping, _FIELDS[what])
    found: dict[str, str] = {}
    if known is not None:
        found = mapped(known, header)
        say(f"recognised: {known.name}")
        if known.lacks:
            say(f"such a file lacks {known.lacks}")
    if not found:
        found = _GUESSES[what](header, given)
        if found:
            shown = (f"--map {name}={quote(printable(each))}" for name, each in found.items())
            for line in wrapped("guessed from the header: ", shown, between=" "):
                say(line)
        _say_what_consent_is(found)
    read = {name: column for name, column in {**found, **given}.items() if column != NONE}
    if what == "customers":
        return positions(header, read, [("customer_id", "email")])
    try:
        return columns(header, read, by_address=by_address)
    except ColumnError as error:
        raise ColumnError(f"{error}{_of_customers(header)}") from None


def _say_what_consent_is(guessed: Mapping[str, str]) -> None:
    """Whoever imports is to look at it: it is read as what somebody has agreed to, and when."""
    if "consent" not in guessed:
        return
    when = f", when that was said by {guessed['consent_time']}" if "consent_time" in guessed else ""
    say(printable(f"who wants advertising is known by {guessed['consent']}{when}"))
    say(f"  if that is wrong: --map consent=COLUMN, or --map consent={NONE} to read none")


def _of_customers(header: Sequence[str]) -> str:
    """Return what helps who imports customers, and has not said so."""
    there = customer_columns.guess(header, {})
    if not {"email", "customer_id"} & there.keys():
        return ""
    return "\nIf its rows are customers and not orders: --what customers"


def besides_of(
    header: Sequence[str], mapping: list[str], known: ExportFormat | None
) -> dict[str, list[int]]:
    """Return where some fields stand besides, unless somebody has said where they stand."""
    if known is None:
        return {}
    given = parse_map(mapping, _FIELDS[known.what])
    return {
        name: [header.index(column) for column in others if column not in given.values()]
        for name, others in otherwise(known, header).items()
        if name not in given
    }


def fields_by_position(
    found: Mapping[str, int], besides: Mapping[str, Sequence[int]]
) -> dict[int, str]:
    """Return what is read of the columns, by their positions."""
    more = {at: name for name, others in besides.items() for at in others}
    return {**more, **{at: name for name, at in found.items()}}
