"""A crash between any two steps of the commit protocol repeats work and changes no outcome.

The machine reads a partition to its end; at one marked place it fails. `given up` is a failure
inside a living process (the partition manager opens the partition again), `killed` loses everything
in memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from schemas.records import OutRecord, Record
from schemas.stored import HEAD_SIZE, PROGRESS_KEY, head
from streams.clock import VirtualClock
from streams.partitioner import partition_of
from streams.runtime.customers import CustomersRuntime, NotOwned
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.log_identity import LogIdentity
from streams.runtime.state.memory import MemoryStore, open_memory
from streams.runtime.state.retained_stores import RetainedStores
from streams.runtime.state.store import Store
from streams.runtime.state.tombstones import KEPT_MS
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, SEND_COMMANDS
from tests.keys import SIGNER
from tests.runtime.doubles import (
    START,
    CountingActors,
    Crash,
    FakeLease,
    FakeLeases,
    MemoryLog,
    Seen,
    memory_log,
)

TP = TopicPartition(CUSTOMER_EVENTS, 0)
NAMES = [name for name in (b"c%d" % n for n in range(40)) if partition_of(name, 2) == 0][:6]


class NoDefinitions:
    def add(self, version: str, content: bytes) -> object:
        raise AssertionError("nothing is published here")


@dataclass
class Machine:
    """A log that stays, and a process that can be killed and started again."""

    log: MemoryLog
    seen: Seen = field(default_factory=Seen)

    def boot(self, open_store: Callable[[TopicPartition], Store] = open_memory) -> None:
        self.partition_manager = FakeLeases()
        self.runtime = CustomersRuntime(
            signer=SIGNER,
            log=self.log,
            partition_manager=self.partition_manager,
            open_store=open_store,
            actors=CountingActors,
            loader=DefinitionLoader(self.log, NoDefinitions()),
            ticks=Ticks(self.log, CUSTOMER_EVENTS, VirtualClock(START)),
            observer=self.seen,
            time_guard=TimeGuard(self.log, self.log.clock, SIGNER),
            identity=LogIdentity(self.log, SIGNER),
        )
        self.partition_manager.own(CUSTOMER_EVENTS, self.runtime)

    async def run(self, rng: random.Random | None = None) -> None:
        """Process the partition to its end in batches of random size."""
        if TP not in self.partition_manager.start:
            await self.partition_manager.open(TP)
        for _ in range(1000):
            records = self.log.topics[TP.topic][0][self.partition_manager.start[TP] :]
            if not records:
                return
            size = len(records) if rng is None else rng.randint(1, len(records))
            await self.process(records[:size])
        raise AssertionError("no progress")

    async def process(self, records: Sequence[Record], fetch_epoch: int = 1) -> None:
        await self.runtime.process(PartitionBatch(tp=TP, fetch_epoch=fetch_epoch, records=records))

    def states(self) -> dict[bytes, bytes | None]:
        return {name: self.runtime.read_customer(name, 2) for name in NAMES}

    def commands(self) -> set[bytes | None]:
        return {record.value for record in self.log.records(SEND_COMMANDS)}


async def machine(events: int = 40, seed: int = 1) -> Machine:
    rng = random.Random(seed)
    log = await memory_log()
    kinds = [b"buy"] * 12 + [b"erase"]
    await log.append(
        CUSTOMER_EVENTS, 0,
        [OutRecord(rng.choice(NAMES), rng.choice(kinds)) for _ in range(events)],
    )  # fmt: skip
    built = Machine(log)
    built.boot()
    return built


async def outcome(events: int = 40) -> tuple[dict[bytes, bytes | None], set[bytes | None]]:
    undisturbed = await machine(events)
    await undisturbed.run()
    return undisturbed.states(), undisturbed.commands()


@dataclass
class FailOnce:
    """Fails one append to `topic`, having written `kept` of its records."""

    topic: str
    kept: int
    skip: int = 0
    done: bool = False

    def __call__(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int | None:
        if topic != self.topic or self.done:
            return None
        if self.skip:
            self.skip -= 1
            return None
        self.done = True
        return min(self.kept, len(records))


PLACES = [
    *((f"effects, {kept} written", FailOnce, (SEND_COMMANDS, kept)) for kept in (0, 1, 99)),
    *((f"changelog, {kept} written", FailOnce, (CUSTOMERS_CHANGELOG, kept))
      for kept in (0, 1, 2, 3, 4, 5, 6, 99)),
]  # fmt: skip


@pytest.mark.parametrize("skip", [0, 1, 3])
@pytest.mark.parametrize(("topic", "kept"), [args for _, _, args in PLACES])
@pytest.mark.parametrize("killed", [False, True])
async def test_a_failing_append(topic: str, kept: int, skip: int, killed: bool) -> None:
    expected = await outcome()
    disturbed = await machine()
    fault = disturbed.log.fault = FailOnce(topic, kept, skip)
    rng = random.Random(skip)
    await disturbed.partition_manager.open(TP)
    while not fault.done:
        start = disturbed.partition_manager.start[TP]
        records = disturbed.log.topics[TP.topic][0][start:]
        await disturbed.process(records[: rng.randint(1, 9)])
    if killed:
        disturbed.boot()
    await disturbed.run(rng)
    assert (disturbed.states(), disturbed.commands()) == expected
    assert disturbed.seen.failures == ["log"]


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("place", ["check", "store", "done"])
async def test_a_crash_between_the_appends(place: str, killed: bool) -> None:
    class FailingStore(MemoryStore):
        def write(self, items: Sequence[tuple[bytes, bytes | None]], position: int) -> None:
            if armed and items:
                armed.clear()
                raise Crash("store")
            super().write(items, position)

    armed: list[bool] = []
    expected = await outcome()
    disturbed = await machine()
    disturbed.boot(lambda _: FailingStore())
    await disturbed.partition_manager.open(TP)
    records = disturbed.log.topics[TP.topic][0]
    await disturbed.process(records[:10])
    if place == "store":
        armed.append(True)
    disturbed.partition_manager.lease = FakeLease(
        fenced=place == "check", crash_at_done=place == "done"
    )
    await disturbed.process(records[10:20])
    assert len(disturbed.seen.failures) == 1
    if killed:
        disturbed.boot()
    await disturbed.run(random.Random(7))
    assert (disturbed.states(), disturbed.commands()) == expected


async def test_a_fenced_worker_writes_no_state() -> None:
    fenced = await machine()
    await fenced.partition_manager.open(TP)
    fenced.partition_manager.lease = FakeLease(fenced=True)
    await fenced.process(fenced.log.topics[TP.topic][0])
    assert fenced.log.records(CUSTOMERS_CHANGELOG) == []
    assert fenced.log.records(SEND_COMMANDS) == []
    assert fenced.seen.failures == ["fenced"]


async def test_who_is_fenced_while_partitions_are_counted_appends_no_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is awaited between the check and the append: a look-up at the broker may take long
    enough for the partition to be another's."""
    fenced = await machine()
    await fenced.partition_manager.open(TP)
    lease = fenced.partition_manager.lease
    count = fenced.log.partitions

    async def slow(topic: str) -> int:
        lease.fenced = True
        return await count(topic)

    monkeypatch.setattr(fenced.log, "partitions", slow)
    await fenced.process(fenced.log.topics[TP.topic][0])
    assert fenced.log.records(SEND_COMMANDS) == []
    assert fenced.seen.failures == ["fenced"]


