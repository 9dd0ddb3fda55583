"""A Shopify shop sends and is asked, as the reference says it does."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import ClientSession

from streams.connect.backfill import backfill, forget
from streams.connect.connector import ShopRefuses, ShopUnavailable
from streams.connect.cursors import CursorFile
from streams.connect.facts import guest_key
from streams.connect.shopify.topics import WANTED
from streams.operate.check import CheckStatus
from streams.topology import DEAD_LETTERS, PRODUCTS
from tests.connect.heard import hear, order_kept
from tests.connect.shapes import (
    ANNA,
    shopify_consent,
    shopify_customer,
    shopify_fulfillment,
    shopify_order,
    shopify_product,
    shopify_refund,
)
from tests.connect.standins import ShopifyStandin, written
from tests.connect.world import HOUR_MS, World
from tests.harness import Harness

COMPLETED = "order:820001:completed"


async def test_right_wrong_and_the_secret_before(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEW_SECRET", "another")
    connector = world.shopify(shopify, secret=["env:NEW_SECRET", "env:SHOP_SECRET"])
    url, body = await world.endpoint(connector), written(shopify_order())
    right = shopify.headers("orders/create", body)
    signature = right["X-Shopify-Hmac-Sha256"]
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body[:-1] + b" ", right),
        (body, {**right, "X-Shopify-Hmac-Sha256": signature.swapcase()}),
        (body, {name: value for name, value in right.items() if "Hmac" not in name}),
        (body, shopify.headers("orders/create", body, secret="a third")),
        (body, {**right, "X-Shopify-Shop-Domain": "altro.myshopify.com"}),
    ]
    async with ClientSession() as session:
        for content, headers in wrong:
            async with session.post(url, data=content, headers=headers) as answer:
                assert answer.status == 401
        assert await world.records() == await world.records(DEAD_LETTERS) == []
        for secret in ("s3cret", "another"):
            headers = shopify.headers("orders/create", body, secret=secret)
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200
    assert world.counts.deliveries["negozio", "unsigned"] == len(wrong)
    assert world.counts.deliveries["negozio", "taken"] == 2
    assert COMPLETED in await world.ids()


@pytest.mark.parametrize(
    ("path", "headers", "size", "status"),
    [("/connect/altro", {}, 2, 404), ("", {"Content-Encoding": "gzip"}, 2, 415),
     ("", {}, 1_048_577, 413)],
)  # fmt: skip
async def test_what_is_not_even_read(
    world: World,
    shopify: ShopifyStandin,
    path: str,
    headers: dict[str, str],
    size: int,
    status: int,
) -> None:
    url = await world.endpoint(world.shopify(shopify))
    if path:
        url = url.rpartition("/connect/")[0] + path
    body = b" " * size
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == status


async def test_what_is_signed_and_cant_be_understood_is_a_dead_letter(
    world: World, shopify: ShopifyStandin
) -> None:
    url = await world.endpoint(world.shopify(shopify))
    bodies = [b"[]", b"{", b"\xff", b'{"id": 1, "processed_at": 7.5e400, "customer": {"id": 1}}',
              written(shopify_order(processed_at="gestern"))]  # fmt: skip
    async with ClientSession() as session:
        for body in bodies:
            headers = shopify.headers("orders/create", body)
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200, body
    letters = await world.records(DEAD_LETTERS)
    assert [each.value for each in letters] == bodies
    assert await world.records() == []


async def test_a_broker_that_is_away_has_the_shop_send_again(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    url = await world.endpoint(connector)
    shopify.hooks = [{"topic": "orders/create", "address": url}]
    world.break_log()
    async with ClientSession() as session:
        assert await shopify.send(session, url, "orders/create", shopify_order()) == 503
        assert world.counts.deliveries["negozio", "later"] == 9
        assert shopify.hooks == []  # it has given up, and a poll closes the gap
    world.mend_log()
    shopify.rows["orders"] = [shopify_order()]
    await world.polling(connector).poll(connector)
    assert COMPLETED in await world.ids()


async def test_webhooks_polls_and_repetitions_are_one_order(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    url, order = await world.endpoint(connector), shopify_order()
    shopify.rows["orders"] = [order]
    async with ClientSession() as session:
        for topic in ("orders/updated", "orders/create", "orders/paid", "orders/create"):
            assert await shopify.send(session, url, topic, order) == 200
    await world.polling(connector).poll(connector)
    events = await world.events()
    assert len(events) == 2 * 3 + 3 * 2
    assert len({each.id for each in events}) == 3
    harness = hear(Harness(), events)
    assert harness.customer("70001").statistics.count == 1
    assert [each.template for each in harness.commands].count("order-confirmation") == 1


async def test_a_refund_and_a_parcel_before_their_order(
    world: World, shopify: ShopifyStandin
) -> None:
    """They name the order alone, so it is asked for."""
    connector = world.shopify(shopify)
    url, order = await world.endpoint(connector), shopify_order()
    shopify.rows["orders"] = [{**order, "refunds": [shopify_refund()]}]
    parcel = {"fulfillment_id": 31, "order_id": 820001, "happened_at": "2026-03-05T09:00:00Z"}
    webhooks: list[tuple[str, dict[str, Any]]] = [
        ("refunds/create", shopify_refund()),
        ("fulfillments/create", shopify_fulfillment()),
        ("fulfillment_events/create", {**parcel, "id": 1, "status": "in_transit"}),
        ("fulfillment_events/create", {**parcel, "id": 2, "status": "delivered"}),
        ("orders/create", order),
    ]  # fmt: skip
    outcomes = []
    for arrived in (webhooks, webhooks[::-1]):
        async with ClientSession() as session:
            for topic, body in arrived:
                assert await shopify.send(session, url, topic, body) == 200
        harness = hear(Harness(), await world.events())
        assert harness.refusals == []
        outcomes.append(order_kept(harness, "70001", "820001"))
    assert outcomes[0] is not None
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0].status, outcomes[0].total) == ("refunded", Decimal("52.00"))
    assert {"refund:61:47.10", "fulfillment:31:delivered", "fulfillment:31:shipped:IT123"} <= set(
        await world.ids()
    )


async def test_a_shop_that_cant_be_asked_is_to_send_a_refund_again(
    world: World, shopify: ShopifyStandin
) -> None:
    url = await world.endpoint(world.shopify(shopify))
    shopify.refusals.extend([(503, {})] * 20)
    async with ClientSession() as session:
        assert await shopify.send(session, url, "refunds/create", shopify_refund()) == 503
    assert await world.records() == []


async def test_without_a_token_orders_tell_of_their_refunds(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify, token=None)
    url = await world.endpoint(connector)
    async with ClientSession() as session:
        assert await shopify.send(session, url, "refunds/create", shopify_refund()) == 200
        assert await world.records() == []
        order = shopify_order(refunds=[shopify_refund()])
        assert await shopify.send(session, url, "orders/updated", order) == 200
    assert "refund:61:47.10" in await world.ids()
    assert shopify.asked == []
    assert not connector.can_ask


async def test_tests_and_the_till_are_counted_and_nothing_else(
    world: World, shopify: ShopifyStandin
) -> None:
    url = await world.endpoint(world.shopify(shopify))
    till = shopify_order(customer=None, email=None)
    async with ClientSession() as session:
        for order in (shopify_order(test=True), till):
            assert await shopify.send(session, url, "orders/create", order) == 200
        assert await shopify.send(session, url, "themes/publish", {"id": 1}) == 200
        assert await shopify.send(session, url, "orders/edited", {"order_edit": {}}) == 200
        assert await shopify.send(session, url, "carts/update", {"token": "x"}) == 200
    assert await world.records() == []
    assert world.counts.deliveries["negozio", "passed_over"] == 2
    assert world.counts.deliveries["negozio", "ignored"] == 3


async def test_customers_consent_and_the_right_to_be_forgotten(
    world: World, shopify: ShopifyStandin
) -> None:
    url = await world.endpoint(world.shopify(shopify))
    redact = {"shop_domain": "x", "customer": {"id": 70001, "email": ANNA}}
    async with ClientSession() as session:
        await shopify.send(session, url, "customers/create", shopify_customer())
        await shopify.send(
            session, url, "customers_email_marketing_consent/update", shopify_consent()
        )
        harness = hear(Harness(), await world.events())
        assert harness.customer("70001").consents["marketing"].given
        await shopify.send(session, url, "customers/delete", {"id": 70001})
        await shopify.send(session, url, "customers/redact", redact)
    harness = hear(Harness(), await world.events())
    assert not harness.customer("70001").first_seen
    assert guest_key(ANNA) in {each.customer for each in await world.events()}


async def test_products_go_into_the_feed_together(world: World, shopify: ShopifyStandin) -> None:
    url = await world.endpoint(world.shopify(shopify))
    async with ClientSession() as session:
        assert await shopify.send(session, url, "products/create", shopify_product()) == 200
        assert (await world.products()).keys() == {"MOKA-3", "90012"}
        product = shopify_product(variants=[{"id": 90011, "sku": "MOKA-3", "price": "39.00"}])
        assert await shopify.send(session, url, "products/update", product) == 200
        known = await world.products()
        assert known["MOKA-3"].price == Decimal("39.00")
        assert (known["MOKA-3"].available, known["90012"].available) == (True, False)
        assert await shopify.send(session, url, "products/delete", {"id": 9001}) == 200
        assert await shopify.send(session, url, "products/delete", {"id": 777}) == 200
        assert not (await world.products())["MOKA-3"].available
        many = [shopify_product(n, variants=[{"id": n, "price": "1.00"}]) for n in range(1, 60)]
        before = len(await world.records(PRODUCTS))
        sent = (shopify.send(session, url, "products/update", each) for each in many)
        assert set(await asyncio.gather(*sent)) == {200}
    known = await world.products()
    assert len(known) == 61
    assert len(await world.records(PRODUCTS)) >= before + 59


# Asking.


def many(count: int) -> list[dict[str, Any]]:
    return [
        shopify_order(
            900_000 + n, updated_at=f"2026-03-02T{9 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            customer={"id": 1000 + n, "email": f"c{n}@example.it"},
        )
        for n in range(count)
    ]  # fmt: skip


async def test_pages_are_followed_and_only_what_has_changed_is_read_again(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    shopify.rows["orders"] = many(620)
    polling = world.polling(connector)
    assert await polling.poll(connector) == 620
    asked = [each for each in shopify.asked if "orders.json" in each]
    assert len(asked) == 3
    assert "status=any" in asked[0]
    assert "page_info" in asked[1]
    first = await world.ids()
    shopify.asked.clear()
    world.clock.advance(world.clock.now() + HOUR_MS)
    shopify.rows["orders"].append(shopify_order(updated_at="2026-03-02T11:30:00Z"))
    assert await polling.poll(connector) == 121 + 1  # two minutes are read again
    assert set(await world.ids()) - set(first) == {
        COMPLETED, *(each for each in await world.ids() if each.startswith("order:820001"))
    }  # fmt: skip


async def test_throttling_is_obeyed(world: World, shopify: ShopifyStandin) -> None:
    connector = world.shopify(shopify)
    shopify.rows["orders"] = [shopify_order()]
    shopify.refusals.extend([(429, {"Retry-After": "2.0"}), (430, {"Retry-After": "7"}), (503, {})])
    await world.polling(connector).poll(connector)
    assert COMPLETED in await world.ids()
    two, seven, growing = world.pauses
    assert 2.0 < two < 3.0
    assert 7.0 < seven < 9.0
    assert 0.5 < growing < 3.0


async def test_who_is_away_for_long_is_asked_at_the_next_poll(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    shopify.rows["orders"] = [shopify_order()]
    shopify.refusals.extend([(500, {})] * 30)
    with pytest.raises(ShopUnavailable, match="500"):
        await world.polling(connector).poll(connector)
    assert len(shopify.asked) == 5 * 3  # each of three resources
    shopify.refusals.clear()
    shopify.refusals.append((429, {"Retry-After": "3600"}))
    with pytest.raises(ShopUnavailable, match="3600 s"):
        await world.polling(connector).poll(connector)
    await world.polling(connector).poll(connector)
    assert COMPLETED in await world.ids()


async def test_a_token_that_is_wrong_is_said_and_not_shown(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hunter2")
    connector = world.shopify(shopify)
    with pytest.raises(ShopRefuses, match="401") as caught:
        await world.polling(connector).poll(connector)
    assert "hunter2" not in str(caught.value)


async def test_a_next_page_elsewhere_gets_no_token(world: World, shopify: ShopifyStandin) -> None:
    connector = world.shopify(shopify)
    with pytest.raises(ShopUnavailable, match="another host"):
        await connector.api.get("http://127.0.0.1:1/steal")


async def test_what_was_before_is_history_and_what_comes_is_not(
    world: World, shopify: ShopifyStandin
) -> None:
    connector, polling = world.shopify(shopify), None
    shopify.rows["orders"] = [shopify_order()]
    polling = world.polling(connector)
    await polling.poll(connector)
    assert {each.backfill for each in await world.events()} == {True}
    world.clock.advance(world.clock.now() + HOUR_MS)
    shopify.rows["orders"].append(
        shopify_order(
            820009, processed_at="2026-03-02T11:20:00Z", updated_at="2026-03-02T11:20:00Z"
        )
    )
    await polling.poll(connector)
    new = [each for each in await world.events() if ":820009:" in each.id]
    assert {each.backfill for each in new} == {False}
    CursorFile(world.directory, "negozio").path.write_text("{broken")
    before = await world.ids()
    await polling.poll(connector)  # reads again, and loses nothing
    assert await world.ids() == before


# Back-filling.


async def test_history_is_read_by_ids_goes_on_where_it_was_and_starts_nothing(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    shopify.rows |= {"orders": many(510), "customers": [shopify_customer()],
                     "products": [shopify_product()]}  # fmt: skip
    shopify.refusals.clear()
    told: list[Any] = []

    def stop_after_a_page(progress: Any) -> None:
        told.append(progress)
        if progress.resource == "orders":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await backfill(connector, connector.resources, world.sink, data_dir=world.directory,
                       on_progress=stop_after_a_page)  # fmt: skip
    assert (told[-1].rows, told[-1].total) == (250, 510)
    shopify.asked.clear()
    done = await backfill(connector, connector.resources, world.sink, data_dir=world.directory)
    assert [(each.resource, each.rows, each.is_done) for each in done] == [
        ("products", 1, True), ("customers", 1, True), ("orders", 510, True),
    ]  # fmt: skip
    assert not any("customers" in each or "products" in each for each in shopify.asked)
    assert "since_id=900249" in " ".join(shopify.asked)
    events = await world.events()
    assert len([each for each in events if each.type == "order.completed"]) == 510
    assert all(each.backfill for each in events)
    harness = hear(Harness(), events)
    assert harness.commands == []
    assert harness.said() == []
    assert harness.customer("1000").statistics.count == 1
    forget(connector, world.directory)
    again = await backfill(connector, ["orders"], world.sink, data_dir=world.directory)
    assert again[0].rows == 510
    assert len(await world.ids()) == len({each.id for each in events})


async def test_an_order_that_cant_be_read_costs_itself_alone(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    shopify.rows["orders"] = [shopify_order(1, processed_at="never"), shopify_order(2)]
    (done,) = await backfill(connector, ["orders"], world.sink, data_dir=world.directory)
    assert (done.rows, done.unread) == (2, 1)
    (letter,) = await world.records(DEAD_LETTERS)
    assert json.loads(letter.value or b"")["id"] == 1


# For a person.


async def test_setup_makes_what_is_missing_and_check_makes_it_again(
    world: World, shopify: ShopifyStandin
) -> None:
    address = "https://eventi.example.it/connect/negozio"
    connector = world.shopify(shopify, callback=address)
    shopify.hooks = [{"topic": "orders/create", "address": address},
                     {"topic": "orders/paid", "address": "https://altro.example.it/x"}]  # fmt: skip
    checks = await connector.setup()
    ours = {each["topic"] for each in shopify.hooks if each["address"] == address}
    assert ours == set(WANTED)
    assert [each.text for each in checks].count("subscribed") == 1
    shopify.hooks = [each for each in shopify.hooks if each["topic"] != "orders/create"]
    checks = await connector.check()
    assert {each.name for each in checks if each.text.endswith("just now")} == {"orders/create"}
    assert not [each for each in checks if each.status is CheckStatus.FAIL]
    shopify.now += 90_000
    (clock,) = [each for each in await connector.check() if each.name == "clock"]
    assert (clock.status, clock.text) == (CheckStatus.FAIL, "this machine is 90 s behind the shop")
    shopify.scopes = ["read_orders"]
    by_name = {each.name: each.status for each in await connector.check()}
    assert by_name["scope read_customers"] is CheckStatus.FAIL
    assert by_name["scope read_all_orders"] is CheckStatus.WARN
    assert by_name["scope read_orders"] is CheckStatus.OK


async def test_check_tells_what_is_wrong_and_raises_nothing(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "wrong")
    checks = await world.shopify(shopify, callback="https://e.example.it/x").check()
    (failed,) = [each for each in checks if each.status is CheckStatus.FAIL]
    assert "401" in failed.text
    (first, *_) = await world.shopify(shopify, token=None).check()
    assert first.name == "token"


async def test_half_of_an_emoji_costs_no_order(world: World, shopify: ShopifyStandin) -> None:
    url = await world.endpoint(world.shopify(shopify))
    order = shopify_order(note="\ud83d", customer={"id": 70001, "first_name": "Anna \ude00"})
    async with ClientSession() as session:
        assert await shopify.send(session, url, "orders/create", order) == 200
    assert COMPLETED in await world.ids()
    assert await world.records(DEAD_LETTERS) == []


async def test_a_webhook_of_what_was_before_the_first_poll_is_history(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    await world.polling(connector).poll(connector)
    url = await world.endpoint(connector)
    world.clock.advance(world.clock.now() + HOUR_MS)
    edited = shopify_order(updated_at="2026-03-02T11:30:00Z")
    placed = shopify_order(820009, processed_at="2026-03-02T11:20:00Z")
    async with ClientSession() as session:
        assert await shopify.send(session, url, "orders/updated", edited) == 200
        assert await shopify.send(session, url, "orders/create", placed) == 200
    found = {each.id: each.backfill for each in await world.events() if each.type[:5] == "order"}
    assert found.pop(COMPLETED)
    assert "order:820009:completed" in found
    assert not any(found.values())


async def test_live_since_is_the_connections_own_word(
    world: World, shopify: ShopifyStandin
) -> None:
    url = await world.endpoint(world.shopify(shopify, live_since="2026-03-02T09:20:00Z"))
    later = shopify_order(820009, processed_at="2026-03-02T09:21:00Z")
    async with ClientSession() as session:
        for order in (shopify_order(), later):
            assert await shopify.send(session, url, "orders/create", order) == 200
    found = {each.id: each.backfill for each in await world.events()}
    assert (found[COMPLETED], found["order:820009:completed"]) == (True, False)
