"""`ritorno hits`: how mails were received, workflow by workflow and step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.table import Table

from schemas.time_units import DAY_MS
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
    from agents.insights.engagement_statistics import EngagementStatistics, MailStep, StepEngagement


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
    statistics = run(_read(settings, since))
    found = [(step, engagement) for step, engagement in statistics
             if workflow in (None, step.workflow)]  # fmt: skip
    if workflow is not None and not found:
        known = ", ".join(sorted({step.workflow for step, _ in statistics})) or "there is none"
        raise UserError(f"no mail of a workflow {workflow!r} was decided or opened; known: {known}")
    if as_json:
        for step, engagement in found:
            print_json(_data(step, engagement))
    elif not found:
        stdout().print("No mail has been decided or opened yet.")
    else:
        stdout().print(_table(found))
        if any(engagement.anonymous for _, engagement in found):
            say("Anonymous hits are counted each: who opens a mail twice is in there twice.")


async def _read(settings: Settings, since: int) -> EngagementStatistics:
    from streams.operate.engagement import read_engagement  # noqa: PLC0415  # pydantic models take a moment

    with progress("reading the log") as bar:
        async with open_log(settings) as log:
            return await read_engagement(log, since=since, on_progress=bar.at)


def _table(found: list[tuple[MailStep, StepEngagement]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for column in ("workflow", "step", "decided", "opened", "clicked", "perhaps", "machines",
                   "links"):  # fmt: skip
        numbers = column in ("decided", "opened", "clicked", "perhaps", "machines")
        table.add_column(column, justify="right" if numbers else "left")
    for step, engagement in found:
        counts = engagement.hits
        table.add_row(
            step.workflow,
            step.step,
            f"{engagement.decided:,}",
            f"{counts['open', 'human']:,}",
            f"{counts['click', 'human']:,}",
            f"{counts['open', 'unknown'] + counts['click', 'unknown']:,}",
            f"{counts['open', 'machine'] + counts['click', 'machine']:,}",
            " ".join(f"{link}:{count:,}" for link, count in sorted(engagement.links.items())),
        )
    return table


def _data(step: MailStep, engagement: StepEngagement) -> dict[str, Any]:
    return {
        "workflow": step.workflow,
        "step": step.step,
        "decided": engagement.decided,
        **{
            f"{kind}s": {each: engagement.hits[kind, each] for each in get_args(Verdict)}
            for kind in get_args(HitKind)
        },
        "links": {str(link): count for link, count in sorted(engagement.links.items())},
        "anonymous": engagement.anonymous,
    }
