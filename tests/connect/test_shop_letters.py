"""Dead letters of shops' resources: an erasure finds them, and they are read again."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from schemas.dead_letters import DeadLetter, ShopResource, read_letter, shop_resource
from schemas.events import Event
from schemas.records import OutRecord
from schemas.validation import Unreadable
from streams.connect.backfill import backfill
from streams.connect.connection import ShopConnection
from streams.connect.connector import NewsOrigin, ShopNews, UnreadResource
from streams.connect.facts import guest_key
from streams.connect.magento.connector import MagentoConnector
from streams.connect.prestashop.connector import PrestaShopConnector
from streams.connect.shop_letters import ShopLetters
from streams.operate.dead_letters import ResendReport, open_letters, resend
from streams.topology import DEAD_LETTERS
from tests.connect import test_magento_polling as magento
from tests.connect import test_prestashop_polling as prestashop
from tests.connect.magento_shop import TOKEN, MagentoShop
from tests.connect.prestashop_shop import KEY, PrestaShop
from tests.connect.shapes import (
    ANNA,
    SHOP,
    shopify_consent,
    shopify_customer,
    shopify_order,
    shopify_refund,
    woo_customer,
    woo_order,
)
from tests.connect.standins import ShopifyStandin, WooStandin
from tests.connect.world import World

GUEST = guest_key(ANNA).encode()


async def letters(world: World) -> list[DeadLetter]:
    found = [read_letter(each) for each in await world.records(DEAD_LETTERS)]
    return [each for each in found if isinstance(each, DeadLetter)]


async def send_again(world: World, *connections: ShopConnection) -> ResendReport:
    """Do what `ritorno dead-letters resend --all` does."""
    shops = ShopLetters(
        world.log, lambda: connections, clock=world.clock, signer=lambda: world.signer,
        data_dir=world.directory,
    )  # fmt: skip

    async def read(letter: DeadLetter) -> list[OutRecord]:
        came = shop_resource(letter)
        assert came is not None
        return await shops.read(letter, came)

    try:
        report = await resend(world.log, lambda _: True, lambda: world.signer, read_again=read)
        shops.heard()
    finally:
        await shops.stop()
    return report


def refusing(*_: Any, **__: Any) -> list[Event]:
    raise Unreadable("invalid_event", "total: not understood yet")


@pytest.mark.parametrize(
    ("topic", "body", "key"),
    [
        ("orders/create", shopify_order(processed_at="gestern"), b"70001"),
        ("orders/create", shopify_order(processed_at="gestern", customer=None), GUEST),
        ("orders/create", shopify_order(processed_at="x", customer={"id": "9" * 999}), GUEST),
        ("customers/update", shopify_customer(updated_at="gestern"), b"70001"),
        (
            "customers_email_marketing_consent/update",
            shopify_consent(consent_updated_at="gestern"),
            b"70001",
        ),
        ("carts/update", {"token": "c1-aa", "updated_at": "gestern"}, b"cart:c1-aa"),
        ("products/update", {"id": []}, None),
    ],
)  # fmt: skip
async def test_a_webhook_that_cant_be_read_lies_under_whom_it_is_about(
    world: World, shopify: ShopifyStandin, topic: str, body: dict[str, Any], key: bytes | None
) -> None:
    url = await world.endpoint(world.shopify(shopify, carts=True))
    async with ClientSession() as session:
        assert await shopify.send(session, url, topic, body) == 200
    (letter,) = await letters(world)
    assert letter.original.key == key
    came = shop_resource(letter)
    assert came is not None
    assert came[:5] == ("negozio", f"shopify:{SHOP}", "", topic, False)


async def test_a_refund_that_cant_be_read_lies_under_the_orders_owner(
    world: World, shopify: ShopifyStandin
) -> None:
    url = await world.endpoint(world.shopify(shopify))
    async with ClientSession() as session:
        await shopify.send(session, url, "orders/create", shopify_order())
        refund = shopify_refund(processed_at="gestern")
        assert await shopify.send(session, url, "refunds/create", refund) == 200
    (letter,) = await letters(world)
    assert letter.original.key == b"70001"


async def test_ids_of_a_shop_with_a_prefix_are_found_with_it(world: World, woo: WooStandin) -> None:
    connector = world.woo(woo, customer_prefix="b-")
    url = await world.endpoint(connector)
    async with ClientSession() as session:
        for topic, body in (
            ("order.updated", woo_order(customer_id=12, date_created_gmt="ieri")),
            ("order.updated", woo_order(date_created_gmt="ieri")),
            ("customer.updated", woo_customer(date_modified_gmt="ieri")),
        ):
            assert await woo.send(session, url, topic, body) == 200
    assert [each.original.key for each in await letters(world)] == [b"b-12", GUEST, b"b-12"]


async def test_what_a_webhook_told_is_read_again_as_of_now(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = world.shopify(shopify)
    url = await world.endpoint(connector)
    with monkeypatch.context() as patch:
        patch.setattr("streams.connect.shopify.connector.order_events", refusing)
        async with ClientSession() as session:
            assert await shopify.send(session, url, "orders/create", shopify_order()) == 200
        report = await send_again(world, connector.connection)
        assert report.resent == 0 and "not understood yet" in report.kept[0][1]
    assert await world.records() == []
    assert (await send_again(world, connector.connection)).resent == 1
    told = {each.id: (each.source, each.backfill) for each in await world.events()}
    assert told["order:820001:completed"] == (connector.source, False)
    assert not [each async for each in open_letters(world.log)]


async def test_history_is_history_when_it_is_read_again(
    world: World, woo: WooStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = world.woo(woo)
    woo.rows["orders"] = [woo_order()]
    with monkeypatch.context() as patch:
        patch.setattr("streams.connect.woocommerce.connector.order_events", refusing)
        await backfill(connector, ["orders"], world.sink, data_dir=world.directory)
    assert (await send_again(world, connector.connection)).resent == 1
    told = await world.events()
    assert {each.backfill for each in told} == {True}
    assert "order.updated" not in {each.type for each in told}


async def test_where_the_connection_is_gone_or_anothers_the_letter_stays(
    world: World, shopify: ShopifyStandin
) -> None:
    connector = world.shopify(shopify)
    shopify.rows["orders"] = [shopify_order(processed_at="never")]
    await backfill(connector, ["orders"], world.sink, data_dir=world.directory)
    other = connector.connection.model_copy(update={"shop": "altro.myshopify.com"})
    for connections, why in (([], "no connection negozio"), ([other], "another shop")):
        report = await send_again(world, *connections)
        assert report.resent == 0 and why in report.kept[0][1]
    assert len([each async for each in open_letters(world.log)]) == 1


async def test_a_row_of_magentos_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGENTO_TOKEN", TOKEN)
    shop = MagentoShop(world.clock)
    connection = magento.connection(await shop.start(), customer_prefix="m-")
    connector = MagentoConnector(connection, world.clock)
    shop.add_order(301)
    shop.add_order(302, customer_is_guest=1, customer_id=None, customer_email=ANNA)
    shop.add_customer(12, "anna@example.it", extension_attributes={"is_subscribed": True})
    await check_rows(
        world, connector, ["streams.connect.magento.reading.facts_of_order",
                           "streams.connect.magento.reading.facts_of_customer"],
        {b"m-12", GUEST}, {"order:000000301:completed", "order:000000302:completed"},
    )  # fmt: skip
    assert connector.memory.subscribed([12]) == {12: True}
    await connector.close()
    await shop.stop()


async def test_a_row_of_prestashops_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESTA_KEY", KEY)
    shop = PrestaShop(world.clock)
    connection = prestashop.connection(await shop.start(), customer_prefix="p-")
    connector = PrestaShopConnector(connection, world.clock)
    shop.add_customer(12, "anna@example.it")
    shop.add_customer(13, ANNA, is_guest="1")
    shop.add_order(71, 12)
    shop.add_order(72, 13)
    await check_rows(
        world, connector, ["streams.connect.prestashop.reading.facts_of_order"],
        {b"p-12", GUEST}, {"order:71:completed", "order:72:completed"},
    )  # fmt: skip
    await connector.close()
    await shop.stop()


async def check_rows(
    world: World, connector: Any, mappings: list[str], keys: set[bytes], told: set[str]
) -> None:
    """Have rows refused in a back-fill, and read again."""
    with pytest.MonkeyPatch.context() as patch:
        for each in mappings:
            patch.setattr(each, refusing)
        await backfill(connector, ["customers", "orders"], world.sink, data_dir=world.directory)
        if len(mappings) > 1:
            assert connector.memory.subscribed([12]) == {}  # it was not told
    found = await letters(world)
    assert {each.original.key for each in found} == keys
    report = await send_again(world, connector.connection)
    assert (report.resent, report.kept) == (len(found), [])
    assert told <= set(await world.ids())


async def test_all_of_a_webhook_is_kept(world: World) -> None:
    body = b'{"a": "' + b"x" * 900_000 + b'"}'
    unread = UnreadResource(body, Unreadable("invalid_event", "x"), b"12", "orders", "7")
    await world.sink.take(ShopNews(unread=[unread]), NewsOrigin("negozio", "shopify:x"))
    (letter,) = await letters(world)
    assert letter.original.value == body
    assert shop_resource(letter) == ShopResource("negozio", "shopify:x", "orders", "", False, "7")