async def test_a_stale_batch_changes_nothing() -> None:
    stale = await machine()
    await stale.partition_manager.open(TP)
    stale.partition_manager.stale = True
    await stale.process(stale.log.topics[TP.topic][0])
    assert stale.log.records(CUSTOMERS_CHANGELOG) == []
    assert stale.seen.failures == []


async def test_the_watermark_moves_last_and_to_the_end_of_the_batch() -> None:
    running = await machine(30)
    await running.partition_manager.open(TP)
    await running.process(running.log.topics[TP.topic][0][:30])
    assert running.partition_manager.lease.watermark == 30
    assert running.log.topics[CUSTOMERS_CHANGELOG][0][-1].key == PROGRESS_KEY


async def test_a_defect_in_an_actor_does_not_leave_the_body() -> None:
    running = await machine(5)
    await running.log.append(CUSTOMER_EVENTS, 0, [OutRecord(NAMES[0], b"boom")])
    await running.partition_manager.open(TP)
    records = running.log.topics[TP.topic][0]
    await running.process(records)
    assert running.seen.failures == ["defect"]
    assert running.log.records(CUSTOMERS_CHANGELOG) == []
    await running.process(records[:5])
    assert running.partition_manager.lease.watermark == 5


async def test_a_revoked_partition_is_dropped_unless_it_comes_back() -> None:
    running = await machine()
    await running.run()
    states = running.states()
    await running.runtime.closed(TP)
    with pytest.raises(NotOwned):
        running.runtime.read_customer(NAMES[0], 2)
    assert await running.runtime.opened(TP) == 40
    assert running.seen.recoveries[-1] == 0  # caught up, nothing to read
    assert running.states() == states

    await running.runtime.closed(TP)
    running.runtime.drop_unassigned([])
    assert await running.runtime.opened(TP) == 40
    assert running.seen.recoveries[-1] > 6  # from the beginning
    assert running.states() == states


