"""A WooCommerce shop sends and is asked, as the reference says it does; what its orders are."""

from __future__ import annotations

import itertools
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from schemas.events import Event
from streams.connect.backfill import backfill
from streams.connect.connector import ShopRefuses
from streams.connect.cursors import CursorFile
from streams.connect.deliveries import LastDeliveries
from streams.connect.facts import guest_key
from streams.connect.woocommerce.customers import customer_events
from streams.connect.woocommerce.orders import order_events
from streams.connect.woocommerce.products import product_of
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.webhooks import WANTED
from streams.operate.check import CheckStatus
from streams.runtime import product_feed
from streams.topology import DEAD_LETTERS
from tests.connect.heard import became, hear, order_kept
from tests.connect.shapes import ANNA, woo_customer, woo_order, woo_product
from tests.connect.standins import WooStandin, written
from tests.connect.world import HOUR_MS, World
from tests.harness import START, Harness

GUEST = guest_key(ANNA)
COMPLETED = "order:5001:completed"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def connection(**fields: Any) -> WooCommerceConnection:
    return WooCommerceConnection.model_validate(
        {"name": "negozio", "kind": "woocommerce", "url": "https://Negozio.example.it/",
         "secret": "env:S", **fields}
    )  # fmt: skip


WOO = connection()


def types(events: list[Event]) -> list[str]:
    return [each.type for each in events]


def of_type(events: list[Event], type_: str) -> Event:
    return next(each for each in events if each.type == type_)


def test_a_guests_order() -> None:
    events = order_events(woo_order(), WOO)
    assert types(events) == ["customer.updated", "order.completed", "order.updated"]
    order = of_type(events, "order.completed")
    assert (order.id, order.source) == (COMPLETED, "woocommerce:negozio.example.it")
    assert (order.customer, order.anonymous_id, order.named) == (GUEST, GUEST, False)
    assert order.time == START - 45 * 60_000  # of the time in UTC, which lacks its Z
    data = order.data
    assert (data.total, data.shipping, data.payment_method) == (
        Decimal("52.00"), Decimal("4.90"), "PayPal",
    )  # fmt: skip
    (line,) = data.products
    assert (line.product_id, line.price, line.quantity) == ("901", Decimal("47.10"), 1)
    assert line.image_url == "https://negozio.example.it/m.jpg"
    assert all(not each.odd for each in events)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "pending", "date_paid_gmt": None}, []),
        ({"status": "on-hold", "date_paid_gmt": None}, []),
        ({"status": "checkout-draft"}, None),
        ({"status": "trash"}, None),
        ({"status": "processing"}, ["order.completed", "order.updated"]),
        ({"status": "completed", "date_completed_gmt": "2026-03-03T09:00:00"},
         ["order.completed", "order.updated", "order.shipped"]),
        ({"status": "cancelled", "date_paid_gmt": None}, ["order.cancelled"]),
        ({"status": "failed", "date_paid_gmt": None}, []),
        ({"status": "failed"}, ["order.completed", "order.updated", "order.cancelled"]),
        ({"status": "cancelled"}, ["order.completed", "order.updated", "order.cancelled"]),
        ({"status": "refunded"}, ["order.completed", "order.updated", "order.refunded"]),
    ],
)  # fmt: skip
def test_what_a_status_is(changes: dict[str, Any], expected: list[str] | None) -> None:
    events = types(order_events(woo_order(**changes), WOO))
    assert events == ([] if expected is None else ["customer.updated", *expected])


@pytest.mark.parametrize("undone", ["cancelled", "failed"])
def test_an_order_that_is_paid_after_all_lives(undone: str) -> None:
    unpaid = woo_order(status=undone, date_paid_gmt=None, date_modified_gmt="2026-03-02T09:16:00")
    paid = woo_order(date_paid_gmt="2026-03-02T09:17:00", date_modified_gmt="2026-03-02T09:17:00")
    called_off = woo_order(
        status="cancelled", date_paid_gmt="2026-03-02T09:17:00",
        date_modified_gmt="2026-03-02T09:18:00",
    )  # fmt: skip
    for heard in ((unpaid, paid), (paid, unpaid)):
        harness = Harness()
        for each in heard:
            hear(harness, order_events(each, WOO))
        assert order_kept(harness, GUEST, "5001").status not in ("cancelled", "refunded")
        hear(harness, order_events(called_off, WOO))
        assert order_kept(harness, GUEST, "5001").status == "cancelled"


