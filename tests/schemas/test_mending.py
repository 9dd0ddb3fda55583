"""An optional field never costs its event: what can be read is, what can't is left out and said."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from schemas import mending
from schemas.events import PAYLOADS, Event
from schemas.events.odd import OddField
from schemas.notation import Notation
from schemas.records import Record
from schemas.validation import Unreadable, payload_model, validated
from schemas.wire import checked_product, parse_published, parse_record, to_record

SHOP = Notation(shop_url="https://shop.example")
LINE = {"product_id": "p", "price": "10.00", "quantity": 1}
ORDER = {"order_id": "o", "total": "10.00", "products": [LINE]}


def track(name: str = "Order Completed", **changed: Any) -> bytes:
    call = {"type": "track", "event": name, "messageId": "e", "userId": "anna",
            "timestamp": "2026-03-02T10:00:00Z"}  # fmt: skip
    return json.dumps(call | changed).encode()


def order(notation: Notation = SHOP, **changed: Any) -> Event:
    return parse_published(track(properties=ORDER | changed), notation)


def line(**changed: Any) -> Event:
    return order(products=[LINE | changed])


def said(event: Event) -> list[tuple[str, str, bool]]:
    return [(odd.field, odd.problem, odd.kept) for odd in event.odd]


def test_what_is_as_it_should_be_is_not_odd() -> None:
    assert order().odd == ()
    assert order(coupon="", products=[]).odd == ()


@pytest.mark.parametrize(
    ("field", "given", "read", "problem"),
    [
        ("total", "", None, "empty"), ("total", "10,00", "10.00", "format"),
        ("total", "1.234,56", "1234.56", "format"), ("total", "1,234.56", "1234.56", "format"),
        ("total", "10.00 EUR", "10.00", "format"), ("total", "€ 10,00", "10.00", "format"),
        ("total", "1\u202f234,50\u00a0€", "1234.50", "format"), ("total", "10,-", "10", "format"),
        ("total", ["10.00"], "10.00", "kind"), ("discount", "-5.00", "5.00", "format"),
        ("total", {"amount": "10.00", "currency_code": "EUR"}, "10.00", "format"),
        ("total", 59.699999999999996, "59.7", "format"), ("shipping", " ", None, "empty"),
        ("currency", "EUR ", "EUR", "format"), ("currency", "€", "EUR", "format"),
        ("currency", "", "EUR", "empty"), ("coupon", ["A"], "A", "kind"),
        ("coupon", ["A", "A"], "A", "kind"), ("carrier", "DHL\nExpress", "DHL Express", "format"),
        ("carrier", "x" * 1001, "x" * 1000, "too_long"),
        ("email", "\ufeffa@b.it", "a@b.it", "format"),
        ("email", "Anna <a@b.it>", "a@b.it", "format"),
        ("email", "mailto:a@b.it", "a@b.it", "format"),
        ("order_url", "/o/1", "https://shop.example/o/1", "format"),
        ("order_url", "www.shop.it/o 1", "https://www.shop.it/o%201", "format"),
        ("cart_id", "", None, "empty"), ("checkout_id", "  ", None, "empty"),
        ("tracking_url", [], None, "empty"),
    ],
)  # fmt: skip
def test_what_can_be_read_is(field: str, given: Any, read: Any, problem: str) -> None:
    event = order(**{field: given})
    value = getattr(event.data, field)
    assert (value if value is None else str(value)) == read
    assert said(event) == [(field, problem, True)]


@pytest.mark.parametrize(
    ("field", "given", "problem"),
    [
        ("shipping", "free", "unreadable"), ("tax", "NaN", "range"), ("tax", "Infinity", "range"),
        ("tax", "9" * 30, "range"), ("shipping", "-5", "range"), ("tax", True, "kind"),
        ("coupon", ["A", "B"], "several"), ("coupon", False, "kind"), ("carrier", {"a": 1}, "kind"),
        ("email", "n/a", "unreadable"), ("email", "a@b.it, c@d.it", "several"),
        ("email", "a@b.it\nBcc: c@d.it", "several"), ("coupon", "x" * 1001, "too_long"),
        ("tracking_url", "data:image/png;base64,AA", "unreadable"),
        ("tracking_url", "https://a.it/" + "a" * 2048, "too_long"), ("cart_id", ["c"], "kind"),
        ("cart_id", "c" * 201, "too_long"), ("cart_id", "è" * 101, "too_long"),
        ("tax", "1.00 USD", "several"),
    ],
)  # fmt: skip
def test_what_cannot_is_left_out_and_said(field: str, given: Any, problem: str) -> None:
    event = order(**{"currency": "EUR", field: given})
    assert getattr(event.data, field) is None
    assert said(event) == [(field, problem, False)]
    assert event.data.amount() == 10


def test_without_a_shop_s_url_a_link_without_a_host_is_none() -> None:
    event = order(Notation(), order_url="/o/1")
    assert event.data.order_url is None
    assert said(event) == [("order_url", "unreadable", False)]


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({"0": LINE, "7": LINE | {"product_id": "q"}}, ["p", "q"]),
        ({"10": LINE | {"product_id": "q"}, "9": LINE}, ["p", "q"]),
        (LINE, ["p"]), ({"line": [LINE]}, ["p"]), (json.dumps([LINE]), ["p"]), ({}, []), ("", []),
        ([LINE, None, 5, [], "x"], ["p"]), ([LINE, {"name": "Shipping", "price": "5"}], ["p"]),
        ([LINE | {"product_id": ""}, LINE], ["p"]), ([{"product_id": "", "sku": "s"}], ["s"]),
        ([LINE | {"product_id": None, "sku": 5}], ["5"]),
    ],
)  # fmt: skip
def test_lines_however_they_are_sent(given: Any, ids: list[str]) -> None:
    assert [each.product_id for each in order(products=given).data.products] == ids


def test_members_of_a_map_are_in_the_order_of_their_numbers_however_long() -> None:
    keys = ["1" * 5000, "10", "9", "007", "0"]
    products = {key: LINE | {"product_id": key[:3]} for key in keys}
    assert [each.product_id for each in order(products=products).data.products] == [
        "0", "007", "9", "10", "111",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [ValueError("odd"), OverflowError(), RecursionError()])
def test_what_nobody_has_thought_of_refuses_and_names_the_field(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(mending, "repaired", fails)
    with pytest.raises(Unreadable, match=r"^products\.0\.price: .*got '10,00'") as refused:
        line(price="10,00")
    assert refused.value.reason == "invalid_event"


def test_places_are_those_in_which_the_sender_has_them() -> None:
    event = order(products=[{"name": "Buono"}, LINE, {"price": "1"}, LINE | {"price": "1,5"}])
    assert said(event) == [
        ("products.0.product_id", "missing", False),
        ("products.2.product_id", "missing", False),
        ("products.3.price", "format", True),
    ]


def test_an_empty_total_is_the_sum_of_all_lines_with_shipping_and_without_discount() -> None:
    gift = {"name": "Gift wrap", "price": "2,50", "quantity": "2"}
    voucher = {"product_id": "v", "price": "-3.00"}
    back = LINE | {"quantity": -1}
    cases = [([LINE, gift], "15.00"), ([LINE, voucher], "7.00"), ([LINE, LINE, back], "10.00")]
    for lines, total in cases:
        assert order(total="", products=lines).data.amount() == Decimal(total)
    event = order(total="n/a", products=[LINE, gift], shipping="4,90", discount="1.00")
    assert event.data.amount() == Decimal("18.90")
    assert order(total="", products=[LINE, voucher], discount="3.00").data.amount() == 7
    read = parse_record(Record("t", 0, 0, 0, *to_record(event)))
    assert read.data.amount() == Decimal("18.90")


def test_quantities() -> None:
    for given, read in [("", 1), ("2.0", 2), (1.5, "1.5"), ("1,5", "1.5"), (None, 1), (10**30, 1),
                        ("NaN", 1), ([3], 3), ("two", 1)]:  # fmt: skip
        assert line(quantity=given).data.products[0].quantity == Decimal(read)


def test_an_amount_s_currency_counts_where_none_is_stated() -> None:
    assert order(total="10.00 USD").data.currency == "USD"
    assert order(products=[LINE | {"price": "£10"}]).data.currency == "GBP"
    assert said(order(total="$10")) == [("currency", "assumed", True), ("total", "format", True)]
    assert order(total="$10", currency="CAD").data.currency == "CAD"


@pytest.mark.parametrize(
    ("properties", "shows"),
    [
        ({"total": "1,234"}, "total: one comma and three digits: thousands, or decimals?"),
        ({"total": "1,234"}, "RITORNO_DECIMAL_MARKS=/segment=comma (or =point) says which"),
        ({"total": "1,234", "revenue": "3.00"}, "total: one comma"),
        ({"total": "", "revenue": "1,234"}, "revenue: one comma"),
        ({"total": "", "products": [LINE | {"price": "1,234"}, LINE]},
         "products.0.price: one comma"),
        ({"total": "", "products": [LINE], "shipping": "1.234 €"}, "shipping: one point"),
        ({"total": "1.234 €"}, "total: one point and three digits"),
        ({"order_id": ""}, "order_id: "), ({"order_id": ["o"]}, "order_id: "),
        ({"order_id": "a\nb"}, "order_id: "), ({"cart_id": "a\nb"}, "cart_id: control characters"),
        ({"total": "n/a", "products": []},
         "total: expected an amount, such as 52.00 (got 'n/a'); nothing says what was paid"),
        ({"total": None, "products": [{"product_id": "p"}]}, "total: nothing says what was paid"),
        ({"products": [LINE] * 2001}, "products: more than 2000"),
    ],
)  # fmt: skip
def test_what_protects_refuses(properties: dict[str, Any], shows: str) -> None:
    with pytest.raises(Unreadable) as refused:
        order(**properties)
    assert shows in refused.value.detail
    assert refused.value.reason == "invalid_event"


def test_an_amount_on_which_no_sum_hangs_is_left_out_where_it_may_be_another() -> None:
    event = order(total="34,90", products=[LINE | {"price": "1,234"}], shipping="12.000 €")
    assert (event.data.amount(), event.data.products[0].price) == (Decimal("34.90"), None)
    assert ("products.0.price", "several", False) in said(event)
    assert ("shipping", "several", False) in said(event)
    assert order(revenue="1,234").data.amount() == Decimal("10.00")
    added = parse_published(track("Product Added", properties=LINE | {"price": "1,234"}))
    assert (added.data.price, said(added)) == (None, [("price", "several", False)])
    parcel = {"order_id": "o", "products": [LINE | {"price": "1,234"}]}
    assert parse_published(track("Order Shipped", properties=parcel)).data.products[0].price is None
    for name in ("Order Updated", "Order Refunded", "Order Cancelled"):
        with pytest.raises(Unreadable, match=r"products\.0\.price: one comma"):
            parse_published(track(name, properties=parcel))
        with pytest.raises(Unreadable, match="total: one comma"):
            parse_published(track(name, properties={"order_id": "o", "total": "1,234"}))
    with pytest.raises(Unreadable, match=r"total: not an amount \(got 'boh'\)"):
        parse_published(track("Order Refunded", properties={"order_id": "o", "total": "boh"}))


def test_a_point_that_may_group_thousands_is_taken_for_one_of_decimals_and_noted() -> None:
    event = order(total="1.234")
    assert event.data.total == Decimal("1.234")
    assert said(event) == [("total", "assumed", True)]
    again = parse_record(Record("t", 0, 0, 0, *to_record(event)))
    assert said(again) == said(event)
    headers = (("ce_id", b"e"), ("ce_type", b"order.completed"))
    value = b'{"order_id": "o", "products": [{"product_id": "p", "price": "1.234"}]}'
    read = parse_record(Record("t", 0, 0, 0, b"anna", value, headers))
    assert said(read) == [("products.0.price", "assumed", True)]
    assert said(order(total={"amount": "1.234"})) == [("total", "assumed", True)]
    mended = order(total="1.234", shipping="free", currency="euro")
    assert ("total", "assumed", True) in said(mended)
    sure: list[dict[str, Any]] = [{"total": 1.234}, {"total": "0.125"}, {"total": "12.3456"},
                                  {"total": "1.234", "currency": "KWD"}]  # fmt: skip
    for given in sure:
        assert order(**given).odd == ()
    for mark in ("point", "comma"):
        assert order(Notation(decimal_marks={"/segment": mark}), total="1.234").odd == ()


def test_a_source_declares_its_decimal_mark() -> None:
    comma = Notation(decimal_marks={"/segment": "comma", "/": "point"})
    assert order(comma, total="1,234").data.total == Decimal("1.234")
    assert order(comma, total="1.234").data.total == 1234
    assert order(comma, total="12.50").data.total == Decimal("12.50")
    assert order(comma, total=1.234).data.total == Decimal("1.234")
    assert order(comma, products=[LINE | {"price": "1.000"}]).data.products[0].price == 1000
    point = Notation(decimal_marks={"/segment": "point"})
    assert order(point, total="1,234").data.total == 1234
    read = order(comma, total="1,234")
    again = parse_record(Record("t", 0, 0, 0, *to_record(read)), comma)
    assert again.data.total == read.data.total


@pytest.mark.parametrize("empty", ["", "  ", None, [], {}])
def test_an_empty_object_may_arrive_as_anything_empty(empty: Any) -> None:
    assert parse_published(track("Checkout Started", properties=empty)).odd == ()
    identify = {"type": "identify", "messageId": "e", "userId": "anna", "traits": empty}
    assert parse_published(json.dumps(identify | {"context": empty})).type == "customer.updated"
    cloud = {"specversion": "1.0", "id": "e", "type": "list.unsubscribed", "subject": "anna"}
    assert parse_published(json.dumps(cloud | {"data": empty})).data.list == "newsletter"


@pytest.mark.parametrize("empty", ["", " ", "\t", None])
def test_an_empty_id_is_an_absent_one(empty: str | None) -> None:
    cart = {"cart_id": empty, "product_id": empty, "sku": "s"}
    event = parse_published(track("Product Added", userId=empty, anonymousId="a", properties=cart))
    assert (event.customer, event.anonymous_id, event.named) == ("a", "a", False)
    assert (event.data.cart_id, event.data.product_id) == (None, "s")
    event = parse_published(track(anonymousId=empty, properties=ORDER))
    assert (event.customer, event.anonymous_id, event.named) == ("anna", None, True)
    cloud = {"specversion": "1.0", "id": "e", "type": "page.viewed", "data": {}}
    event = parse_published(json.dumps(cloud | {"subject": empty, "anonymousid": "a"}))
    assert (event.customer, event.anonymous_id) == ("a", "a")
    event = parse_published(json.dumps(cloud | {"subject": "anna", "anonymousid": empty}))
    assert (event.customer, event.anonymous_id, event.named) == ("anna", None, True)
    alias = {"type": "alias", "messageId": "e", "userId": "anna", "previousId": empty}
    assert parse_published(json.dumps(alias)).data.anonymous_id is None
    identify = {"type": "identify", "messageId": "e", "userId": empty, "anonymousId": "a"}
    assert parse_published(json.dumps(identify)).type == "customer.updated"
    with pytest.raises(Unreadable, match="userId, anonymousId"):
        parse_published(track("Checkout Started", userId=empty, anonymousId=empty))


def test_a_record_without_a_key_is_about_its_subject() -> None:
    headers = {"ce_id": b"e", "ce_type": b"page.viewed", "ce_subject": b"anna",
               "ce_anonymousid": b" "}  # fmt: skip
    for key in (None, b"", b" "):
        event = parse_record(Record("t", 0, 0, 0, key, b"{}", tuple(headers.items())))
        assert (event.customer, event.anonymous_id) == ("anna", None)
    recorded = {"key": "", "headers": {"ce_id": "e", "ce_type": "page.viewed",
                                       "ce_subject": "anna"}, "value": []}  # fmt: skip
    assert parse_published(json.dumps(recorded)).customer == "anna"


FLAGS = [("true", True), (1, True), ("yes", True), ("ON", True), ("Sì", True), ("", False),
         ("false", False), (0, False), ("no", False), ("Off", False), (None, False)]  # fmt: skip


@pytest.mark.parametrize(("given", "history"), FLAGS)
def test_history_is_history_in_any_spelling(given: Any, history: bool) -> None:
    assert parse_published(track(properties=ORDER, context={"backfill": given})).backfill is history
    cloud = {"specversion": "1.0", "id": "e", "type": "page.viewed", "subject": "a", "data": {}}
    assert parse_published(json.dumps(cloud | {"backfill": given})).backfill is history
    text = "" if given is None else str(given)
    headers = {"ce_id": "e", "ce_type": "page.viewed", "ce_backfill": text}
    recorded = {"key": "a", "headers": headers, "value": {}}
    assert parse_published(json.dumps(recorded)).backfill is history


@pytest.mark.parametrize("given", ["perhaps", 2, [True], {"a": 1}, "tru"])
def test_what_may_be_history_and_cannot_be_read_is_refused(given: Any) -> None:
    cloud = {"specversion": "1.0", "id": "e", "type": "page.viewed", "subject": "a", "data": {}}
    headers = {"ce_id": "e", "ce_type": "page.viewed", "ce_backfill": str(given)}
    recorded = {"key": "a", "headers": headers, "value": {}}
    segment = track(properties=ORDER, context={"backfill": given})
    for told in (json.dumps(cloud | {"backfill": given}), json.dumps(recorded), segment):
        with pytest.raises(Unreadable, match="backfill: "):
            parse_published(told)


def test_times() -> None:
    rome = parse_published(track("Checkout Started", timestamp="2026-03-02T11:00:00"))
    utc = parse_published(track("Checkout Started"))
    assert rome.time == utc.time
    assert said(rome) == [("time", "assumed", True)]
    tokyo = Notation(zone="Asia/Tokyo")
    there = parse_published(track("Checkout Started", timestamp="2026-03-02T19:00:00"), tokyo)
    assert there.time == utc.time
    odd_ones = [("yesterday", "unreadable"), ("0000-00-00", "unreadable"), (0, "range"),
                ("9999-12-31", "range"), ([1], "unreadable"), (True, "unreadable")]  # fmt: skip
    for odd, problem in odd_ones:
        event = parse_published(track("Checkout Started", timestamp=odd))
        assert (event.time, said(event)) == (None, [("time", problem, False)])
        with pytest.raises(Unreadable, match="timestamp: "):
            parse_published(track("Checkout Started", timestamp=odd, context={"backfill": 1}))
    assert parse_published(track("Checkout Started", timestamp="")).odd == ()


def test_a_refund_of_nobody_knows_how_much_is_none_of_all() -> None:
    for name in ("total", "amount"):
        assert validated(payload_model("order.refunded"), {"order_id": "o", name: "10,00"})[0]
        with pytest.raises(Unreadable, match=f"{name}: .*'ten'"):
            validated(payload_model("order.refunded"), {"order_id": "o", name: "ten"})
    data, odd = validated(payload_model("order.cancelled"), {"order_id": "o", "total": "ten"})
    assert (data.total, [each.problem for each in odd]) == (None, ["unreadable"])


def test_zones() -> None:
    def zone(given: Any) -> tuple[Any, list[tuple[str, str, bool]]]:
        traits = {
            "type": "identify",
            "messageId": "e",
            "userId": "a",
            "traits": {"timezone": given},
        }
        event = parse_published(json.dumps(traits))
        return event.data.zone, said(event)

    assert zone("Europe/Rome") == ("Europe/Rome", [])
    assert zone("UTC+2") == ("Etc/GMT-2", [("zone", "format", True)])
    assert zone("W. Europe Standard Time")[0] == "Europe/Berlin"
    assert zone("europe/rome")[0] == "Europe/Rome"
    assert zone("Mars/Olympus") == (None, [("zone", "unreadable", False)])
    assert zone("") == ("", [])


def test_what_a_trait_says_of_nothing_reaches_the_actor() -> None:
    traits = {"email": "", "first_name": None, "mail_frequency": "", "phone": ["1", "2"]}
    data, _ = validated(payload_model("customer.updated"), traits)
    assert data.model_fields_set == {"email", "first_name", "mail_frequency"}


def test_a_product_of_a_feed() -> None:
    row = {"sku": "a", "name": "A", "price": "1.299,00 €", "url": "/a", "stock": "12",
           "image_url": "data:image/png;base64,AA", "availability": "In Stock",
           "reviews": {"0": {"text": "t", "stars": "4,5"}}}  # fmt: skip
    product, odd = checked_product(row, SHOP)
    assert (product.price, product.url, product.image_url) == (
        Decimal("1299.00"), "https://shop.example/a", None
    )  # fmt: skip
    assert (product.availability, product.reviews[0].stars) == ("in_stock", 4.5)
    assert len(odd) == 6
    for missing in ("sku", "price"):
        with pytest.raises(Unreadable, match=f"{missing}: "):
            checked_product(row | {missing: ""})


def test_of_another_producer_s_header_nothing_is_believed_but_what_is_odd() -> None:
    event = order(total="10,00")
    record = Record("t", 0, 0, 0, *to_record(event))
    assert parse_record(record).odd == event.odd == (OddField("total", "'10,00'", "format", True),)


def test_every_model_says_what_its_fields_hold() -> None:
    from schemas.field_kinds import field_kinds  # noqa: PLC0415  # only here

    for model in PAYLOADS.values():
        for kind in field_kinds(model).values():
            assert kind.kind != "other", f"{model.__name__}.{kind.name}"


def test_a_variant_that_is_an_object_is_its_title() -> None:
    for variant, read in (
        ({"id": 5, "title": "S"}, "S"), ({"name": "L"}, "L"), ({"id": 5, "title": ""}, "5"),
        ({"colour": 1}, None), ({"title": {"en": "S"}}, None),
    ):  # fmt: skip
        event = order(total="1", products=[{"product_id": "p", "variant": variant}])
        assert event.data.products[0].variant == read
        assert said(event) == [("products.0.variant", "kind", read is not None)]
