"""`ritorno workflows diff`: what publishing would change, and for which runs in flight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from schemas.instant import to_rfc3339
from streams.messages.translations import Language
from streams.runtime.definitions import read_files
from streams.tools.cli.console import (
    ITALIAN,
    JsonFlag,
    LanguageOption,
    open_log,
    print_json,
    printable,
    progress,
    run,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from streams.tools.publish_plan import Prospect

_STYLES = {"title": "bold", "added": "green", "removed": "red", "changed": "yellow",
           "runs": "cyan", "held": "magenta", "note": "dim"}  # fmt: skip
_MARKS = {"added": "+ ", "removed": "− ", "changed": "~ "}


def diff(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Default: RITORNO_WORKFLOWS_DIR.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="As `publish --all`: also what is not enabled.")
    ] = False,
    language: LanguageOption = ITALIAN,
    as_json: JsonFlag = False,
) -> None:
    """Say what publishing DIR would change against what is live, also for the runs in flight."""
    settings = settings_of(context)
    files = read_files(directory or settings.workflows_dir, everything=everything)

    async def look() -> Prospect:
        from streams.tools.publish_plan import foresee_runs  # noqa: PLC0415  # see streams/tools/cli/__init__.py

        with progress("reading the customers") as bar:
            async with open_log(settings) as log:
                return await foresee_runs(log, files, language, bar.at)

    prospect = run(look())
    if as_json:
        print_json(_data(prospect))
    else:
        _show(prospect, language)


def _show(prospect: Prospect, language: Language) -> None:
    from streams.tools.workflow_files.changes.telling import overview, told  # noqa: PLC0415  # as above

    out = stdout()
    out.print(overview(prospect.changes, prospect.unchanged, prospect.first, language))
    for change in prospect.changes:
        fates = prospect.fates.get(change.id, [])
        for kind, text in told(change, prospect.flights, fates, language):
            indent = "" if kind == "title" else "    " if kind == "held" else "  "
            line = f"{indent}{_MARKS.get(kind, '')}{printable(text)}"
            out.print(Text(line, style=_STYLES[kind]), soft_wrap=True)


def _data(prospect: Prospect) -> dict[str, Any]:
    flights = prospect.flights
    return {
        "published": not prospect.first,
        "unchanged": prospect.unchanged,
        "customers": flights.customers,
        "held": sum(flights.held.values()),
        "changes": [
            {
                "id": change.id,
                "definition": change.definition,
                "kind": change.kind,
                "title": change.title,
                "old": change.old or None,
                "new": change.new or None,
                "alterations": [each._asdict() for each in change.alterations],
                "runs": [
                    {**fate._asdict(), "mail": [each._asdict() for each in fate.mail]}
                    for fate in prospect.fates.get(change.id, [])
                ],
                "due": {
                    version: [to_rfc3339(first), to_rfc3339(last)]
                    for (name, version), (first, last) in flights.due.items()
                    if name == change.id
                },
            }
            for change in prospect.changes
        ],
        "segments": dict(flights.segments),
    }
