"""A record at which the actors fail, by a defect of ours, neither stops its partition nor passes in
silence: it is refused at the second attempt, and everybody else's events count."""

from __future__ import annotations

from functools import partial

import pytest

from agents.context import Context, DomainEvent
from agents.customer import actor
from agents.definitions.published import Definitions
from agents.partition.batch import BatchChanges
from agents.partition.partition import PartitionActors
from schemas.customer import Customer, decode_customer
from schemas.dead_letters import DeadLetter, read_letter
from schemas.events import Event
from schemas.records import OutRecord
from schemas.topics import DEAD_LETTERS
from streams.clock import VirtualClock
from streams.partitioner import partition_of
from streams.runtime.customers import CustomersRuntime
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.log_identity import LogIdentity
from streams.runtime.state.memory import open_memory
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.topology import CUSTOMER_EVENTS
from tests.keys import SIGNER
from tests.runtime.doubles import START, FakeLeases, memory_log

TP = TopicPartition(CUSTOMER_EVENTS, 0)
ANNA, BRUNO = [name for name in (b"c%d" % n for n in range(40)) if partition_of(name, 2) == 0][:2]


class Uncounted:
    def committed(self, partition: int, changes: BatchChanges) -> None: ...
    def recovered(self, partition: int, recovered: object) -> None: ...
    def failed(self, partition: int, reason: str) -> None: ...
    def set_aside(self, partition: int, what: str) -> None: ...
    def closed(self, partition: int) -> None: ...


def viewed(customer: bytes, number: int) -> OutRecord:
    headers = (("ce_id", b"e%d" % number), ("ce_type", b"page.viewed"))
    return OutRecord(customer, b"{}", headers)


def fail_for_bruno(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    if event.id == "e2":
        raise ZeroDivisionError("a defect")
    customer.views += 1
    return []


async def test_a_defect_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(actor._HANDLERS, "page.viewed", fail_for_bruno)  # type: ignore[arg-type]  # a Mapping for everybody else
    log = await memory_log()
    await log.append(
        CUSTOMER_EVENTS, 0, [viewed(ANNA, 1), viewed(BRUNO, 2), viewed(BRUNO, 3), viewed(ANNA, 4)]
    )
    partition_manager, definitions = FakeLeases(), Definitions()
    runtime = CustomersRuntime(
        signer=SIGNER,
        log=log,
        partition_manager=partition_manager,
        open_store=open_memory,
        actors=partial(PartitionActors, definitions=definitions),
        loader=DefinitionLoader(log, definitions),
        ticks=Ticks(log, CUSTOMER_EVENTS, VirtualClock(START)),
        observer=Uncounted(),
        time_guard=TimeGuard(log, log.clock, SIGNER),
        identity=LogIdentity(log, SIGNER),
    )
    partition_manager.own(CUSTOMER_EVENTS, runtime)
    await partition_manager.open(TP)
    while records := log.topics[CUSTOMER_EVENTS][0][partition_manager.start[TP] :]:
        await runtime.process(PartitionBatch(tp=TP, fetch_epoch=1, records=records))

    views = {}
    for key in (ANNA, BRUNO):
        stored = runtime.read_customer(key, 2)
        assert stored is not None
        views[key] = decode_customer(key.decode(), stored).views
    assert views == {ANNA: 2, BRUNO: 1}
    partition = partition_of(BRUNO, await log.partitions(DEAD_LETTERS))
    letters = [read_letter(record) for record in log.topics[DEAD_LETTERS][partition]]
    assert [each.reason for each in letters if isinstance(each, DeadLetter)] == ["internal_error"]
    assert [each.origin.offset for each in letters if isinstance(each, DeadLetter)] == [1]
