"""`ritorno demo`: weeks of a shop's life in about a minute, through the whole machine."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.time_units import DAY_MS, MINUTE_MS
from streams.messages.plurals import several
from streams.tools.cli.console import (
    OUTPUT,
    JsonFlag,
    Options,
    UserError,
    print_json,
    run,
    say,
    settings_of,
    stdout,
)
from streams.tools.cli.files import opened

if TYPE_CHECKING:
    from streams.tools.demo.driver_events import DriverEvent
    from streams.tools.demo.play import DemoPlan

SHOP_DAYS = 35
SHOP_STEP_MS = 10 * MINUTE_MS
"""Nobody sees at this speed whether a mail went ten minutes later."""
SHOP_SECONDS = 60.0
"""How long the shop's weeks take in a terminal: as long as one likes to watch."""

AFTERWARDS_MS = 30 * DAY_MS
"""How long time goes on after the last recorded event: longer than any conversation lasts."""

EXACT_EVENTS = 3_000
"""Recorded logs up to this size are played to the second, others in coarser steps."""
MOMENTS = 5_000
"""Steps into which a longer log is divided; each costs some 5 ms."""
STEPS_MS = tuple(seconds * 1_000 for seconds in (1, 60, 300, 900, 3_600, 3 * 3_600, 12 * 3_600))


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="Another number, another story.")] = 1,
    days: Annotated[
        int, typer.Option(min=1, max=365, help="How long the shop's story is.")
    ] = SHOP_DAYS,
    speed: Annotated[
        float | None,
        typer.Option(min=0, help="Virtual hours a second; 0: as fast as it can."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Play these recorded events (NDJSON, also .gz) instead.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="With --events: when to end; date or RFC 3339.")
    ] = None,
    output: Annotated[Path, typer.Option(*OUTPUT, help="Where the mails go.")] = Path(
        "demo-output"
    ),
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything here: log, state and mails.")
    ] = None,
    workflows_dir: Annotated[Path | None, typer.Option(help="Workflows and templates.")] = None,
    everything: Annotated[
        bool | None,
        typer.Option(
            "--all/--enabled",
            help="Also the recipes that are not enabled; default for the shop's story only.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Play a shop's life through the whole machine, in one process, with time running fast.

    The worker, its embedded log and the mailer are the real ones. The shop sends by HTTP, its pages
    under a public key and its server under a secret one; mails go to a built-in relay and can be
    read in a browser afterwards. On a terminal a line says how to send something of one's own;
    without one it runs as fast as it can.
    """
    options: Options = context.find_object(Options) or Options()
    if options.log_level is None and "RITORNO_LOG_LEVEL" not in os.environ:
        options.log_level = "error"  # a relay that is away for hours is part of the story
    settings_of(context)
    from streams.tools.demo.play import DemoError, Stage, play  # noqa: PLC0415  # Faust takes a second
    from streams.tools.demo.summary import table, where  # noqa: PLC0415  # as above

    watched = sys.stdout.isatty() and not as_json
    plan = _shop(seed, days) if events is None else _recorded(events, until)
    stage = Stage(
        output=keep or output,
        keep=keep,
        workflows_dir=workflows_dir,
        everything=events is None if everything is None else everything,
        config=options.config,
        pace=_pace(speed, plan, watched=watched),
        console=stdout() if watched else None,
    )
    began = time.monotonic()
    try:
        summary, index = run(play(plan, stage))
    except DemoError as error:
        raise UserError(str(error)) from None
    took = time.monotonic() - began
    if as_json:
        print_json({**({} if events else {"seed": seed}), **summary, "mails_page": str(index)})
        return
    stdout().print(table(summary))
    print(where(index, keep))
    played = several(round((plan.end - plan.start) / DAY_MS), "day")
    say(f"{played} in {several(round(took), 'second')}")


def _pace(speed: float | None, plan: DemoPlan, *, watched: bool) -> float:
    """Return virtual ms per real ms; 0 for as fast as it can."""
    if speed is not None:
        return speed * 3_600.0
    return (plan.end - plan.start) / (SHOP_SECONDS * 1000) if watched else 0.0


def _shop(seed: int, days: int) -> DemoPlan:
    from streams.tools.demo import shop  # noqa: PLC0415  # see demo
    from streams.tools.demo.play import DemoPlan, shop_verdict  # noqa: PLC0415  # see demo

    return DemoPlan(
        driver_events=shop.scenario(seed, days),
        start=shop.START,
        end=shop.START + days * DAY_MS,
        step=SHOP_STEP_MS,
        outages=shop.OUTAGES,
        verdict=shop_verdict,
    )


def _recorded(path: Path, until: str | None) -> DemoPlan:
    from streams.tools.cli.replay import parse_until  # noqa: PLC0415  # only here
    from streams.tools.demo.play import DemoPlan  # noqa: PLC0415  # see demo

    driver_events = _read(path)
    if not driver_events:
        raise UserError(f"{path}: there are no events in it")
    start, last = driver_events[0].time, driver_events[-1].time
    end = last + AFTERWARDS_MS if until is None else parse_until(until)
    if end < start:
        raise UserError(f"--until {until}: the first event is later")
    return DemoPlan(driver_events=driver_events, start=start, end=end, step=_step(driver_events))


def _step(driver_events: list[DriverEvent]) -> int:
    if len(driver_events) <= EXACT_EVENTS:
        return STEPS_MS[0]
    span = driver_events[-1].time - driver_events[0].time
    return next((step for step in STEPS_MS if step * MOMENTS >= span), STEPS_MS[-1])


def _read(path: Path) -> list[DriverEvent]:
    from streams.tools.demo.driver_events import NoTime, recorded  # noqa: PLC0415  # see demo
    from streams.tools.publisher import read_lines  # noqa: PLC0415  # see demo

    try:
        with opened(path) as source:
            return list(recorded(read_lines(source.stream)))
    except NoTime as error:
        raise UserError(f"{path}: {error}") from None
