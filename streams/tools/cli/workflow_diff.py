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
    from streams.tools.publish_plan import PublishPlan

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

    async def look() -> PublishPlan:
        from streams.tools.publish_plan import plan_publication_with_runs  # noqa: PLC0415  # see streams/tools/cli/__init__.py

        with progress("reading the customers") as bar:
            async with open_log(settings) as log:
                return await plan_publication_with_runs(log, files, language, bar.at)

    plan = run(look())
    if as_json:
        print_json(_data(plan))
    else:
        _show(plan, language)


def _show(plan: PublishPlan, language: Language) -> None:
    from streams.tools.workflow_files.changes.report import overview, report_lines  # noqa: PLC0415  # as above

    out = stdout()
    out.print(overview(plan.changes, plan.unchanged, plan.first, language))
    for change in plan.changes:
        outcomes = plan.outcomes.get(change.id, [])
        for kind, text in report_lines(change, plan.in_flight, outcomes, language):
            indent = "" if kind == "title" else "    " if kind == "held" else "  "
            line = f"{indent}{_MARKS.get(kind, '')}{printable(text)}"
            out.print(Text(line, style=_STYLES[kind]), soft_wrap=True)


def _data(plan: PublishPlan) -> dict[str, Any]:
    in_flight = plan.in_flight
    return {
        "published": not plan.first,
        "unchanged": plan.unchanged,
        "customers": in_flight.customers,
        "held": sum(in_flight.held.values()),
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
                    {**outcome._asdict(), "mail": [each._asdict() for each in outcome.mail]}
                    for outcome in plan.outcomes.get(change.id, [])
                ],
                "due": {
                    version: [to_rfc3339(first), to_rfc3339(last)]
                    for (name, version), (first, last) in in_flight.due.items()
                    if name == change.id
                },
            }
            for change in plan.changes
        ],
        "segments": dict(in_flight.segments),
    }