def test_settings_of_a_shop() -> None:
    waits = woo_order(status="on-hold", date_paid_gmt=None)
    assert "order.completed" in types(order_events(waits, connection(on_hold_counts=True)))
    sent = woo_order(status="completed", date_completed_gmt="2026-03-03T09:00:00")
    assert "order.shipped" not in types(order_events(sent, connection(completed_is_shipped=False)))


def test_a_customers_order_and_its_campaign() -> None:
    meta = [
        {"key": "_wc_order_attribution_utm_source", "value": "newsletter"},
        {"key": "_wc_order_attribution_utm_campaign", "value": "marzo"},
        {"key": "_ritorno_anonymous_id", "value": "a-7"},
    ]
    order = of_type(order_events(woo_order(customer_id=12, meta_data=meta), WOO), "order.completed")
    assert (order.customer, order.anonymous_id, order.named) == ("12", "a-7", True)
    assert order.hints is not None
    assert order.hints.campaign == "newsletter / marzo"
    # The bill may go to anybody: its address makes no other guest this customer's.
    order = of_type(order_events(woo_order(customer_id=12), WOO), "order.completed")
    assert order.anonymous_id is None


def test_lines_are_with_tax_and_variants_are_named() -> None:
    line = {
        "id": 1, "name": "Maglia - M", "parent_name": "Maglia", "product_id": 7, "quantity": 3,
        "variation_id": 71, "total": "24.59", "total_tax": "5.41", "price": 8.196667,
        "meta_data": [{"key": "pa_taglia", "value": "m", "display_value": "M"},
                      {"key": "_reduced_stock", "value": "3"}],
    }  # fmt: skip
    gone = {**line, "product_id": 0, "sku": "", "name": "Fuori catalogo", "parent_name": None}
    one, other = of_type(
        order_events(woo_order(line_items=[line, gone]), WOO), "order.completed"
    ).data.products
    assert (one.product_id, one.price, one.variant, one.name) == ("7", Decimal(10), "M", "Maglia")
    assert other.product_id == "Fuori catalogo"


def test_consent_comes_from_a_plugins_field() -> None:
    ticked = [{"key": "_newsletter_optin", "value": "yes"}]
    asks = connection(consent_meta="_newsletter_optin")
    assert "list.subscribed" not in types(order_events(woo_order(meta_data=ticked), WOO))
    event = of_type(order_events(woo_order(meta_data=ticked), asks), "list.subscribed")
    assert (event.time, event.data.confirmed) == (START - 45 * 60_000, False)
    for value in ("no", "", "0", False, None, []):
        meta = [{"key": "_newsletter_optin", "value": value}]
        assert "list.subscribed" not in types(order_events(woo_order(meta_data=meta), asks))
    counts = connection(consent_meta="_newsletter_optin", single_opt_in_counts=True)
    events = customer_events(woo_customer(meta_data=ticked), counts, is_new=True)
    assert types(events) == ["customer.created", "list.subscribed", "consent.given"]


async def test_a_tick_counts_from_the_poll_that_saw_it_first(world: World, woo: WooStandin) -> None:
    """Nobody says when it was made, and no look undoes what was said to us since."""
    connector = world.woo(woo, consent_meta="_optin")
    polling, anna, bea = world.polling(connector), woo_customer(12), woo_customer(13)
    woo.rows["customers"] = [anna, bea]

    async def poll(**ticks: object) -> list[tuple[str, str, int | None]]:
        """Poll hours later, with what the accounts have by then; return what is new of it."""
        before = set(await world.ids())
        world.clock.advance(world.clock.now() + 7 * HOUR_MS)
        for name, row in (("anna", anna), ("bea", bea)):
            if name in ticks:
                row["meta_data"] = [{"key": "_optin", "value": ticks[name]}]
        await polling.poll(connector)
        return sorted(
            (each.customer, each.type, each.time)
            for each in await world.events()
            if each.type.startswith("list.") and each.id not in before
        )

    assert [each[:2] for each in await poll(anna="yes", bea="")] == [("12", "list.subscribed")]
    assert await poll() == []
    assert await poll(anna="", bea="1") == [
        ("12", "list.unsubscribed", world.clock.now()),
        ("13", "list.subscribed", world.clock.now()),
    ]
    assert await poll(anna="") == []
    assert await poll(anna="yes") == [("12", "list.subscribed", world.clock.now())]
    anna["meta_data"] = []  # the plugin is gone, which nobody has said
    assert await poll() == []


async def test_a_webhook_of_an_old_account_says_nothing_of_when_it_was_ticked(
    world: World, woo: WooStandin
) -> None:
    url = await world.endpoint(world.woo(woo, consent_meta="_optin"))
    ticked = woo_customer(meta_data=[{"key": "_optin", "value": "yes"}])
    async with ClientSession() as session:
        assert await woo.send(session, url, "customer.updated", ticked) == 200
    assert {each.type for each in await world.events()} == {"customer.updated"}


