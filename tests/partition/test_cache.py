"""Decoded customers: the limit always holds, and what is not written yet is never lost."""

from __future__ import annotations

import gc
import json
import tracemalloc

import pytest

from agents.definitions.published import Definitions
from agents.partition.cache import EMPTY, PER_KEPT_BYTE, CacheMemory
from agents.partition.partition import PartitionActors
from schemas.customer import Customer, decode_customer
from schemas.records import Record
from schemas.stored import Progress
from schemas.topics import CUSTOMER_EVENTS
from tests.harness import START, Harness

CUSTOMERS = 300


def views(count: int, customers: int = CUSTOMERS) -> list[Record]:
    return [
        Record(CUSTOMER_EVENTS, 0, number, START, f"c{number % customers:03}".encode(),
               json.dumps({"product_id": f"p{number % 7}"}).encode(),
               (("ce_id", b"e%d" % number), ("ce_type", b"product.viewed")))
        for number in range(count)
    ]  # fmt: skip


def actors(memory: CacheMemory) -> PartitionActors:
    return PartitionActors(
        partition=0, load=lambda _: None, definitions=Definitions(), progress=Progress(),
        memory=memory,
    )  # fmt: skip


def test_the_limit_holds_within_a_batch_and_nothing_is_lost() -> None:
    """Each customer comes four times in one batch, and most of them are gone in between."""
    memory = CacheMemory(20 * EMPTY)
    small, large = actors(memory), actors(CacheMemory())
    most = 0
    for record in views(4 * CUSTOMERS):
        small.absorb([record])
        most = max(most, memory.used)
    assert most <= 20 * EMPTY
    large.absorb(views(4 * CUSTOMERS))
    assert small.take().states == large.take().states


def test_a_popular_product_does_not_fill_it() -> None:
    """20,001 customers were in a cache of 10,000 until the next batch came."""
    harness = Harness.of("""
id: w1
title: {en: Told}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: product}
steps: [{id: tag, tag: told}]
""")
    from tests.products.test_products import feed  # noqa: PLC0415  # its own feed

    feed(harness, price="30.00")
    for number in range(CUSTOMERS):
        harness.add("moka", f"c{number:03}")
    memory, store = CacheMemory(20 * EMPTY), dict(harness.store)
    small = PartitionActors(
        partition=0, load=store.get, definitions=harness.definitions, progress=harness._progress,
        products=harness._under(b"\x00product/"), scan=store.items, memory=memory, visits=10_000,
    )  # fmt: skip
    feed(harness, price="20.00")
    small.absorb(harness.records[-1:])
    assert memory.used <= 20 * EMPTY
    kept = {key: stored for key, stored in small.take().states if key.startswith(b"c") and stored}
    told = [key for key in kept if "told" in decode_customer(key.decode(), kept[key]).tags]
    assert len(told) == CUSTOMERS


def test_partitions_share_it_evenly() -> None:
    memory = CacheMemory(100 * EMPTY)
    first = actors(memory)
    first.absorb(views(CUSTOMERS))
    alone = memory.used
    assert 50 * EMPTY < alone <= 100 * EMPTY
    second = actors(memory)
    assert memory.used <= 50 * EMPTY, "the first one makes room at once"
    second.absorb(views(CUSTOMERS))
    assert 50 * EMPTY < memory.used <= 100 * EMPTY
    del first
    gc.collect()
    assert memory.used <= 50 * EMPTY


def test_what_a_customer_takes_is_measured_when_changes_are_taken() -> None:
    let_go: list[bytes] = []

    class Owner:
        def let_go(self, key: bytes, customer: Customer) -> None:
            let_go.append(key)

    owner = Owner()
    cache = CacheMemory(3 * EMPTY).open(owner.let_go)
    cache.put(b"a", Customer("a"), 0)
    cache.put(b"b", Customer("b"), 0)
    assert cache.used == 2 * EMPTY
    cache.measured([(b"a", bytes(10)), (b"let go", bytes(10))])
    assert cache.used == 2 * EMPTY + 10 * PER_KEPT_BYTE
    cache.put(b"c", Customer("c"), 100)
    assert let_go == [b"a"]
    cache.put(b"d", Customer("d"), 10_000)
    assert list(cache.customers) == [b"d"], "one is always there, however large"


@pytest.mark.parametrize("events", [1, 8, 60])
def test_the_estimate_is_no_smaller_than_what_they_take(events: int) -> None:
    partition = actors(CacheMemory())
    partition.absorb(views(events * 10, customers=10))
    stored = [kept or b"" for _, kept in partition.take().states]
    gc.collect()
    tracemalloc.start()
    try:
        decoded = [decode_customer("c", each) for each in stored for _ in range(20)]
        taken = tracemalloc.get_traced_memory()[0] / len(decoded)
    finally:
        tracemalloc.stop()
    average = sum(map(len, stored)) / len(stored)
    assert taken <= EMPTY + PER_KEPT_BYTE * average


def test_it_can_be_emptied_at_any_time_and_nothing_is_lost() -> None:
    memory, whole = CacheMemory(), actors(CacheMemory())
    one, other = actors(memory), actors(memory)
    pauses = 0
    for record in views(4 * CUSTOMERS):
        one.absorb([record])
        if record.offset % 500 == 400:
            pauses += sum(1 for _ in memory.empty())
            assert memory.used == 0
    whole.absorb(views(4 * CUSTOMERS))
    assert one.take().states == whole.take().states
    assert pauses == 2, "twice three hundred customers"
    assert other.take().states == []


def test_what_is_encoded_in_advance_may_still_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.partition.customers.PAUSE", 10)
    before, whole = actors(CacheMemory()), actors(CacheMemory())
    records = views(2 * CUSTOMERS)
    before.absorb(records[:400])
    assert sum(1 for _ in before.encoding()) == CUSTOMERS // 10
    before.absorb(records[400:])
    list(before.encoding())
    whole.absorb(records)
    assert before.take().states == whole.take().states
    assert list(before.encoding()) == []