async def test_a_partition_that_was_away_catches_up_with_the_other_owner() -> None:
    first = await machine()
    await first.partition_manager.open(TP)
    await first.process(first.log.topics[TP.topic][0][:20])
    await first.runtime.closed(TP)
    other = Machine(first.log)
    other.boot()
    await other.run()
    assert await first.runtime.opened(TP) == 40
    assert first.states() == other.states()


async def test_an_erased_customer_stays_erased_against_a_late_writer() -> None:
    running = await machine(0)
    log = running.log
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(NAMES[0], b"buy")])
    await running.run()
    old = next(each for each in log.topics[CUSTOMERS_CHANGELOG][0] if each.key == NAMES[0])
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(NAMES[0], b"erase")])
    await running.run()
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(old.key, old.value)])
    running.boot()
    await running.run()
    await running.partition_manager.open(TP)
    assert running.runtime.read_customer(NAMES[0], 2) is None
    theirs = [each for each in log.topics[CUSTOMERS_CHANGELOG][0] if each.key == NAMES[0]]
    delete_marker = theirs[-1]  # written again: it must be the last
    assert delete_marker.value is not None
    assert len(delete_marker.value) == HEAD_SIZE
    assert head(delete_marker.value).applied == 1


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_grave_ends_as_a_tombstone_unless_the_customer_is_back(comes_back: bool) -> None:
    clock = VirtualClock(START)
    log = await memory_log(clock=clock)
    running = Machine(log)
    running.boot()
    await log.append(
        CUSTOMER_EVENTS, 0, [OutRecord(NAMES[0], b"buy"), OutRecord(NAMES[0], b"erase")]
    )
    await running.run()
    running.boot()  # what was noted in memory is found again in the store
    clock.advance(START + KEPT_MS)
    late = OutRecord(NAMES[0], b"buy") if comes_back else OutRecord(None, b"")
    await log.append(CUSTOMER_EVENTS, 0, [late])
    await running.run()
    values = [r.value for r in log.topics[CUSTOMERS_CHANGELOG][0] if r.key == NAMES[0]]
    assert (values[-1] is None) != comes_back


async def test_a_large_batch_is_one_commit_and_reads_its_own_changes() -> None:
    large = await machine(2_500)
    await large.partition_manager.open(TP)
    await large.process(large.log.topics[TP.topic][0])
    assert large.seen.committed_batches == 1
    progress = [r for r in large.log.records(CUSTOMERS_CHANGELOG) if r.key == PROGRESS_KEY]
    assert len(progress) == 1
    assert (large.states(), large.commands()) == await outcome(2_500)


def test_parking_drops_only_what_is_gone() -> None:
    opened: dict[TopicPartition, MemoryStore] = {}

    def open_store(tp: TopicPartition) -> MemoryStore:
        opened[tp] = MemoryStore()
        opened[tp].write([(b"anna", b"1")], 5)
        return opened[tp]

    stores = RetainedStores(open_store)
    stays, goes = (TopicPartition("changelog", n) for n in range(2))
    for tp in (stays, goes):
        stores.retain(tp, stores.take(tp))
    stores.drop_unassigned({stays})
    assert stores.take(stays).position() == 5
    assert opened[goes].position() == 0
