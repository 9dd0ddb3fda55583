"""What actors tell each other counts once, wherever between two steps of the commit a crash falls.

The real actors on two partitions. A partition's changelog fails at a marked record: by then all
effects of its batch are in the log, and are appended a second time when the batch is read again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest

from agents.definitions.published import Definitions
from agents.partition.partition import PartitionActors
from schemas.customer import Customer, decode_customer
from schemas.dead_letters import refuse, signed_letter
from schemas.definitions import DEFINITION, canonical
from schemas.origin import Origin
from schemas.pending_work import CatalogueChange
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor
from schemas.retry import Retry
from schemas.stored import FORMAT
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS
from schemas.yaml_text import Document
from streams.clock import VirtualClock
from streams.operate.dead_letters import open_letters, resend
from streams.operate.retrying import retry_record
from streams.partitioner import partition_of
from streams.runtime.control_numbers import Reserved, reserve
from streams.runtime.customers import CustomersRuntime
from streams.runtime.definitions import DefinitionLoader, publish
from streams.runtime.log_identity import LogIdentity
from streams.runtime.state.memory import open_memory
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.topology import WORKFLOWS
from tests.keys import SIGNER
from tests.runtime.doubles import START, FakeLeases, MemoryLog, Seen, memory_log

PARTITIONS = 2

POOL = """
id: coupons
definition: coupons
campaigns:
  - {id: gift, kind: gift, description: {it: regalo}, pool: [%s]}
"""
GIVES = """
id: w22-gives
title: {it: Codice}
trigger: order.completed
entry: {once_per: order}
steps:
  - {id: code, coupon: gift}
