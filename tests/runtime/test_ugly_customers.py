"""A whole worker meets customers who would have filled a record: the partition goes on.

The real partition manager, the real runtime, the embedded log and its limits. Each of these stopped
a partition for ever: three events full of emoji, 1,100 list names, a merge and a forward over the
log's limit.
"""

from __future__ import annotations

import pytest

from agents.commerce import cart
from schemas.customer import decode_customer
from schemas.records import OutRecord
from schemas.topics import CUSTOMERS_CHANGELOG, DEAD_LETTERS
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime.worker import Worker
from tests.runtime.test_worker import (
    Start,
    all_done,
    clock,
    event,
    everything,
    inbox,
    settings,
    start,
    tell,
    worker,
)

__all__ = ["clock", "inbox", "settings", "start", "worker"]

EMOJI = "🦊"
TEXT = EMOJI * 200


def products(number: int, first: int = 0) -> list[dict[str, str]]:
    return [
        {"product_id": f"{first + n:04}" + EMOJI * 49, "name": TEXT, "category": TEXT,
         "url": EMOJI * 120, "image_url": EMOJI * 120}
        for n in range(number)
    ]  # fmt: skip


def ugly(customer: str) -> list[OutRecord]:
    """Return what stopped a partition."""
    events = [
        event(
            "order.completed",
            f"{customer}1",
            customer,
            order_id="o1",
            total=1,
            products=products(100),
        ),
        event(
            "order.completed",
            f"{customer}2",
            customer,
            order_id="o2",
            total=1,
            products=products(95, 95),
        ),
        event("checkout.started", f"{customer}3", customer, products=products(90, 200)),
    ]
    for number in range(1_100):
        name = f"{number}" + EMOJI * 20
        events.append(event("list.subscribed", f"{customer}/{number}", customer, list=name))
    return [_declared(each) for each in events] if customer.startswith("v") else events


def _declared(record: OutRecord) -> OutRecord:
    """Return an event that says that it is a visitor's."""
    anonymous = ("ce_anonymousid", record.key or b"")
    return record._replace(headers=[*record.headers, anonymous])


async def letters(log: Log) -> set[str]:
    """Return why records were refused."""
    found = await everything(log, DEAD_LETTERS)
    return {(record.header("dl_reason") or b"").decode() for record in found}


async def served(worker: Worker, name: str) -> bool:
    """Whether a customer of the same partition as `v1` is served."""
    home = partition_of(b"v1", 2)
    other = next(f"{name}{n}" for n in range(99) if partition_of(f"{name}{n}".encode(), 2) == home)
    await tell(worker.log, event("page.viewed", name, other))
    await all_done(worker)
    kept = await everything(worker.log, CUSTOMERS_CHANGELOG)
    states = [record.value for record in kept if record.key == other.encode()]
    return decode_customer(other, states[-1] or b"").views == 1


async def test_the_partition_goes_on_and_others_are_served(worker: Worker) -> None:
    await tell(worker.log, *ugly("v1"))
    assert await served(worker, "a")
    await tell(worker.log, event("customer.identified", "i1", "anna", anonymous_id="v1"))
    assert await served(worker, "b")
    grown = b'{"x":[' + b",".join([b"1E9"] * 240_000) + b"]}"
    await tell(worker.log, _declared(event("customer.updated", "u1", "v1"))._replace(value=grown))
    assert await served(worker, "c")
    assert await letters(worker.log) == {"too_large"}, "what would have grown when passed on"


@pytest.mark.slow
async def test_a_defect_in_a_bound_refuses_the_event_across_a_restart(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cart, "_fit", lambda _: None)
    worker = await start()
    full = [
        event("cart.product_added", f"c{number}", "v1", **product)
        for number, product in enumerate(products(1_000))
    ]
    await tell(worker.log, *full[:700])
    await all_done(worker)
    await worker.stop()
    worker = await start()
    await tell(worker.log, *full[700:])
    assert await served(worker, "a")
    assert await letters(worker.log) == {"record_full"}
    await worker.stop()
    worker = await start()
    assert await served(worker, "b")