def test_a_guest_becomes_the_account_with_that_address() -> None:
    harness = hear(Harness(), order_events(woo_order(), WOO))
    hear(harness, customer_events(woo_customer(), WOO, is_new=True))
    assert became(harness, GUEST) == "12"
    assert [each.id for each in harness.customer("12").orders] == ["5001"]
    hear(harness, order_events(woo_order(5002), WOO))  # as a guest again
    assert {each.id for each in harness.customer("12").orders} == {"5001", "5002"}


def life() -> list[dict[str, Any]]:
    """Return webhooks of one order: paid, sent, a part given back, all of it."""
    part, rest = {"id": 81, "total": "-10.00", "reason": ""}, {"id": 82, "total": "-42.00"}
    sent: dict[str, Any] = {"status": "completed", "date_completed_gmt": "2026-03-03T09:00:00"}
    return [
        woo_order(),
        woo_order(**sent, date_modified_gmt="2026-03-03T09:00:00"),
        woo_order(**sent, date_modified_gmt="2026-03-12T08:00:00", refunds=[part]),
        woo_order(**{**sent, "status": "refunded"}, date_modified_gmt="2026-03-13T08:00:00",
                  refunds=[part, rest]),
    ]  # fmt: skip


def test_whatever_order_webhooks_come_in_the_outcome_is_the_same() -> None:
    outcomes, times = set(), {"81": START + 1, "82": START + 2}
    for order in itertools.permutations(life()):
        harness = Harness()
        for webhook in (*order, *order):
            hear(harness, order_events(webhook, WOO, refunded_at=times))
        kept = order_kept(harness, GUEST, "5001")
        assert kept is not None
        outcomes.add((kept.status, str(harness.customer(GUEST).statistics)))
    assert len(outcomes) == 1
    assert next(iter(outcomes))[0] == "refunded"


def test_a_part_is_a_part() -> None:
    harness = Harness()
    for webhook in life()[:3]:
        hear(harness, order_events(webhook, WOO))
    kept = order_kept(harness, GUEST, "5001")
    assert kept is not None
    assert kept.status == "shipped"
    assert harness.customer(GUEST).statistics.refunded == {"EUR": Decimal("10.00")}


def test_a_product() -> None:
    product = product_of(woo_product(), WOO)
    assert product is not None
    assert (product.id, product.price, product.list_price, product.stock) == (
        "901", Decimal("47.10"), Decimal("49.90"), 4,
    )  # fmt: skip
    assert (product.complements, product.upgrades) == (["902"], ["903"])
    for changes, availability in (
        ({"stock_status": "outofstock"}, "out_of_stock"), ({"status": "draft"}, "out_of_stock"),
        ({"stock_status": "onbackorder", "stock_quantity": -2}, "preorder"),
    ):  # fmt: skip
        product = product_of(woo_product(**changes), WOO)
        assert product is not None
        assert product.availability == availability
    assert product_of(woo_product(price=""), WOO) is None


# Webhooks.


async def test_right_and_wrong_with_an_ampersand_in_the_secret(
    world: World, woo: WooStandin
) -> None:
    """It was typed as `a&amp;b` here, and WordPress signs with `a&b`."""
    url, body = await world.endpoint(world.woo(woo)), written(woo_order())
    right = woo.headers("order.created", body)
    wrong = [
        (body + b" ", right), (body, woo.headers("order.created", body, secret="b&a")),
        (body, {name: text for name, text in right.items() if "Signature" not in name}),
        (body, {**right, "X-WC-Webhook-Signature": right["X-WC-Webhook-Signature"].lower()}),
    ]  # fmt: skip
    async with ClientSession() as session:
        for content, headers in wrong:
            async with session.post(url, data=content, headers=headers) as answer:
                assert answer.status == 401
        assert await world.records() == await world.records(DEAD_LETTERS) == []
        for secret in ("a&b", "a&amp;b"):
            headers = woo.headers("order.created", body, secret=secret)
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200
    assert COMPLETED in await world.ids()


async def test_the_ping_is_answered_and_says_nothing(world: World, woo: WooStandin) -> None:
    url = await world.endpoint(world.woo(woo))
    pings = [(b"webhook_id=7", 200), (b"webhook_id=7&x=1", 401), (b"webhook_id=", 401), (b"", 401)]
    async with ClientSession() as session:
        for body, status in pings:
            async with session.post(url, data=body, headers=FORM) as answer:
                assert answer.status == status, body
    assert await world.records() == await world.records(DEAD_LETTERS) == []


