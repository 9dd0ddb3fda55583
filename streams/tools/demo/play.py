"""Plays a demo from beginning to end, simulated or recorded, on the whole machine."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from schemas.definitions import DEFINITION
from schemas.definitions.workflow import Workflow
from schemas.time_units import DAY_MS
from streams.clock import VirtualClock
from streams.runtime.definitions import publish, read_files
from streams.runtime.factories import record_signer
from streams.settings import Settings
from streams.settings.loading import load_settings
from streams.tools.demo.calls import SentCall
from streams.tools.demo.driver_events import DriverEvent
from streams.tools.demo.http_sender import make_keys
from streams.tools.demo.ledger import Ledger
from streams.tools.demo.machine import Machine, drive, running
from streams.tools.demo.shop import FULL_DOMAIN, GONE_DOMAIN
from streams.tools.demo.sink import LOOPBACK, Sink, Verdict
from streams.tools.demo.summary import Summary, summarize
from streams.tools.demo.view import shown

LOG_TICKS = 3_600.0
"""Seconds between the worker's own ticks, the most there is: the driver ticks where it matters."""

_TOKEN_KEY = "demo:0123456789abcdef0123456789abcdef"
"""Signs unsubscribe links. Always the same, so that the same demo writes the same mails; they lead
to a host that doesn't exist."""


class DemoError(Exception):
    """The demo can't be played; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What is to be played."""

    driver_events: Sequence[DriverEvent | SentCall]
    start: int
    """ms since the epoch, like all instants here."""
    end: int
    step: int
    """ms; times are rounded up to it."""
    outages: Sequence[tuple[int, int]] = ()
    """When the relay is away."""
    verdict: Verdict = lambda _address, _tried: ""
    """What the relay says to an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where and how it is played."""

    output: Path
    """Where the mails go."""
    keep: Path | None = None
    """Where log and state stay; None: they are thrown away."""
    workflows_dir: Path | None = None
    everything: bool = False
    """Whether the recipes that are not enabled are live too."""
    config: Path | None = None
    pace: float = 0.0
    """Virtual ms that pass in a real one, at most; 0: as fast as it can."""
    console: Console | None = None
    """Where to show how it goes; None: not at all."""


async def play(plan: DemoPlan, stage: Stage) -> tuple[Summary, Path]:
    """Play `plan` and return what it came to, and the page that lists the mails.

    Raises DemoError, and what a worker's start raises.
    """
    async with AsyncExitStack() as opened:
        home = opened.enter_context(_home(stage.keep))
        machine, sink, ledger = await _build(plan, stage, home, opened)
        director = _Director(plan, stage, sink, ledger)
        showing = (
            nullcontext()
            if stage.console is None
            else shown(
                stage.console,
                ledger,
                machine.clock,
                titles=titles(machine.worker.settings.workflows_dir),
                start=plan.start,
                end=plan.end,
                invitation=machine.sender.invitation() if machine.sender else "",
            )
        )
        async with showing:
            await drive(machine, plan.driver_events, until=plan.end, step=plan.step,
                        moment=director.moment)  # fmt: skip
        await ledger.refresh()
        summary = await summarize(
            ledger, sink, machine.sender, start=plan.start, end=plan.end, step=plan.step
        )
        return summary, sink.write_index()


def titles(directory: Path) -> dict[str, str]:
    """Return what the workflows are called. Raises DefinitionError."""
    files = read_files(directory, everything=True)
    definitions = map(DEFINITION.validate_json, files.values())
    return {
        each.id: each.title.get("en", each.id) for each in definitions if isinstance(each, Workflow)
    }


def shop_verdict(address: str, tried: int) -> str:
    """Refuse the addresses of the shop's customers that are meant to be refused."""
    domain = address.rpartition("@")[2]
    if domain == GONE_DOMAIN:
        return "550 5.1.1 no such user here"
    if domain == FULL_DOMAIN and tried == 0:
        return "452 4.2.2 mailbox full, try again later"
    return ""


class _Director:
    """Does at each moment what is not the machine's business."""

    def __init__(self, plan: DemoPlan, stage: Stage, sink: Sink, ledger: Ledger) -> None:
        self._plan = plan
        self._pace = stage.pace
        self._sink = sink
        self._ledger = ledger
        self._began = time.monotonic()
        self._away = False
        self._read_on = plan.start

    async def moment(self, now: int) -> None:
        """Called before the clock is set to `now`."""
        await self._keep_pace(now)
        await self._switch_relay(now)
        if now >= self._read_on:  # topics forget in days; what they hold is counted before
            await self._ledger.refresh()
            self._read_on = now + DAY_MS // 2

    async def _keep_pace(self, now: int) -> None:
        if self._pace:
            passed = (time.monotonic() - self._began) * 1000
            await asyncio.sleep(max((now - self._plan.start) / self._pace - passed, 0) / 1000)

    async def _switch_relay(self, now: int) -> None:
        away = any(begin <= now < end for begin, end in self._plan.outages)
        if away and not self._away:
            await self._sink.close()
        elif self._away and not away:
            await self._sink.open()
        self._away = away


async def _build(
    plan: DemoPlan, stage: Stage, home: Path, opened: AsyncExitStack
) -> tuple[Machine, Sink, Ledger]:
    clock = VirtualClock(plan.start)
    sink = Sink(stage.output / "mails", clock, plan.verdict)
    try:
        sink.prepare()
        await sink.open()
    except OSError as error:
        raise DemoError(f"{stage.output}: {error.strerror}") from None
    opened.push_async_callback(sink.close)
    settings = _settings(stage, home, sink.port)
    keys = make_keys(settings.ingest_keys_file)
    machine = await opened.enter_async_context(running(settings, clock, keys))
    if stage.everything:
        files = read_files(machine.worker.settings.workflows_dir, everything=True)
        await publish(machine.worker.log, files, record_signer(machine.worker.settings))
    return machine, sink, Ledger(machine.worker.log)


def _settings(stage: Stage, home: Path, port: int) -> Settings:
    """Return the worker's settings. Raises SettingsError."""
    return load_settings(
        config=stage.config,
        broker=f"embedded://{home / 'log'}",
        data_dir=home / "state",
        smtp_url=f"smtp://{LOOPBACK}:{port}",
        admin_bind=f"{LOOPBACK}:0",
        public_bind=f"{LOOPBACK}:0",
        ingest_bind=f"{LOOPBACK}:0",
        ingest_keys=home / "state" / "ingest-keys.yaml",
        worker_id="demo",
        workflows_dir=stage.workflows_dir,
        store="memory",
        tick_seconds=LOG_TICKS,
        shop_name="Bottega del Colle",
        shop_url="https://bottega.example",
        shop_support_email="assistenza@bottega.example",
        mail_from_address="negozio@bottega.example",
        mail_public_url="https://posta.bottega.example",
        mail_provider_lookup=False,  # nobody outside is asked anything
        token_keys=_TOKEN_KEY,
    )


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """Yield where log and state go; a temporary place is removed again."""
    if keep is None:
        place = Path(tempfile.mkdtemp(prefix="ritorno-demo-"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return
    if (keep / "log").exists():
        raise DemoError(f"{keep} holds the log of an earlier demo; name another directory, or "
                        "remove that one")  # fmt: skip
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"{keep}: {error.strerror}") from None
    yield keep
