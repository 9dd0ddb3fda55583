"""`ritorno publish`: lines of a file become events of the log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from schemas.events.custom import CUSTOM
from streams.clock import SystemClock
from streams.log import Log
from streams.messages.plurals import several
from streams.runtime.bootstrap import provide_topics
from streams.runtime.factories import notation, record_signer
from streams.settings import Settings
from streams.tools.cli.console import (
    FAILURE,
    JsonFlag,
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
from streams.tools.event_types import near_own
from streams.tools.publisher import PublishReport, publish, read_lines

SHOWN = 20
"""Refused lines that are printed; more only hide the first ones."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("publish")(publish_file)


def publish_file(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="NDJSON, one event a line, also .gz; - for standard input.")
    ],
    dead_letter: Annotated[
        bool, typer.Option(help="Send lines that can't be read to dead-letters.")
    ] = True,
    from_line: Annotated[int, typer.Option(min=1, help="Go on from this line.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Publish events: CloudEvents, Segment calls or recorded lines, one JSON object a line.

    Ends with 1 when lines were refused; the others are published all the same.
    """
    settings = settings_of(context)

    async def publish_all() -> tuple[PublishReport, Mapping[str, int]]:
        with opened(file) as source, progress(f"publishing {file.name}", source.size) as bar:
            async with open_log(settings) as log:
                await provide_topics(log, settings)
                report = await publish(
                    log,
                    read_lines(source.stream, from_line=from_line),
                    clock=SystemClock(),
                    signer=lambda: record_signer(settings),
                    notation=notation(settings),
                    dead_letter=dead_letter,
                    on_progress=lambda _: bar.at(source.position()),
                )
                return report, await _undeclared(log, report.own, settings)

    report, undeclared = run(publish_all())
    _show(report, undeclared, as_json=as_json, dead_letter=dead_letter)
    if report.refused:
        raise typer.Exit(FAILURE)


async def _undeclared(log: Log, own: Mapping[str, int], settings: Settings) -> Mapping[str, int]:
    """Return those of the shop's own events that what is live doesn't declare."""
    if not own:
        return {}
    from streams.operate.declarations import declarations  # noqa: PLC0415  # pydantic models take a moment
    from streams.runtime.definitions import live_or_files  # noqa: PLC0415  # as above

    declared = declarations(await live_or_files(log, settings.workflows_dir)).events
    return {each: own[each] for each in own if each.removeprefix(CUSTOM) not in declared}


def _show(
    report: PublishReport, undeclared: Mapping[str, int], *, as_json: bool, dead_letter: bool
) -> None:
    if as_json:
        print_json(
            {
                "published": report.events,
                "refused": report.refused,
                "by_reason": report.by_reason,
                "own": report.own,
                "undeclared": undeclared,
                "examples": [example._asdict() for example in report.examples],
            }
        )
        return
    for example in report.examples[:SHOWN]:
        say(f"line {example.line}: {printable(example.detail)}")
    if report.refused > SHOWN:
        say(f"… and {report.refused - SHOWN} more")
    for type_, count in list(undeclared.items())[:SHOWN]:
        events = several(count, "event")
        hint = near_own(type_)
        say(f"{printable(type_)}: {events}, not in events.yaml, so only counted{hint}")
    stdout().print(f"{several(report.events, 'event')} published")
    if report.refused:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.by_reason.items())
        where = "in dead-letters (ritorno dead-letters list)" if dead_letter else "left out"
        say(f"{several(report.refused, 'line')} refused ({reasons}): {where}")