async def test_a_bank_transfer_that_takes_long_is_a_purchase_of_today(
    world: World, woo: WooStandin
) -> None:
    url = await world.endpoint(world.woo(woo))
    transfer = woo_order(date_created_gmt="2026-02-20T09:15:00")
    old = woo_order(
        5003, date_created_gmt="2026-02-20T09:15:00", date_paid_gmt="2026-02-20T09:15:00"
    )
    async with ClientSession() as session:
        for each in (transfer, old):
            assert await woo.send(session, url, "order.updated", each) == 200
    told = {each.id: each.backfill for each in await world.events()}
    assert (told[COMPLETED], told["order:5003:completed"]) == (False, True)


async def test_what_others_publish_meanwhile_counts(world: World, woo: WooStandin) -> None:
    url = await world.endpoint(world.woo(woo))
    async with ClientSession() as session:
        assert await woo.send(session, url, "product.updated", woo_product(price="10.00")) == 200
        ((sku, told),) = (await world.products()).items()
        other = told.model_copy(update={"price": Decimal("12.00")})
        await product_feed.publish(world.log, [other], world.signer)
        assert await woo.send(session, url, "product.updated", woo_product(price="10.00")) == 200
    assert (await world.products())[sku].price == told.price


async def test_a_ping_of_anybodys_is_no_sign_of_life(world: World, woo: WooStandin) -> None:
    url = await world.endpoint(world.woo(woo))
    last = LastDeliveries(world.directory)
    async with ClientSession() as session:
        async with session.post(url, data=b"webhook_id=7", headers=FORM) as answer:
            assert answer.status == 200
        assert last.of("negozio") == {}
        assert await woo.send(session, url, "order.created", woo_order()) == 200
    assert last.of("negozio")["topic"] == "order.created"


async def test_noting_a_webhook_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    write = CursorFile.write
    monkeypatch.setattr(
        CursorFile, "write", lambda *of: (threads.append(threading.get_ident()), write(*of))
    )
    last = LastDeliveries(tmp_path)
    for time in (START, START + 1):
        await last.note("negozio", "order.created", time)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_what_is_missed_is_lost_for_webhooks_and_polls_bring_it(
    world: World, woo: WooStandin
) -> None:
    connector = world.woo(woo)
    url = await world.endpoint(connector)
    woo.hooks = [{"id": 1, "topic": "order.created", "status": "active", "delivery_url": url}]
    world.break_log()
    async with ClientSession() as session:
        sent = [await woo.send(session, url, "order.created", woo_order()) for _ in range(7)]
    assert sent == [503] * 6 + [0]
    assert woo.hooks[0]["status"] == "disabled"
    world.mend_log()
    woo.rows["orders"] = [woo_order()]
    await world.polling(connector).poll(connector)
    assert COMPLETED in await world.ids()


async def test_a_refund_has_the_time_at_which_it_was_made(world: World, woo: WooStandin) -> None:
    url = await world.endpoint(world.woo(woo))
    woo.refunds["5001"] = [{"id": 81, "amount": "10.00", "date_created_gmt": "2026-03-12T08:00:00"}]
    order = woo_order(refunds=[{"id": 81, "total": "-10.00"}])
    async with ClientSession() as session:
        for modified in ("2026-03-12T08:00:30", "2026-03-20T08:00:00"):
            order["date_modified_gmt"] = modified
            assert await woo.send(session, url, "order.updated", order) == 200
    refunds = [each for each in await world.events() if each.type == "order.refunded"]
    assert {(each.id, each.time) for each in refunds} == {("refund:81", 1_773_302_400_000)}
    assert len(woo.asked) == 1


async def test_topics(world: World, woo: WooStandin) -> None:
    url = await world.endpoint(world.woo(woo))
    async with ClientSession() as session:
        for topic, body in (
            ("customer.created", woo_customer()), ("product.updated", woo_product()),
            ("order.deleted", {"id": 5001}), ("customer.deleted", {"id": 12}),
            ("coupon.created", {"id": 3}), ("action.woocommerce_add_to_cart", {"arg": "x"}),
            ("order.restored", woo_order()),
        ):  # fmt: skip
            assert await woo.send(session, url, topic, body) == 200
        assert (await world.products())["MOKA-3"].available
        assert await woo.send(session, url, "product.deleted", {"id": 901}) == 200
    assert not (await world.products())["MOKA-3"].available
    assert world.counts.deliveries["negozio", "ignored"] == 4
    assert {"customer:12:created", COMPLETED} <= set(await world.ids())


# Asking.


