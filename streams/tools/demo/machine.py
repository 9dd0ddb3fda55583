"""The machine of a demo and the driver that steps its time.

It is the real worker with the embedded log and the real mailer; only the clock is ours. Time goes
from one moment to the next at which something happens: a record that reaches the log, a timer, a
mail that is to be tried again. At each of them

1. the clock is set;
2. a partition in which a timer is due gets ticks until none is, and the machine comes to rest;
3. what the shop sends at that moment goes out by HTTP, and records of a recorded log are appended,
   one append per partition; it comes to rest again.

At rest, everything in both topics has been processed and no mail is due or on its way. So nothing
depends on how fast this computer is: the same records give the same decisions and the same mails.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from schemas.products import Product
from schemas.records import OutRecord
from schemas.stored import NEVER
from streams.clock import VirtualClock
from streams.log import append_all
from streams.partitioner import partition_of
from streams.runtime import product_feed
from streams.runtime.factories import record_signer
from streams.runtime.failures import WorkerFailed
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.ticks import TICK
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.tools.demo.calls import SentCall, postings
from streams.tools.demo.driver_events import DriverEvent
from streams.tools.demo.http_sender import DemoKeys, HttpSender, sending
from streams.topology import CUSTOMER_EVENTS, PRODUCTS

MOST_TICKS = 10_000
"""At one instant: a million customers of one partition are done by then."""

Moment = Callable[[int], Awaitable[None]]
"""Called with the time (ms) before each step; may wait, or change the world."""


class Machine:
    """A worker whose time stands still unless it is told to go on."""

    def __init__(
        self, worker: Worker, clock: VirtualClock, sender: HttpSender | None = None
    ) -> None:
        """`sender`: what sends the shop's calls, where there are any."""
        self.worker = worker
        self.clock = clock
        self.sender = sender
        assert isinstance(worker.log, EmbeddedLog)  # its ends are known without asking
        self._log = worker.log
        self._feed: dict[str, Product] = {}
        self._signer = record_signer(worker.settings)

    async def advance(self, until: int) -> None:
        """Let the time pass up to `until`, which no timer precedes, and come to rest."""
        self.clock.advance(until)
        for _ in range(MOST_TICKS):  # a record has a budget, and may leave some over
            is_due = await self._tick(until)
            await self.worker.mailer.until_idle()
            await self.rest()
            if not is_due:
                return
        raise RuntimeError(f"what was due at {until} is not done after {MOST_TICKS} ticks")

    async def tell(self, happened: Iterable[DriverEvent | SentCall]) -> None:
        """Append records and send calls in order, as of now, and come to rest."""
        records, calls = [], []
        for each in happened:
            if isinstance(each, SentCall):
                calls.append(each)
            else:
                records.append(each)
        await self._append(records)
        for together in postings(calls):
            assert self.sender is not None
            for posting in together:
                await self.sender.send(posting)
            await self.rest()

    async def _append(self, records: Iterable[DriverEvent]) -> None:
        groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        news: list[Product] = []
        for each in records:
            if each.topic == PRODUCTS:
                news.append(Product.model_validate_json(each.record.value or b""))
                continue
            count = await self._log.partitions(each.topic)
            number = partition_of(each.record.key or b"", count)
            groups[each.topic, number].append(each.record)
        log = self._log
        if news:
            await product_feed.publish(log, news, self._signer, self._feed)
        await append_all(log, groups)
        await self.rest()

    def next_time(self, step: int) -> int | None:
        """Return the next whole `step` (ms) at which something is due by itself; None if never."""
        times = [*self.worker.customers.next_timers().values(), self.worker.mailer.next_time()]
        due = min((time for time in times if time is not None), default=NEVER)
        return None if due == NEVER else max(_whole(due, step), self.clock.now())

    async def rest(self) -> None:
        """Wait until all is processed, nothing is due and nothing on its way."""
        while not self._is_through():
            await self.worker.partition_manager.until(self._is_through)
            await self.worker.mailer.until_idle()

    async def _tick(self, now: int) -> bool:
        """Tick where something is due; return whether it was so anywhere."""
        timers = self.worker.customers.next_timers()
        due = [partition for partition, time in timers.items() if time <= now]
        await asyncio.gather(*(self._log.append(CUSTOMER_EVENTS, each, [TICK]) for each in due))
        return len(due) > 0

    def _is_through(self) -> bool:
        partition_manager = self.worker.partition_manager
        return all(
            (partition_manager.watermark(tp) or 0) >= self._log.end(*tp)
            for tp in partition_manager.owned()
        )


@asynccontextmanager
async def running(
    settings: Settings, clock: VirtualClock, keys: DemoKeys | None = None
) -> AsyncIterator[Machine]:
    """Run a worker by `clock`, and send calls with `keys`. Raises what `Worker.start` raises.

    When the worker breaks down, whoever waits for it in the block is cancelled and WorkerFailed
    is raised.
    """
    worker = Worker(settings, clock=clock)
    await worker.start()
    task = asyncio.current_task()
    assert task is not None
    watch = asyncio.create_task(worker.wait_stopped())
    watch.add_done_callback(lambda watch: None if watch.cancelled() else task.cancel())
    try:
        async with AsyncExitStack() as opened:
            sender = None
            if keys is not None:
                port = sending(worker.ingest_address, keys, clock)
                sender = await opened.enter_async_context(port)
            yield Machine(worker, clock, sender)
    except asyncio.CancelledError:
        if watch.done() and isinstance(failure := watch.exception(), WorkerFailed):
            task.uncancel()
            raise failure from None
        raise
    finally:
        watch.cancel()
        await worker.stop()


async def drive(
    machine: Machine,
    driver_events: Iterable[DriverEvent | SentCall],
    *,
    until: int,
    step: int,
    moment: Moment,
) -> None:
    """Live through `driver_events` and everything that follows from them, up to `until` (ms).

    Times are rounded up to whole `step`s (ms). `moment` is called before each of them.
    """
    for time, group in _moments(driver_events, step):
        if time > until:
            break
        await _pass(machine, time, step, moment)
        await machine.tell(group)
    await _pass(machine, until, step, moment)


async def _pass(machine: Machine, until: int, step: int, moment: Moment) -> None:
    """Stop at each moment before `until` at which something is due, then at `until`."""
    done = 0
    while (due := machine.next_time(step)) is not None and due < until:
        if due == done:
            raise RuntimeError(f"something that was due at {due} has not happened")
        await moment(due)
        await machine.advance(due)
        done = due
    await moment(until)
    await machine.advance(until)


def _moments(
    driver_events: Iterable[DriverEvent | SentCall], step: int
) -> Iterator[tuple[int, list[DriverEvent | SentCall]]]:
    """Group what falls into the same step; what concerns one customer keeps its order."""
    group: list[DriverEvent | SentCall] = []
    time = 0
    for happened in driver_events:
        whole = _whole(happened.time, step)
        if group and whole > time:
            yield time, group
            group = []
        time = max(time, whole)
        group.append(happened)
    if group:
        yield time, group


def _whole(time: int, step: int) -> int:
    """Return the first multiple of `step` that is not before `time`."""
    return -(-time // step) * step
