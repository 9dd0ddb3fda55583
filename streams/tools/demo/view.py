"""The demo in a terminal while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from schemas import reference
from schemas.decisions import Decision
from schemas.instant import to_datetime
from streams.clock import Clock
from streams.log import LogError
from streams.logging import get_logger
from streams.messages.decisions import sentence
from streams.messages.plurals import several
from streams.messages.translations import ENGLISH
from streams.tools.demo.ledger import Ledger, latest

REFRESH_SECONDS = 0.2
"""Fast enough to look alive, slow enough to leave the processor to the machine."""

BUSIEST = 18
"""Workflows shown: as many as fit into a terminal beside the decisions below."""

_log = get_logger(__name__)

ZONE = ZoneInfo("Europe/Rome")

_COLOURS = {"sent": "green", "entered": "cyan", "exited": "yellow", "skipped": "dim",
            "completed": "blue", "not_entered": "dim", "postponed": "magenta"}  # fmt: skip


@asynccontextmanager
async def shown(
    console: Console,
    ledger: Ledger,
    clock: Clock,
    *,
    titles: Mapping[str, str],
    start: int,
    end: int,
    invitation: str = "",
) -> AsyncIterator[None]:
    """Show how the demo goes on, as long as the block runs. `invitation`: how whoever watches takes
    part."""

    def draw() -> RenderableType:
        screen = _screen(ledger, clock.now(), titles, start, end)
        taking_part = Text(invitation, style="dim", overflow="fold")
        return Group(screen, taking_part) if invitation else screen

    with Live(draw(), console=console, auto_refresh=False, transient=True) as live:
        drawing = asyncio.create_task(_draw_forever(live, ledger, draw))
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)


async def _draw_forever(live: Live, ledger: Ledger, draw: Callable[[], RenderableType]) -> None:
    while True:
        try:
            await ledger.refresh()
        except LogError as error:  # whoever drives the demo meets it too, and ends it
            _log.error("the view can't read the log", error=str(error))
        live.update(draw(), refresh=True)
        await asyncio.sleep(REFRESH_SECONDS)


def _screen(
    ledger: Ledger, now: int, titles: Mapping[str, str], start: int, end: int
) -> RenderableType:
    moment = _local(now)
    head = Table.grid(expand=True, padding=(0, 2))
    head.add_column()
    head.add_column(ratio=1)
    date = Text(f"{moment:%A %d %B %Y, %H:%M}", style="bold")
    head.add_row(date, ProgressBar(total=max(end - start, 1), completed=now - start))
    figures = Columns([_events(ledger), _runs(ledger, titles), _mails(ledger)], padding=(0, 1))
    return Group(head, figures, _decisions(ledger, titles))


def _events(ledger: Ledger) -> Panel:
    rows = Table.grid(padding=(0, 2))
    rows.add_column()
    rows.add_column(justify="right")
    for kind, count in ledger.events.most_common(8):
        rows.add_row(Text(kind), f"{count:,}")
    return Panel(rows, title=several(ledger.events.total(), "event"))


def _runs(ledger: Ledger, titles: Mapping[str, str]) -> Panel:
    rows = Table.grid(padding=(0, 2))
    rows.add_column()
    for _ in range(4):
        rows.add_column(justify="right")
    rows.add_row("", *(Text(name, style="dim") for name in ("begun", "waiting", "ended", "done")))
    busiest = sorted(ledger.workflows, key=lambda name: -ledger.workflows[name].entered)[:BUSIEST]
    for name in sorted(busiest):
        workflow = ledger.workflows[name]
        done = workflow.completed + workflow.converted
        numbers = (workflow.entered, workflow.waiting, workflow.exited.total(), done)
        rows.add_row(Text(titles.get(name, name)), *map(str, numbers))
    return Panel(rows, title="runs")


def _mails(ledger: Ledger) -> Panel:
    rows = Table.grid(padding=(0, 2))
    rows.add_column()
    rows.add_column(justify="right")
    mails = ledger.mails()
    for kind in ("sent", "waiting", "bounced", "skipped", "rejected", "failed"):
        rows.add_row(kind, f"{mails[kind]:,}")
    rows.add_row("put off", f"{ledger.deferred:,}")
    rows.add_row("taken back", f"{ledger.taken_back:,}")
    return Panel(rows, title=several(len(ledger.commanded), "mail"))


def _decisions(ledger: Ledger, titles: Mapping[str, str]) -> Panel:
    rows = Table.grid(padding=(0, 2))
    for _ in range(3):
        rows.add_column(no_wrap=True)
    for decision in latest(ledger.last):
        rows.add_row(*_decision(decision, titles))
    return Panel(rows, title="decisions")


def _decision(decision: Decision, titles: Mapping[str, str]) -> tuple[Text, Text, Text]:
    style = _COLOURS.get(decision.decision, "")
    title = titles.get(decision.workflow, decision.workflow)
    text = sentence(decision, title, ENGLISH)
    return (
        Text(f"{_local(decision.time):%d %b %H:%M}", style="dim"),
        Text(reference.shown(decision.customer)),
        Text(text, style=style),
    )


def _local(instant: int) -> datetime:
    return to_datetime(instant).astimezone(ZONE)