def many(count: int, *, same_second: bool = False) -> list[dict[str, Any]]:
    return [
        woo_order(
            6_000 + n, billing={"email": f"c{n}@example.it"},
            date_created_gmt=f"2026-03-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}",
            date_modified_gmt="2026-03-02T09:00:00" if same_second
            else f"2026-03-02T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}",
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("same_second", [False, True])
async def test_pages_are_read_to_their_end(
    world: World, woo: WooStandin, same_second: bool
) -> None:
    connector = world.woo(woo)
    woo.rows["orders"] = many(350, same_second=same_second)
    assert await world.polling(connector).poll(connector) == 350
    orders = [each for each in await world.ids() if each.endswith(":completed")]
    assert len(orders) == 350


async def test_an_order_that_is_changed_meanwhile_passes_nobody_over(
    world: World, woo: WooStandin
) -> None:
    """It moves to the end, and all behind it move up by one."""
    connector = world.woo(woo)
    woo.rows["orders"] = many(250)

    def change() -> None:
        woo.rows["orders"][0]["date_modified_gmt"] = "2026-03-02T10:00:00"

    woo.after_page["orders", 1] = change
    await world.polling(connector).poll(connector)
    orders = [each for each in await world.ids() if each.endswith(":completed")]
    assert len(orders) == 250


async def test_the_next_poll_reads_what_is_new(world: World, woo: WooStandin) -> None:
    connector = world.woo(woo)
    woo.rows |= {"orders": [woo_order()], "customers": [woo_customer(11)]}
    woo.rows["customers"][0]["date_created_gmt"] = "2026-03-02T10:00:00"
    polling = world.polling(connector)
    await polling.poll(connector)
    assert {each.backfill for each in await world.events()} == {True}
    world.clock.advance(world.clock.now() + 2 * HOUR_MS)
    before = set(await world.ids())
    woo.rows["orders"].append(
        woo_order(5009, date_created_gmt="2026-03-02T11:30:00",
                  date_modified_gmt="2026-03-02T11:30:00", billing={"email": ANNA})
    )  # fmt: skip
    woo.rows["customers"].append(woo_customer())
    await polling.poll(connector)
    new = set(await world.ids()) - before
    assert {"order:5009:completed", "customer:12:created"} <= new
    assert not [each for each in await world.events() if each.id in new and each.backfill]


async def test_history_goes_on_where_it_was_and_starts_nothing(
    world: World, woo: WooStandin
) -> None:
    connector = world.woo(woo)
    woo.rows |= {"orders": many(230), "customers": [woo_customer(n) for n in range(1, 121)],
                 "products": [woo_product()]}  # fmt: skip

    def stop(progress: Any) -> None:
        if progress.resource == "orders":
            assert (progress.rows, progress.total) == (100, 230)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await backfill(connector, connector.resources, world.sink, data_dir=world.directory,
                       on_progress=stop)  # fmt: skip
    woo.refusals.append((429, {"Retry-After": "1"}))
    done = await backfill(connector, connector.resources, world.sink, data_dir=world.directory)
    assert [each.resource for each in done if each.is_done] == ["products", "customers", "orders"]
    events = await world.events()
    assert len({each.id for each in events if each.type == "order.completed"}) == 230
    assert len({each.id for each in events if each.type == "customer.updated"}) == 120
    assert all(each.backfill for each in events)
    assert hear(Harness(), events).commands == []


async def test_a_wrong_key(world: World, woo: WooStandin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOO_CONSUMER", "hunter2")
    connector = world.woo(woo)
    with pytest.raises(ShopRefuses, match="401") as caught:
        await world.polling(connector).poll(connector)
    assert "hunter2" not in str(caught.value)


# For a person.


async def test_setup_makes_webhooks_and_check_switches_them_on_again(
    world: World, woo: WooStandin
) -> None:
    connector = world.woo(woo)
    url = await world.endpoint(connector)
    connector.connection = connector.connection.model_copy(update={"callback": url})
    await connector.setup()
    assert {each["topic"] for each in woo.hooks} == set(WANTED)
    assert woo.pings == [200] * len(WANTED)
    assert {each["secret"] for each in woo.hooks} == {"a&amp;b"}
    woo.hooks[1]["status"] = "disabled"
    del woo.hooks[0]
    checks = await connector.check()
    assert [each.status for each in checks].count(CheckStatus.WARN) == 1
    assert {each["status"] for each in woo.hooks} == {"active"}
    assert {each["topic"] for each in woo.hooks} == set(WANTED)
    (no_key,) = await world.woo(woo, consumer_key=None).check()
    assert (no_key.name, no_key.status) == ("REST key", CheckStatus.FAIL)
