"""`ritorno explain`: a customer's timeline in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from schemas.instant import to_rfc3339
from schemas.stored import NEVER
from streams.messages.translations import Language, message
from streams.settings import Settings
from streams.tools.cli.console import (
    ITALIAN,
    JsonFlag,
    LanguageOption,
    UserError,
    open_log,
    print_json,
    printable,
    progress,
    run,
    settings_of,
    stdout,
    without_answer,
)

if TYPE_CHECKING:
    from streams.operate.timeline import TimelineData, TimelineEntry

_COLOURS = {"sent": "green", "held": "yellow", "skipped": "dim", "converted": "bold green"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer or visitor id.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="What `ritorno replay --out` wrote; the log if absent."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="With --from: the events that the replay read.")
    ] = None,
    language: LanguageOption = ITALIAN,
    workflows_dir: Annotated[
        Path | None, typer.Option(help="Whose titles are used, with --from.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell what a customer did, what was decided and why, and what became of the mails."""
    if events is not None and source is None:
        raise UserError("--events belongs to --from; the log has its own")
    settings = settings_of(context, workflows_dir=workflows_dir)
    from streams.operate.timeline import TimelineError, describe  # noqa: PLC0415  # pydantic models take a moment

    try:
        if source is None:
            known, titles = run(_of_log(settings, customer, language))
        else:
            known, titles = _of_replay(settings, source, events, customer, language)
    except TimelineError as error:
        raise UserError(str(error)) from None
    lines = describe(known, titles, language)
    if not lines and not known.waiting:
        hint = "; --events FILE adds what the replay read" if source and events is None else ""
        raise UserError(f"nothing is known about {customer!r}{hint}")
    if as_json:
        print_json(_data(customer, known, lines))
    else:
        _show(known, lines, titles, language)


async def _of_log(
    settings: Settings, customer: str, language: Language
) -> tuple[TimelineData, Mapping[str, str]]:
    from streams.operate.declarations import declarations  # noqa: PLC0415  # as above
    from streams.operate.timeline import from_log, titles_of  # noqa: PLC0415  # as above
    from streams.runtime.definitions import read  # noqa: PLC0415  # as above
    from streams.runtime.factories import lookups_of, notation  # noqa: PLC0415  # as above

    with progress("reading the log") as bar:
        async with open_log(settings) as log:
            found = await from_log(
                log,
                customer,
                bar.at,
                notation=notation(settings),
                lookups=lookups_of(settings, log),
                told=without_answer,
            )
            published = await read(log)
    live = published.live_contents()
    found.declared = declarations(live)
    return found, titles_of([*published.definitions.values(), *live], language)


def _of_replay(
    settings: Settings, directory: Path, events: Path | None, customer: str, language: Language
) -> tuple[TimelineData, Mapping[str, str]]:
    from streams.operate.declarations import declarations  # noqa: PLC0415  # as above
    from streams.operate.timeline import from_replay, titles_of  # noqa: PLC0415  # as above
    from streams.runtime.definitions import read_files  # noqa: PLC0415  # as above
    from streams.runtime.factories import notation  # noqa: PLC0415  # as above

    files = read_files(settings.workflows_dir).values()
    everything = read_files(settings.workflows_dir, everything=True).values()
    titles = titles_of(everything, language)
    if events is None:
        return from_replay(directory, customer), titles
    try:
        with events.open("rb") as lines:
            found = from_replay(directory, customer, lines, notation(settings))
    except OSError as error:
        raise UserError(f"{events}: {error.strerror}") from None
    found.declared = declarations(files)
    return found, titles


def _data(customer: str, known: TimelineData, lines: list[TimelineEntry]) -> dict[str, object]:
    return {
        "customer": customer,
        "story": [_entry(line) for line in lines],
        "waiting": [
            {**each._asdict(), "due": None if each.due >= NEVER else to_rfc3339(each.due)}
            for each in known.waiting
        ],
    }


def _entry(line: TimelineEntry) -> dict[str, object]:
    entry = {**line._asdict(), "time": to_rfc3339(line.time)}
    if not line.odd:
        del entry["odd"]
    return entry


def _show(
    known: TimelineData, lines: list[TimelineEntry], titles: Mapping[str, str], language: Language
) -> None:
    from agents.rules.local_time import zone_of  # noqa: PLC0415  # as above
    from streams.operate.timeline import waits  # noqa: PLC0415  # as above

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for line in lines:
        style = "" if line.kind != "decision" else _COLOURS.get(line.type, "cyan")
        mark = "· " if line.kind == "decision" else ""
        table.add_row(_when(line.time, known.zone), Text(mark + printable(line.text), style=style))
        for odd in line.odd:
            table.add_row("", Text(f"  {printable(odd)}", style="yellow"))
    for each in sorted(known.waiting, key=lambda waiting: waiting.due):
        due = _when(each.due, known.zone) if each.due < NEVER else ""
        table.add_row(
            Text(message(language, "timeline.now"), style="bold"),
            printable(waits(each, titles, language, due)),
        )
    out = stdout()
    zone = str(zone_of(known.zone))
    out.print(message(language, "timeline.zone", zone=zone), style="dim", markup=False)
    out.print(table)


def _when(instant: int, zone: str) -> str:
    from agents.rules.local_time import local  # noqa: PLC0415  # as above

    return f"{local(instant, zone):%Y-%m-%d %H:%M}"
