"""Records of forgotten visitors are removed, a few with each commit, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agents.definitions.published import Definitions
from agents.definitions.settings import VisitorLimits
from agents.partition.partition import PartitionActors
from schemas.customer import decode_customer
from schemas.records import OutRecord
from schemas.stored import OWN_PREFIX
from streams.clock import VirtualClock
from streams.partitioner import partition_of
from streams.runtime import visitor_expiry
from streams.runtime.customers import CustomersRuntime
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.log_identity import LogIdentity
from streams.runtime.state.memory import open_memory
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import StoreFactory
from streams.runtime.ticks import TICK, Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.keys import SIGNER
from tests.runtime.doubles import START, FakeLeases, MemoryLog, Seen, memory_log

TP = TopicPartition(CUSTOMER_EVENTS, 0)
DAY = 86_400_000
VISITORS = [name for name in (b"v%d" % n for n in range(80)) if partition_of(name, 2) == 0][:30]
ANNA = next(name for name in (b"anna%d" % n for n in range(9)) if partition_of(name, 2) == 0)


def event(
    customer: bytes, number: int, type_: bytes = b"page.viewed", value: bytes = b"{}"
) -> OutRecord:
    return OutRecord(customer, value, (("ce_id", b"e%d" % number), ("ce_type", type_)))


class Shop:
    """A partition, its owner, and time that passes by ticks."""

    def __init__(self, log: MemoryLog, clock: VirtualClock, open_store: StoreFactory) -> None:
        self.log = log
        self.clock = clock
        self.partition_manager = FakeLeases()
        self.ids = 0
        limits = VisitorLimits(days=90)
        definitions = Definitions(limits=limits)
        self.runtime = CustomersRuntime(
            signer=SIGNER,
            log=log,
            partition_manager=self.partition_manager,
            open_store=open_store,
            actors=partial(PartitionActors, definitions=definitions),
            loader=DefinitionLoader(log, definitions),
            ticks=Ticks(log, CUSTOMER_EVENTS, VirtualClock(START)),
            observer=Seen(),
            time_guard=TimeGuard(log, clock, SIGNER),
            identity=LogIdentity(log, SIGNER),
            limits=limits,
        )
        self.partition_manager.own(CUSTOMER_EVENTS, self.runtime)

    async def tell(self, *records: OutRecord) -> None:
        await self.log.append(CUSTOMER_EVENTS, 0, records)
        await self.catch_up()

    async def view(self, *customers: bytes) -> None:
        self.ids += len(customers)
        await self.tell(*(event(each, self.ids - n) for n, each in enumerate(customers)))

    async def pass_days(self, days: int) -> None:
        """One tick, and all the looking that follows from it."""
        self.clock.advance(self.clock.now() + days * DAY)
        await self.tell(TICK)

    async def catch_up(self) -> None:
        while records := self.log.topics[CUSTOMER_EVENTS][0][self.partition_manager.start[TP] :]:
            await self.runtime.process(PartitionBatch(tp=TP, fetch_epoch=1, records=records))
            await self.look()

    async def look(self) -> None:
        removal = self.runtime._open[TP].removal
        while removal._looking is not None and not removal._looking.done():
            await asyncio.sleep(0)
            if len(removal._found) >= visitor_expiry.MOST_FOUND:
                return  # it waits for a commit

    @property
    def kept(self) -> set[bytes]:
        store = self.runtime._open[TP].changelog.store
        return {key for key, _ in store.scan() if not key.startswith(OWN_PREFIX)}


@pytest.fixture(params=["memory", "rocks"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreFactory]:
    yield open_memory if request.param == "memory" else RocksStores(tmp_path)


@pytest.fixture
async def shop(open_store: StoreFactory) -> Shop:
    clock = VirtualClock(START)
    shop = Shop(await memory_log(clock=clock), clock, open_store)
    await shop.partition_manager.open(TP)
    await shop.tell(event(ANNA, 0, b"customer.created", b'{"email": "anna@example.com"}'))
    await shop.view(*VISITORS)
    return shop


async def test_the_forgotten_go_and_the_others_stay(shop: Shop) -> None:
    await shop.pass_days(60)
    await shop.view(*VISITORS[:5])
    await shop.pass_days(31)
    await shop.pass_days(0)
    assert shop.kept == {ANNA, *VISITORS[:5]}
    assert shop.runtime.forgotten() == len(VISITORS) - 5
    gone = {r.key for r in shop.log.topics[CUSTOMERS_CHANGELOG][0] if r.value is None}
    assert gone == set(VISITORS[5:])


async def test_nobody_goes_before_the_time(shop: Shop) -> None:
    for _ in range(90):
        await shop.pass_days(1)
    assert len(shop.kept) == 1 + len(VISITORS)
    for _ in range(3):
        await shop.pass_days(1)
    assert shop.kept == {ANNA}


async def test_so_many_with_one_commit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor_expiry, "AT_ONCE", 7)
    monkeypatch.setattr(visitor_expiry, "MOST_FOUND", 10)
    await shop.pass_days(91)
    left = []
    while len(shop.kept) > 1:
        left.append(len(shop.kept) - 1)
        partition = shop.runtime._open[TP]
        assert partition.due <= partition.progress.log_time, "the owner ticks at once"
        await shop.pass_days(0)
    assert left == [30, 23, 16, 9, 2]
    assert shop.runtime._open[TP].due > shop.clock.now()


async def test_who_comes_back_meanwhile_stays_and_begins_anew(shop: Shop) -> None:
    await shop.pass_days(91)
    await shop.view(VISITORS[3])  # in the batch whose commit removes the others
    assert shop.kept == {ANNA, VISITORS[3]}
    stored = shop.runtime.read_customer(VISITORS[3], 2)
    assert stored is not None
    assert decode_customer("v", stored).views == 1
    await shop.pass_days(0)
    assert shop.kept == {ANNA, VISITORS[3]}


async def test_a_partition_that_is_let_go_in_the_middle_is_looked_through_again(
    shop: Shop,
) -> None:
    shop.clock.advance(START + 91 * DAY)
    await shop.log.append(CUSTOMER_EVENTS, 0, [TICK])
    batch = PartitionBatch(tp=TP, fetch_epoch=1, records=shop.log.topics[CUSTOMER_EVENTS][0][-1:])
    await shop.runtime.process(batch)
    await shop.runtime.closed(TP)
    await shop.partition_manager.open(TP)
    assert len(shop.kept) == 1 + len(VISITORS)
    await shop.pass_days(0)  # the opening counts from here
    await shop.pass_days(1)
    await shop.pass_days(0)
    assert shop.kept == {ANNA}
    shop.runtime.close()