"""
CODES = [f"CODE-{number}" for number in range(500)]


def home(name: str) -> int:
    return partition_of(name.encode(), PARTITIONS)


def named(partition: int, prefix: str = "c") -> list[str]:
    """Return 150 names whose partition it is."""
    names = (f"{prefix}{number}" for number in range(2_000))
    return [name for name in names if home(name) == partition][:150]


@dataclass
class Break:
    """Fails one append to the changelog of a partition, `kept` records of which are written."""

    partition: int
    kept: int
    done: bool = False

    def __call__(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int | None:
        if self.done or (topic, partition) != (CUSTOMERS_CHANGELOG, self.partition):
            return None
        self.done = True
        return min(self.kept, len(records) - 1)


@dataclass
class Machine:
    """Both partitions in one process, which can be killed."""

    log: MemoryLog
    seen: Seen = field(default_factory=Seen)

    def boot(self) -> None:
        definitions = Definitions()
        self.partition_managers = [FakeLeases() for _ in range(PARTITIONS)]
        self.runtimes: list[CustomersRuntime] = []
        for partition_manager in self.partition_managers:
            runtime = CustomersRuntime(
                log=self.log,
                partition_manager=partition_manager,
                open_store=open_memory,
                actors=partial(
                    PartitionActors,
                    definitions=definitions,
                    home=lambda key: partition_of(key, PARTITIONS),
                    signer=SIGNER,
                ),
                loader=DefinitionLoader(self.log, definitions),
                ticks=Ticks(self.log, CUSTOMER_EVENTS, VirtualClock(START)),
                observer=self.seen,
                time_guard=TimeGuard(self.log, self.log.clock, SIGNER),
                identity=LogIdentity(self.log, SIGNER),
                signer=SIGNER,
            )
            partition_manager.own(CUSTOMER_EVENTS, runtime)
            self.runtimes.append(runtime)

    async def read(self, partition: int) -> bool:
        """Take all that is unread in one batch; return whether there was anything."""
        tp, partition_manager = (
            TopicPartition(CUSTOMER_EVENTS, partition),
            self.partition_managers[partition],
        )
        if tp not in partition_manager.start:
            await partition_manager.open(tp)
        records = self.log.topics[CUSTOMER_EVENTS][partition][partition_manager.start[tp] :]
        if records:
            batch = PartitionBatch(tp=tp, fetch_epoch=1, records=records)
            await self.runtimes[partition].process(batch)
        return bool(records)

    async def rest(self) -> None:
        """Read until nothing is unread."""
        while any([await self.read(number) for number in range(PARTITIONS)]):
            pass

    def customer(self, name: str) -> Customer:
        stored = self.runtimes[home(name)].read_customer(name.encode(), PARTITIONS)
        return Customer(key=name) if stored is None else decode_customer(name, stored)


async def machine(*texts: str) -> Machine:
    log = await memory_log(PARTITIONS)
    files = [DEFINITION.validate_python(Document(text).content) for text in texts]
    await publish(log, {each.id: canonical(each) for each in files}, SIGNER)
    built = Machine(log)
    built.boot()
    await built.rest()
    return built


def event(type_: str, id_: str, customer: str, **data: object) -> OutRecord:
    headers = {"ce_id": id_, "ce_source": "/shop", "ce_type": type_}
    raw = tuple((name, text.encode()) for name, text in headers.items())
    return OutRecord(customer.encode(), json.dumps(data).encode(), raw)


async def crash(built: Machine, partition: int, kept: int, *, killed: bool) -> None:
    """Let the partition fail once between the effects and the state."""
    fault = built.log.fault = Break(partition, kept)
    await built.read(partition)
    assert fault.done
    if killed:
        built.boot()


Crashes = pytest.mark.parametrize(
    ("kept", "killed"), [(0, False), (0, True), (1, True), (40, True), (999, True), (999, False)]
)


@Crashes
async def test_200_forwarded_events_give_200_views(kept: int, killed: bool) -> None:
    visitor, customer = named(0, "v")[0], named(1)[0]
    built = await machine()
    link = event("customer.identified", "link", visitor, customer_id=customer)
    views = [event("product.viewed", f"e{n}", visitor, product_id="p") for n in range(200)]
    await built.log.append(CUSTOMER_EVENTS, 0, [views[0]._replace(headers=event(
        "product.viewed", "first", visitor).headers), link])  # fmt: skip
    await built.rest()
    await built.log.append(CUSTOMER_EVENTS, 0, views)
    await crash(built, 0, kept, killed=killed)
    await built.rest()
    told = len(built.log.topics[CUSTOMER_EVENTS][1])
    assert built.customer(customer).views == 201
    if kept == 0:
        assert told > 400, "they were appended twice"


@Crashes
async def test_100_requests_told_twice_use_100_codes(kept: int, killed: bool) -> None:
    pool = home("ritorno/coupons/gift")
    names = named(1 - pool)[:100]
    built = await machine(POOL % ", ".join(CODES), GIVES)
    line = [{"product_id": "p", "price": "1"}]
    orders = [event("order.completed", f"e-{name}", name, order_id=name, products=line)
              for name in names]  # fmt: skip
    await built.log.append(CUSTOMER_EVENTS, 1 - pool, orders)
    await crash(built, 1 - pool, kept, killed=killed)
    await built.rest()
    given = [coupon.code for name in names for coupon in built.customer(name).coupons]
    assert len(given) == len(set(given)) == 100
    issued = [r for r in built.log.records(CUSTOMER_EVENTS)
              if r.header("ce_type") == b"coupon.issued"]  # fmt: skip
    assert len(issued) == 100, "the pool has answered each request once"


@pytest.mark.parametrize("kept", [0, 1])
async def test_a_repeated_merge_brings_nobody_back(kept: int) -> None:
    visitor, customer = named(0, "v")[0], named(1)[0]
    built = await machine()
    await built.log.append(CUSTOMER_EVENTS, 0, [
        event("product.viewed", "e1", visitor, product_id="p"),
        event("customer.identified", "e2", visitor, customer_id=customer, email="a@example.it"),
    ])  # fmt: skip
    await crash(built, 0, kept, killed=False)
    await built.read(1)
    assert built.customer(customer).profile.email == "a@example.it"
    await built.log.append(CUSTOMER_EVENTS, 1, [
        event("customer.erasure_requested", "e3", customer)
    ])  # fmt: skip
    await built.read(1)
    await built.rest()
    assert built.customer(customer) == Customer(
        key=customer, applied=built.customer(customer).applied
    )
    built.boot()
    await built.rest()
    assert built.customer(customer).first_seen == 0


@pytest.mark.parametrize("kept", [0, 2])
async def test_a_moved_record_counts_once(kept: int) -> None:
    """A producer with another partitioner; a hundred records are more than anybody remembers."""
    customer = named(1)[0]
    built = await machine()
    views = [event("product.viewed", f"e{n}", customer, product_id="p") for n in range(100)]
    stay = [event("product.viewed", f"s{n}", name) for n, name in enumerate(named(0)[:5])]
    await built.log.append(CUSTOMER_EVENTS, 0, [*stay, *views])
    await crash(built, 0, kept, killed=True)
    await built.rest()
    assert len(built.log.topics[CUSTOMER_EVENTS][1]) > 200
    assert built.customer(customer).views == 100


async def test_what_was_told_is_not_moved_from_where_it_was_copied_to() -> None:
    """Moved, it would have an origin that its receiver has not heard."""
    visitor, customer = named(0, "v")[0], named(1)[0]
    built = await machine()
    views = [event("product.viewed", f"e{n}", visitor, product_id="p") for n in range(10)]
    link = event("customer.identified", "link", customer, anonymous_id=visitor)
    await built.log.append(CUSTOMER_EVENTS, 0, views)
    await built.log.append(CUSTOMER_EVENTS, 1, [link])
    await built.rest()
    assert built.customer(customer).views == 10
    told = [r for r in built.log.topics[CUSTOMER_EVENTS][1] if r.header("ritorno_origin")]
    copies = [OutRecord(record.key, record.value, record.headers) for record in told]
    await built.log.append(CUSTOMER_EVENTS, 0, copies)
    await built.rest()
    assert built.customer(customer).views == 10
    erasure = event("customer.erasure_requested", "erase", customer)
    await built.log.append(CUSTOMER_EVENTS, 1, [erasure])
    await built.rest()
    await built.log.append(CUSTOMER_EVENTS, 0, copies)
    await built.rest()
    assert built.customer(customer).first_seen == 0
    letters = built.log.records(DEAD_LETTERS)
    assert [each.header("dl_reason") for each in letters] == [b"misplaced"] * 2 * len(copies)
    report = await resend(built.log, lambda _: True, lambda: SIGNER)
    assert (report.resent, len(report.kept)) == (0, 2 * len(copies))
    assert {why for _, why in report.kept} == {
        "a copy of what was told to another partition: not told once more"
    }
    await built.rest()
    assert built.customer(customer).first_seen == 0


@pytest.mark.parametrize("defect", ["unsigned", "internal_error"])
async def test_nor_is_what_was_refused_there_for_another_reason(defect: str) -> None:
    """By a worker that lacked a key: the letter says nothing of the partition."""
    customer = named(1)[0]
    built = await machine()
    header = Origin(0, 1, 2, 3).header()
    told = event("product.viewed", "e", customer, product_id="p")
    told = SIGNER.sign(CUSTOMER_EVENTS, told._replace(headers=[*told.headers, header]))
    for partition in range(PARTITIONS):
        record = Record(CUSTOMER_EVENTS, partition, 7, START, *told)
        letter = refuse(record, reason=defect, detail="", time=START)
        await built.log.append(DEAD_LETTERS, 0, [signed_letter(letter, SIGNER)])
    report = await resend(built.log, lambda _: True, lambda: SIGNER)
    assert (report.resent, [each.origin.partition for each, _ in report.kept]) == (1, [0])
    await built.rest()
    assert built.customer(customer).views == 1


async def test_what_was_told_and_sent_again_is_heard_once_however_often_it_is_copied() -> None:
    """It has no origin any more, and an erasure forgets the ids that were heard."""
    visitor, customer = named(0, "v")[0], named(1)[0]
    built = await machine()
    await built.log.append(CUSTOMER_EVENTS, 0, [
        event("product.viewed", "e1", visitor, product_id="p"),
        event("customer.identified", "e2", visitor, customer_id=customer, email="a@example.it"),
    ])  # fmt: skip
    await built.read(0)
    unread = built.log.topics[CUSTOMER_EVENTS][1]
    while unread and unread[-1].header("ritorno_origin"):
        letter = refuse(unread.pop(), reason="internal_error", detail="", time=START)
        await built.log.append(DEAD_LETTERS, 0, [signed_letter(letter, SIGNER)])
    before = len(unread)
    report = await resend(built.log, lambda _: True, lambda: SIGNER)
    await built.rest()
    assert (report.kept, built.customer(customer).views) == ([], 1)
    resent = unread[before:]
    assert {b"visitor.merged"} <= {record.header("ce_type") for record in resent}
    erasure = event("customer.erasure_requested", "erase", customer)
    await built.log.append(CUSTOMER_EVENTS, 1, [erasure])
    await built.rest()
    merge = next(each for each in resent if each.header("ce_type") == b"visitor.merged")
    for partition in (1, 0):
        await built.log.append(CUSTOMER_EVENTS, partition, [OutRecord(*merge[4:])])
        await built.rest()
        built.boot()
        await built.rest()
    assert built.customer(customer).first_seen == 0
    reasons = [each.header("dl_reason") for each in built.log.records(DEAD_LETTERS)]
    assert reasons[-2:] == [b"outdated", b"misplaced"]
    report = await resend(built.log, lambda _: True, lambda: SIGNER)
    await built.rest()
    assert (report.resent, len(report.kept)) == (0, 2)
    assert built.customer(customer).first_seen == 0


def retried(retry: Retry, reserved: Reserved) -> OutRecord:
    return SIGNER.sign(CUSTOMER_EVENTS, reserved.on(retry_record(retry)))


async def test_a_retry_that_was_obeyed_is_not_obeyed_again_when_its_copy_is_sent_again() -> None:
    built = await machine()
    retry = Retry(news=[CatalogueChange("price_drop", "p", "p", "c", "p")], partition=1)
    told = retried(retry, await reserve(built.log, WORKFLOWS))
    await built.log.append(CUSTOMER_EVENTS, 1, [told])
    await built.rest()
    await built.log.append(CUSTOMER_EVENTS, 1, [told])
    await built.rest()
    (letter,) = built.log.records(DEAD_LETTERS)
    assert letter.header("dl_reason") == b"outdated"
    before = len(built.log.records(CUSTOMER_EVENTS))
    report = await resend(built.log, lambda _: True, lambda: SIGNER)
    assert (report.resent, [why for _, why in report.kept]) == (
        0, ["a retry that has a number was told before: not told once more"]
    )  # fmt: skip
    assert len(built.log.records(CUSTOMER_EVENTS)) == before


async def test_a_retry_is_obeyed_in_its_partition_and_in_no_other() -> None:
    """Its number would be new there."""
    built = await machine()
    retry = Retry(news=[CatalogueChange("price_drop", "p", "p", "c", "p")], partition=1)
    told = retried(retry, await reserve(built.log, WORKFLOWS))
    for partition in (1, 0):
        await built.log.append(CUSTOMER_EVENTS, partition, [told])
    await built.rest()
    (letter,) = built.log.records(DEAD_LETTERS)
    assert (letter.header("dl_reason"), letter.header("dl_partition")) == (b"misplaced", b"0")
    report = await resend(built.log, lambda _: True, lambda: SIGNER)
    await built.rest()
    assert report.resent == 0
    assert len(built.log.records(DEAD_LETTERS)) == 1


async def test_a_letter_that_was_sent_again_is_dealt_with_however_often_it_is_copied() -> None:
    built = await machine()
    plain = SIGNER.sign(CUSTOMER_EVENTS, retry_record(Retry(named(1)[0], follow=True)))
    refused = refuse(
        Record(CUSTOMER_EVENTS, 1, 7, START, *plain), reason="internal_error", detail="", time=START
    )
    letter = signed_letter(refused, SIGNER)
    await built.log.append(DEAD_LETTERS, 0, [letter, letter])  # as a crash of ours leaves it
    assert (await resend(built.log, lambda _: True, lambda: SIGNER)).resent == 1
    tagged = letter._replace(headers=[("tag", b"1"), *letter.headers])
    await built.log.append(DEAD_LETTERS, 0, [letter, tagged])
    assert (await resend(built.log, lambda _: True, lambda: SIGNER)).resent == 0
    assert [each async for each in open_letters(built.log)] == []


async def test_a_visitor_that_changed_hands_is_not_given_back() -> None:
    first, second = named(0)[:2]
    visitor = named(1, "v")[0]
    built = await machine()
    await built.log.append(CUSTOMER_EVENTS, 0, [
        event("customer.identified", "e1", first, anonymous_id=visitor)
    ])  # fmt: skip
    await crash(built, 0, 0, killed=False)
    await built.read(1)
    link = event("customer.identified", "e2", visitor, customer_id=second)
    many = [event("product.viewed", f"e{n}", visitor) for n in range(3, 90)]
    await built.log.append(CUSTOMER_EVENTS, 1, [link, *many])
    await built.read(1)
    await built.rest()
    assert built.customer(of_visitor(visitor)).became == second


async def test_a_merge_told_by_the_next_release_waits_for_a_worker_that_can_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor, customer = named(0, "v")[0], named(1)[0]
    built = await machine()
    await built.log.append(CUSTOMER_EVENTS, 0, [
        event("product.viewed", "e1", visitor, product_id="p"),
        event("customer.identified", "e2", visitor, customer_id=customer),
    ])  # fmt: skip
    await built.read(0)
    unread = built.log.topics[CUSTOMER_EVENTS][1]
    (merge,) = [n for n, r in enumerate(unread) if r.header("ce_type") == b"visitor.merged"]
    told = json.loads(unread[merge].value or b"")
    told["format"] = FORMAT + 1
    newer = OutRecord(unread[merge].key, json.dumps(told).encode(), unread[merge].headers)
    unread[merge] = Record(*unread[merge][:4], *SIGNER.sign(CUSTOMER_EVENTS, newer))
    for _ in range(3):
        await built.read(1)
    assert built.customer(customer).first_seen == 0
    assert not built.log.records(DEAD_LETTERS), "neither refused nor set aside"
    assert built.seen.failures == ["fenced"] * 3
    monkeypatch.setattr("schemas.stored.FORMAT", FORMAT + 1)
    await built.read(1)
    assert built.customer(customer).views == 1
