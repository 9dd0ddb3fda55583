"""Tables for a terminal. What stands in a cell is text: nothing in it is markup or is obeyed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from streams.tools.cli.console import printable

LINE = 100
"""Characters of a line of prose."""


def listing(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return rows under their columns' names; only the last column breaks into lines."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != columns[-1])
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Return what is known of one thing, each fact behind its name."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(printable(value)))
    return table


def wrapped(head: str, items: Iterable[str], *, between: str = ", ") -> Iterator[str]:
    """Yield lines that list items behind what they are; none is broken, so one may be long."""
    line, is_first = head, True
    for item in items:
        more = item if is_first else f"{between}{item}"
        if not is_first and len(line) + len(more) >= LINE:
            yield line + between.rstrip()
            line, more = "  ", item
        line, is_first = line + more, False
    if not is_first:
        yield line
