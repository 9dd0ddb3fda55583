"""`ritorno hits`: how mails were received, workflow by workflow and step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.table import Table

from schemas.tracking import HitKind, Verdict
from streams.clock import SystemClock
from streams.settings import Settings
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    progress,
    run,
    say,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from agents.insights.engagement_statistics import Received, Reception, Step

DAY_MS = 86_400_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hits")(hits)


def hits(
    context: typer.Context,
    workflow: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Of the last so many days; else of all that is kept.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Count openings and clicks by step; nobody's name is in them, in whatever tracking mode."""
    settings = settings_of(context)
    since = 0 if days is None else SystemClock().now() - days * DAY_MS
    reception = run(_read(settings, since))
    found = [(step, received) for step, received in reception
             if workflow in (None, step.workflow)]  # fmt: skip
    if workflow is not None and not found:
        known = ", ".join(sorted({step.workflow for step, _ in reception})) or "there is none"
        raise UserError(f"no mail of a workflow {workflow!r} was decided or opened; known: {known}")
    if as_json:
        for step, received in found:
            print_json(_data(step, received))
    elif not found:
        stdout().print("No mail has been decided or opened yet.")
    else:
        stdout().print(_table(found))
        if any(received.anonymous for _, received in found):
            say("Anonymous hits are counted each: who opens a mail twice is in there twice.")


async def _read(settings: Settings, since: int) -> Reception:
    from streams.operate.engagement import read_reception  # noqa: PLC0415  # pydantic models take a moment

    with progress("reading the log") as bar:
        async with open_log(settings) as log:
            return await read_reception(log, since=since, on_progress=bar.at)


def _table(found: list[tuple[Step, Received]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for column in ("workflow", "step", "decided", "opened", "clicked", "perhaps", "machines",
                   "links"):  # fmt: skip
        numbers = column in ("decided", "opened", "clicked", "perhaps", "machines")
        table.add_column(column, justify="right" if numbers else "left")
    for step, received in found:
        counts = received.hits
        table.add_row(
            step.workflow,
            step.step,
            f"{received.decided:,}",
            f"{counts['open', 'human']:,}",
            f"{counts['click', 'human']:,}",
            f"{counts['open', 'unknown'] + counts['click', 'unknown']:,}",
            f"{counts['open', 'machine'] + counts['click', 'machine']:,}",
            " ".join(f"{link}:{count:,}" for link, count in sorted(received.links.items())),
        )
    return table


def _data(step: Step, received: Received) -> dict[str, Any]:
    return {
        "workflow": step.workflow,
        "step": step.step,
        "decided": received.decided,
        **{
            f"{kind}s": {each: received.hits[kind, each] for each in get_args(Verdict)}
            for kind in get_args(HitKind)
        },
        "links": {str(link): count for link, count in sorted(received.links.items())},
        "anonymous": received.anonymous,
    }
