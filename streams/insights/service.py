"""The store with all that is around it: of `ritorno insights`, of a worker, of a single command.

The event loop never waits for DuckDB: one thread writes, two answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from schemas.time_units import HOUR_MS, MINUTE_MS
from streams.clock import Clock
from streams.http.readiness import Readiness
from streams.insights import asking
from streams.insights.counts import FactCounts
from streams.insights.errors import InsightsError
from streams.insights.feeding import Feeding
from streams.insights.store import FactStore
from streams.log import Log, LogError, OnProgress, no_progress
from streams.logging import get_logger
from streams.outbound.following import Following, following_of
from streams.runtime.background import kept_up
from streams.settings import Settings
from streams.topology import FACTS

ASKED_AT_ONCE = 2
"""Questions that are answered at the same time; more wait. Each takes all threads of DuckDB."""

QUESTIONS_WAITING = 32
"""Then no more are taken."""

CARE_EVERY_MS = MINUTE_MS
"""Between two looks whether months have aged, or the file is to be written anew."""

REWRITE_EVERY_MS = HOUR_MS
"""The file is written anew at most once an hour, whoever was erased meanwhile."""

READY_LAG = 10_000
"""Records. Who is further behind is not ready to be asked."""

_log = get_logger(__name__)

T = TypeVar("T")


class Insights:
    """Runs the store. `start` and `follow`, or `catch_up` alone; then `ask`; then `stop`."""

    def __init__(self, settings: Settings, log: Log, clock: Clock) -> None:
        """`log` is started by whoever gives it."""
        self._log = log
        self._clock = clock
        self.counts = FactCounts()
        self.answered = 0
        self.seconds = 0.0
        """That answers have taken."""
        self.store = FactStore(
            settings.data_dir / "insights",
            threads=settings.insights_threads,
            memory_mb=settings.insights_memory_mb,
            zone=settings.shop_zone,
        )
        self._terms = asking.Terms(zone=settings.shop_zone)
        self._writing = ThreadPoolExecutor(1, "insights-write")
        self._answering = ThreadPoolExecutor(ASKED_AT_ONCE, "insights-ask")
        self._places = asyncio.Semaphore(ASKED_AT_ONCE)
        self._waiting = 0
        self.feeding = Feeding(log, self.store, self.counts, self._write)
        self._running = AsyncExitStack()
        self._following: Following | None = None
        self._lag: Mapping[int, int] = {}
        self._rewritten_at = 0

    async def start(self) -> None:
        """Open the file. Raises InsightsError."""
        await self._write(self.store.open)

    async def catch_up(self, on_progress: OnProgress = no_progress) -> None:
        """Read what the topic holds now. Raises LogError, InsightsError."""
        await self.feeding.catch_up(on_progress)
        await self.care()

    def follow(self, group: str) -> None:
        """Take in what comes, beside everything else, until `stop`."""
        for each in (
            kept_up("insights", partial(self._follow, group)),
            kept_up("insights_care", self._care),
        ):
            self._running.push_async_callback(_cancel, asyncio.create_task(each))

    async def stop(self) -> None:
        """Finish what is being written, and let go of the file. Safe to call twice."""
        await self._running.aclose()
        await asyncio.get_running_loop().run_in_executor(self._writing, self.store.close)
        self._writing.shutdown(wait=False)
        self._answering.shutdown(wait=False)

    # Asking.

    async def ask(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer what is asked under a name, as `asking.answer` does. Raises QuestionError,
        InsightsError."""
        if self._waiting >= QUESTIONS_WAITING:
            raise InsightsError("too many questions at once; ask again in a moment")
        self._waiting += 1
        try:
            async with self._places:
                began, now = asyncio.get_running_loop().time(), self._clock.now()
                answer = await asyncio.get_running_loop().run_in_executor(
                    self._answering,
                    lambda: asking.answer(self.store, self._terms, name, arguments, now),
                )
                self.seconds += asyncio.get_running_loop().time() - began
        finally:
            self._waiting -= 1
        self.answered += 1
        return {**answer, "behind": sum(self._lag.values())}

    def lags(self) -> Mapping[int, int]:
        """Return how many records of each partition were not in yet, when it was looked last."""
        return self._lag

    async def ready(self) -> Readiness:
        """Say whether it can be asked: it is caught up, nearly."""
        try:
            self._lag = await self.feeding.lag()
        except LogError as error:
            return Readiness(False, str(error))
        behind = sum(self._lag.values())
        return Readiness(behind < READY_LAG, f"{behind} records behind")

    async def begin_anew(self) -> None:
        """Forget what the log still has, to read it again. Raises LogError, InsightsError."""
        starts = {number: span.start for number, span in (await self._log.offsets(FACTS)).items()}
        await self._write(lambda: self.store.begin_anew(starts))

    # Looking after the file.

    async def care(self) -> None:
        """Sum what has aged; write the file anew where somebody was erased. Raises LogError,
        InsightsError."""
        starts = {number: span.start for number, span in (await self._log.offsets(FACTS)).items()}
        await self._write(lambda: self.store.age(starts))
        now = self._clock.now()
        if self.store.wants_rewrite and now - self._rewritten_at >= REWRITE_EVERY_MS:
            await self.rewrite()
            self._rewritten_at = now

    async def rewrite(self) -> None:
        """Write the file anew; questions wait meanwhile. Raises InsightsError."""
        async with AsyncExitStack() as all_places:
            for _ in range(ASKED_AT_ONCE):
                await all_places.enter_async_context(self._places)
            await self._write(self.store.rewrite)
        for path in await self._write(self.store.snapshots):
            _log.warning("a snapshot may hold persons who were erased since: remove it, and make "
                         "another one", file=path)  # fmt: skip

    async def _care(self) -> None:
        while True:
            self._lag = await self.feeding.lag()
            await self.care()
            await self._clock.wait_until(self._clock.now() + CARE_EVERY_MS)

    async def _follow(self, group: str) -> None:
        following = following_of(self._log, group, [FACTS])
        try:
            await self.feeding.follow(following)
        finally:
            await following.close()

    async def _write(self, work: Callable[[], T]) -> T:
        # Shielded: a batch that is being written is written, whoever is told to stop meanwhile.
        running = asyncio.get_running_loop().run_in_executor(self._writing, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
