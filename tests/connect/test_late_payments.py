"""A purchase is as old as its payment, in each kind of shop; what a shop doesn't say polls know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from schemas.time_units import DAY_MS
from streams.connect.facts import with_old_as_history
from streams.connect.shop_memory import WAITING_KEPT, ShopMemory, ShopNotes
from tests.connect import test_magento_polling as magento
from tests.connect import test_prestashop_polling as prestashop
from tests.connect.shapes import shopify_order
from tests.connect.standins import ShopifyStandin
from tests.connect.test_magento_receiver import ORDER_SAVED, Received, event, signatures
from tests.connect.test_magento_receiver import received as received  # noqa: PLC0414  # a fixture
from tests.connect.world import HOUR_MS, World

COMPLETED = "order:820001:completed"
PLACED = "2026-02-20T10:00:00Z"
"""Ten days before the clock of the tests."""


def transfer(status: str, updated: str, **fields: Any) -> dict[str, Any]:
    """Return an order of Shopify's that waits for a bank transfer, or has got it."""
    return shopify_order(
        financial_status=status, processed_at=PLACED, created_at=PLACED, updated_at=updated,
        **fields,
    )  # fmt: skip


async def told(world: World) -> dict[str, bool]:
    """Return of each event whether it is history, as it was told first."""
    found: dict[str, bool] = {}
    for each in await world.events():
        found.setdefault(each.id, each.backfill)
    return found


async def test_shopifys_poll_knows_which_orders_waited(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    polling = world.polling(connector)
    shopify.rows["orders"] = [
        transfer("pending", "2026-03-02T09:00:00Z"),
        transfer("paid", "2026-03-02T09:00:00Z", id=820002),
    ]
    await polling.poll(connector)
    world.clock.advance(world.clock.now() + HOUR_MS)
    shopify.rows["orders"] = [
        transfer("paid", "2026-03-02T11:00:00Z"),
        transfer("paid", "2026-03-02T11:00:00Z", id=820002),  # only its note was changed
    ]
    await polling.poll(connector)
    found = await told(world)
    assert (found[COMPLETED], found["order:820002:completed"]) == (False, True)
    assert connector.memory.waiting([820001]) == set()


@pytest.mark.parametrize(
    ("topic", "transactions", "is_history"),
    [
        ("orders/updated", [("sale", "success", "2026-03-02T09:30:00Z")], False),
        ("orders/updated", [("sale", "success", PLACED)], True),
        ("orders/updated", [("sale", "failure", "2026-03-02T09:30:00Z")], True),
        ("orders/updated", None, True),
        ("orders/paid", None, False),
    ],
)
async def test_of_an_old_order_shopify_is_asked_when_it_was_paid_for(
    world: World,
    shopify: ShopifyStandin,
    topic: str,
    transactions: list[tuple[str, str, str]] | None,
    is_history: bool,
) -> None:
    if transactions is not None:
        shopify.transactions["820001"] = [
            {"kind": kind, "status": status, "processed_at": time}
            for kind, status, time in transactions
        ]
    url = await world.endpoint(world.shopify(shopify))
    async with ClientSession() as session:
        order = transfer("paid", "2026-03-02T09:30:00Z")
        assert await shopify.send(session, url, topic, order) == 200
        young = shopify_order(820003)
        assert await shopify.send(session, url, topic, young) == 200
    assert (await told(world))[COMPLETED] is is_history


polled = magento.polled


async def test_magentos_poll_knows_which_orders_waited(polled: magento.Polled) -> None:
    shop = polled.shop
    late = {"payment": {"method": "stripe"}, "created_at": "2026-02-20 09:00:00"}
    waits = shop.add_order(301, "pending_payment", **late)
    old = shop.add_order(302, "processing", **late)
    await polled.poll()
    polled.pass_(60)
    shop.touch(waits, state="processing")
    shop.touch(old, customer_note="citofonare")
    await polled.poll()
    now = shop.clock.now()
    assert polled.last.became == {"order:000000301:completed": now}
    events = with_old_as_history(polled.last.events, now=now, became=polled.last.became)
    is_history = {each.id: each.backfill for each in events if each.id.endswith("completed")}
    assert is_history == {"order:000000301:completed": False, "order:000000302:completed": True}


async def test_adobes_event_says_itself_what_an_order_was(received: Received) -> None:
    from tests.connect.magento_shop import order  # noqa: PLC0415  # a name of its own there

    for before, became in (("pending_payment", True), ("processing", False)):
        row = order(301, "processing", "2026-03-02 09:15:00", created_at="2026-02-20 09:15:00")
        body = event(ORDER_SAVED, {**row, "_origData": {"state": before}})
        answer = await received.receive(body, signatures(body))
        assert answer.news is not None
        assert bool(answer.news.became) is became


shop_of_presta = prestashop.polled


async def test_prestashops_states_say_when(shop_of_presta: prestashop.Polled) -> None:
    shop = shop_of_presta.shop
    shop.add_customer(12, "anna@example.it")
    shop.clock.advance(shop.clock.now() + 60_000)
    shop.add_order(71, 12, 10, date_add=shop.local(shop.clock.now() - 20 * DAY_MS))
    shop.add_history(71, 10)
    shop_of_presta.pass_(60)
    shop.move(71, 2)
    await shop_of_presta.poll()
    assert shop_of_presta.last.became == {"order:71:completed": shop.clock.now()}


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    memory = ShopMemory(tmp_path / "x.sqlite")
    for start in (0, WAITING_KEPT):
        ids = range(start + 1, start + WAITING_KEPT + 1)
        memory.note(ShopNotes(waiting=dict.fromkeys(ids, True)))
    memory.note(ShopNotes(waiting={7: True, 10**30: True}))
    everything = memory.waiting(range(1, 2 * WAITING_KEPT + 2))
    assert len(everything) == WAITING_KEPT and 7 in everything
    memory.close()
