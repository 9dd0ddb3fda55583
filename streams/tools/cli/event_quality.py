"""`ritorno events quality`: which producer sends what wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from schemas.durations import parse_duration
from schemas.instant import parse_instant, to_rfc3339
from streams.clock import SystemClock
from streams.messages.plurals import several
from streams.messages.translations import Language, message
from streams.settings import Settings
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    progress,
    run,
    say,
    settings_of,
    stdout,
)
from streams.tools.cli.files import opened
from streams.tools.publisher import read_lines

if TYPE_CHECKING:
    from agents.insights.event_quality import EventQuality, Occurrences, SourceQuality

_COLUMNS = ("event, field", "what is odd", "became", "events", "share", "first", "last",
            "for example")  # fmt: skip
_NUMBERS = frozenset({"events", "share"})


class _Row(NamedTuple):
    """One of the table's."""

    type: str
    field: str
    problem: str
    became: str
    seen: Occurrences
    share: float

    def cells(self) -> Iterator[str]:
        """Yield what stands in all columns but the last."""
        yield f"  {self.field}"
        yield self.problem
        yield self.became
        yield f"{self.seen.count:,}"
        yield f"{self.share:.1%}"
        for time in (self.seen.first, self.seen.last):
            yield to_rfc3339(time)[:10] if time else ""


def quality(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="NDJSON file of events, also .gz; - for stdin; the log if absent."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="From then on: a span such as 7d, 2026-03-01, or RFC 3339."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell which producer sends what wrongly: fields that were read otherwise than they were
    written or left out, and events that were refused, by source."""
    settings = settings_of(context)
    start = 0 if since is None else since_option(since)
    found = run(_of_log(settings, start)) if file is None else _of_file(file, start, settings)
    sources = sorted(found.sources.items())
    if as_json:
        for name, source in sources:
            print_json(_data(name, source))
    else:
        _show(sources)
    if found.beyond:
        say(f"{several(found.beyond, 'more field')} of further kinds are in no row")


def since_option(text: str) -> int:
    """Return from which instant on (ms). Raises UserError."""
    try:
        return SystemClock().now() - parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"--since {text}: neither a span such as 7d nor a time: {error}") from None


async def _of_log(settings: Settings, since: int) -> EventQuality:
    from streams.operate.declarations import declarations  # noqa: PLC0415  # as above
    from streams.operate.event_quality import read_event_quality  # noqa: PLC0415  # pydantic models take a moment
    from streams.runtime.definitions import live_or_files  # noqa: PLC0415  # as above
    from streams.runtime.factories import notation  # noqa: PLC0415  # as above

    with progress("reading the log") as bar:
        async with open_log(settings) as log:
            return await read_event_quality(
                log,
                since=since,
                on_progress=bar.at,
                notation=notation(settings),
                declared=declarations(await live_or_files(log, settings.workflows_dir)),
            )


def _of_file(path: Path, since: int, settings: Settings) -> EventQuality:
    from streams.operate.declarations import declarations  # noqa: PLC0415  # as above
    from streams.operate.event_quality import quality_of_lines  # noqa: PLC0415  # as above
    from streams.runtime.definitions import read_files  # noqa: PLC0415  # as above
    from streams.runtime.factories import notation  # noqa: PLC0415  # as above

    files = read_files(settings.workflows_dir).values()
    with opened(path) as source, progress(f"reading {path.name}", source.size) as bar:
        return quality_of_lines(
            read_lines(source.stream),
            since=since,
            report=lambda: bar.at(source.position()),
            notation=notation(settings),
            declared=declarations(files),
        )


def _show(sources: list[tuple[str, SourceQuality]]) -> None:
    out = stdout()
    if not sources:
        out.print("There are no events.")
        return
    for number, (name, source) in enumerate(sources):
        if number:
            out.print()
        out.print(Text(printable(name), style="bold").append(f"   {_summary(source)}", "not bold"))
        rows = [*_odd_rows(source), *_refused_rows(source), *_own_rows(source)]
        if rows:
            out.print(_table(rows))


def _summary(source: SourceQuality) -> str:
    refused = sum(each.count for each in source.refused.values())
    parts = [several(sum(source.events.values()), "event")]
    parts.append(f"{source.with_odd:,} with something odd" if source.with_odd else "nothing odd")
    if refused:
        parts.append(f"{refused:,} refused")
    return ", ".join(parts)


def _table(rows: list[_Row]) -> Table:
    """Return the rows, those of one type of event together; the type that has most comes first."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in _COLUMNS:
        last = name == _COLUMNS[-1]
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=not last)
    by_type: dict[str, list[_Row]] = {}
    for row in sorted(rows, key=lambda row: (-row.seen.count, row[:4])):
        by_type.setdefault(row.type, []).append(row)
    for type_, its in by_type.items():
        table.add_row(Text(printable(type_)))
        for row in its:
            examples = Text("\n".join(printable(each) for each in row.seen.examples))
            table.add_row(*(Text(printable(cell)) for cell in row.cells()), examples)
    return table


def _odd_rows(source: SourceQuality) -> Iterator[_Row]:
    for kind, seen in source.odd.items():
        problem = message(Language("en"), f"odd.problem.{kind.problem}")
        share = _share(seen.count, source.events[kind.type])
        yield _Row(kind.type, kind.field or "(more)", problem, kind.became, seen, share)


def _refused_rows(source: SourceQuality) -> Iterator[_Row]:
    refused = sum(each.count for each in source.refused.values())
    for kind, seen in source.refused.items():
        share = _share(seen.count, sum(source.events.values()) + refused)
        yield _Row(kind.type, "(the event)", kind.reason, "refused", seen, share)


def _own_rows(source: SourceQuality) -> Iterator[_Row]:
    for name, seen in sorted(source.own.items(), key=lambda row: (-row[1].count, row[0])):
        share = _share(seen.count, sum(source.events.values()))
        yield _Row(name, "(the event)", "not in events.yaml", "counted only", seen, share)


def _share(count: int, whole: int) -> float:
    return min(1.0, count / whole) if whole else 1.0


def _data(name: str, source: SourceQuality) -> dict[str, Any]:
    return {
        "source": name,
        "events": sum(source.events.values()),
        "events_with_odd_fields": source.with_odd,
        "odd_fields": [
            {
                "type": kind.type,
                "field": kind.field,
                "problem": kind.problem,
                "left_out": not kind.kept,
                **_seen(seen),
                "share": round(_share(seen.count, source.events[kind.type]), 6),
            }
            for kind, seen in sorted(source.odd.items())
        ],
        "refused": [
            {"type": kind.type, "reason": kind.reason, **_seen(seen)}
            for kind, seen in sorted(source.refused.items())
        ],
        "own_events": [{"type": name, **_seen(seen)} for name, seen in sorted(source.own.items())],
    }


def _seen(seen: Occurrences) -> dict[str, Any]:
    return {
        "count": seen.count,
        "first": to_rfc3339(seen.first) if seen.first else None,
        "last": to_rfc3339(seen.last) if seen.last else None,
        "examples": seen.examples,
    }
