"""The path of one order: which of our functions run between the record and the relay's 250.

    python -m benchmarks.order_path [--list]

A worker in this process, on the embedded log and with RocksDB, with what is live out of the box but
the shop's policy; the first order of a customer whose address is known. Counted is each function of
`schemas`, `agents` and `streams` that has a name, on all threads, from the append to the reply of
the relay, and then until the outcome is in the customer's record. What a worker does beside it at
the time is counted as well, so two runs differ by a few. `--list` names them by file.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import structlog.testing

from benchmarks import machine
from benchmarks.machine import Inbox, Machine
from benchmarks.workload import Workload, fill
from schemas.records import OutRecord
from streams.clock import SystemClock
from streams.runtime.worker import Worker
from streams.settings.loading import load_settings
from streams.settings.values import Address
from tests.faults.fleet import free_port

ROOT = Path(__file__).parents[1]
OURS = tuple(f"{ROOT}/{room}/" for room in ("schemas", "agents", "streams"))
SECONDS = 30.0
TAKEN = (f"{ROOT}/agents/mail/queue/lifecycle.py", "accepted")
"""The first function that knows of the 250."""
HEARD = (f"{ROOT}/agents/customer/mail_outcomes.py", "sent")
"""The customer's actor hears of it."""
QUIET_SECONDS = 1.0
"""Without any call that belongs to the mail at hand, after which the way is over."""


class Calls:
    """Counts calls of our functions on all threads, by the code that is called."""

    def __init__(self) -> None:
        self.counts: Counter[CodeType] = Counter()
        self.to_relay: Counter[CodeType] | None = None
        """Those before the relay's 250 was known."""
        self.counting = False
        self.heard = False

    def install(self) -> None:
        """Watch this thread, and those that begin later."""
        threading.setprofile(self._called)
        sys.setprofile(self._called)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not self.counting:
            return
        code = frame.f_code
        if not code.co_filename.startswith(OURS) or code.co_qualname.endswith(">"):
            return
        place = (code.co_filename, code.co_name)
        if place == TAKEN and self.to_relay is None:
            self.to_relay = Counter(self.counts)
        self.heard = self.heard or place == HEARD
        self.counts[code] += 1


async def trace() -> Calls:
    """Let one order pass through a worker; return what was called."""
    calls, inbox = Calls(), Inbox()
    calls.install()
    workload = Workload(seed=1, now=SystemClock().now(), customers=1)
    inbox.start()
    try:
        with machine.scratch() as directory:
            async with machine.embedded(directory) as here:
                await fill(here.log, iter(workload.signups()))
                worker = _worker(here, directory, inbox)
                await worker.start()
                try:
                    await _until(lambda: _applied(worker) >= 2)
                    await asyncio.sleep(QUIET_SECONDS)
                    inbox.copies.clear()
                    calls.counting = True
                    await fill(here.log, iter([_order(workload)]))
                    await _until(lambda: calls.heard)
                    await asyncio.sleep(QUIET_SECONDS / 5)
                    calls.counting = False
                finally:
                    await worker.stop()
    finally:
        inbox.stop()
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def _worker(here: Machine, directory: Path, inbox: Inbox) -> Worker:
    return Worker(
        load_settings(
            broker=here.url,
            data_dir=directory / "data",
            token_keys=machine.TOKEN_KEYS,
            mail_provider_lookup=False,
            admin_bind=Address("127.0.0.1", free_port()),
            public_bind=Address("127.0.0.1", free_port()),
            smtp_url=f"smtp://127.0.0.1:{inbox.port}",
            worker_id="order-path",
        )
    )


def _order(workload: Workload) -> OutRecord:
    events = workload.events(1_000)
    return next(each for each in events if ("ce_type", b"order.completed") in each.headers)


def _applied(worker: Worker) -> int:
    samples = (sample for metric in worker.metrics.events.collect() for sample in metric.samples)
    return int(sum(each.value for each in samples if each.labels.get("result") == "applied"))


async def _until(holds: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110  # nobody signals it
            await asyncio.sleep(machine.POLL_SECONDS)


def report(calls: Calls, *, names: bool) -> str:
    """Return the figures as text; `names`: with each function."""
    to_relay = calls.to_relay or calls.counts
    lines = [
        f"to the relay's 250: {_figures(to_relay)}, {sum(to_relay.values()):,} calls",
        f"until the customer's record has it: {_figures(calls.counts)}",
        "",
        *(f"{room:24}{_figures(counts)}" for room, counts in _by_room(to_relay).items()),
    ]
    if names:
        for file, functions in sorted(_by_file(to_relay).items()):
            lines += ["", file, *(f"    {name}  {count}" for name, count in functions.items())]
    return "\n".join(lines)


def _figures(counts: Mapping[CodeType, int]) -> str:
    files = {code.co_filename for code in counts}
    return f"{len(counts)} functions in {len(files)} files"


def _by_file(counts: Mapping[CodeType, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for code, count in counts.items():
        file = str(Path(code.co_filename).relative_to(ROOT))
        found.setdefault(file, {})[code.co_qualname] = count
    return found


def _by_room(counts: Mapping[CodeType, int]) -> dict[str, dict[CodeType, int]]:
    found: dict[str, dict[CodeType, int]] = {}
    for code, count in counts.items():
        parts = Path(code.co_filename).relative_to(ROOT).parent.parts[:2]
        found.setdefault("/".join(parts), {})[code] = count
    return dict(sorted(found.items()))


if __name__ == "__main__":
    with structlog.testing.capture_logs():
        traced = asyncio.run(trace())
    print(report(traced, names="--list" in sys.argv[1:]))
