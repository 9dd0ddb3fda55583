"""Runs erasures beside a worker: in the embedded log, and in the files of its own stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agents.partition.batch import BatchChanges
from schemas.reference import id_of
from schemas.signals import CustomerErased
from schemas.signing import RecordSigner
from schemas.stored import FutureFormat
from schemas.time_units import HOUR_MS, MINUTE_MS
from streams.clock import Clock
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.operate.privacy.erasing import Erasing
from streams.runtime.background import kept_up
from streams.runtime.backoff import Backoff
from streams.runtime.commit_protocol import Observer, ObserverInFront
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.state.store import StateError
from streams.runtime.waiting import first

BACKOFF = Backoff(5.0, 300.0)
"""Seconds until what was in the way is looked at again, a mail that is being handed to the relay:
5, 10 … 300. Each look goes through the person's partitions."""

SCRUB_AFTER_MS = MINUTE_MS
"""After an erasure: its mails are taken back and told of by then, and the stores rewritten once."""

REWRITE_EVERY_MS = HOUR_MS
"""The log's file is written anew at most once an hour, whoever was erased meanwhile."""

Scrub = Callable[[int, list[bytes]], Awaitable[None]]
"""Compacts away what a partition's stores held before under these customers' keys."""

_log = get_logger(__name__)


class Eraser:
    """Hears of erasures from the customers' runtime and carries them further."""

    def __init__(self, log: Log, clock: Clock, scrub: Scrub, signer: RecordSigner) -> None:
        self._erasing = Erasing(log, signer) if isinstance(log, EmbeddedLog) else None
        self._clock = clock
        self._scrub = scrub
        self._news = asyncio.Event()
        self._passed = asyncio.Event()
        self._noted: dict[tuple[int, bytes], int] = {}
        self._rewrite_at = 0
        self._all_done = False
        self._task: asyncio.Task[None] | None = None

    def watching(self, observer: Observer) -> Observer:
        """Return an observer that tells this eraser, too."""
        return _ErasureObserver(observer, self._note)

    def start(self) -> None:
        """Begin; what an earlier life has left open comes first."""
        self._task = asyncio.create_task(kept_up("erasing", self._run), name="eraser")

    async def stop(self) -> None:
        """Stop; what is open is carried out at the next start. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be done."""
        return self._all_done and not self._noted and not self._news.is_set()

    async def passed(self) -> None:
        """Wait until all was looked at once more, for who drives a virtual clock."""
        await self._passed.wait()

    def _note(self, partition: int, customer: str) -> None:
        for name in (customer, id_of(customer)):  # a visitor's was kept under the bare id, in doubt
            self._noted[partition, name.encode()] = self._clock.now() + SCRUB_AFTER_MS
        self._news.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            self._news.clear()
            self._all_done = False
            self._all_done = all_done = await self._carry_out()
            await self._scrub_what_is_due()
            self._passed.set()
            self._passed = asyncio.Event()
            times = list(self._noted.values())
            failures = 0 if all_done else failures + 1
            if not all_done:
                times.append(self._clock.now() + round(BACKOFF.after(failures) * 1_000))
            await self._wait(min(times, default=None))

    async def _carry_out(self) -> bool:
        if self._erasing is None:
            return True
        try:
            all_done = await self._erasing.carry_out()
            return all_done and await self._rewrite(self._erasing)
        except (LogError, FutureFormat) as error:
            _log.error("erasure in the log goes on later", error=str(error))
        except Exception:  # a defect must neither end erasing nor pass unseen
            _log.exception("erasure in the log failed, trying again")
        return False

    async def _rewrite(self, erasing: Erasing) -> bool:
        if await erasing.is_rewritten():
            return True
        now = self._clock.now()
        if now >= self._rewrite_at:
            self._rewrite_at = now + REWRITE_EVERY_MS
            await erasing.rewrite()
        return await erasing.is_rewritten()

    async def _scrub_what_is_due(self) -> None:
        now = self._clock.now()
        due: dict[int, list[bytes]] = {}
        for (partition, key), time in list(self._noted.items()):
            if time <= now:
                del self._noted[partition, key]
                due.setdefault(partition, []).append(key)
        for partition, keys in due.items():
            try:
                await self._scrub(partition, keys)
            except StateError as error:
                # Another owner has it, or the disk is full; compaction does the same in time.
                _log.warning("older states stay in the store for now", error=str(error))

    async def _wait(self, until: int | None) -> None:
        due = [] if until is None else [self._clock.wait_until(until)]
        await first(self._news.wait(), *due)


class _ErasureObserver(ObserverInFront):
    """Passes everything on, and tells of the customers who were erased."""

    def __init__(self, observer: Observer, erased: Callable[[int, str], None]) -> None:
        super().__init__(observer)
        self._erased = erased

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """One batch is done for good."""
        super().committed(partition, changes)
        for effect in changes.effects:
            if isinstance(effect.content, CustomerErased):
                self._erased(partition, effect.content.customer)
