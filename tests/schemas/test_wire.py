"""Every accepted form of an event says the same, and what we write is read back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from cloudevents.v1.http import CloudEvent
from cloudevents.v1.kafka import KafkaMessage, from_binary, to_binary, to_structured
from faker import Faker

from schemas.events import INTERNAL_TYPES, PAYLOADS, Event
from schemas.instant import parse_instant
from schemas.records import Record
from schemas.segment import SEGMENT_NAMES
from schemas.validation import Unreadable
from schemas.wire import parse_published, parse_record, to_record

TIME = "2026-03-02T10:00:00Z"
DATA = {"product_id": "p1", "name": "Caffè «Alba»", "price": "12.50", "quantity": 2}

MINIMAL: dict[str, dict[str, Any]] = {
    "order.placed_elsewhere": {"link": "cart/1"}, "link.shared": {"link": "cart/1"},
    "visitor.unlinked": {"customer_id": "c", "anonymous_id": "v"},
    "link.registered": {"customer_id": "c", "ground": "typed"},
    "address.said": {"customer_id": "c", "objected": 1, "sent": [1, 2]},
    "address.told": {"link": "address/1", "agreed": 1},
    "marketing.requested": {"customer_id": "c", "run": "r", "step": "s", "zone": "UTC"},
    "marketing.answered": {"run": "r", "step": "s", "until": 1},
    "address.confirmed": {"customer_id": "c"},
    "confirmation.requested": {"customer_id": "c", "run": "r", "step": "s"},
    "confirmation.answered": {"run": "r", "step": "s", "allowed": True},
    "link.ordered": {"customer_id": "c", "ordered": 1}, "link.left": {"customer_id": "c"},
    "order.": {"order_id": "o1", "total": "9.00"}, "product.viewed": {"product_id": "p"},
    "product.reviewed": {"product_id": "p"}, "cart.": {"product_id": "p"},
    "wishlist.": {"product_id": "p"}, "consent.": {"purpose": "marketing"},
    "mail.sent": {"command_id": "c", "message_id": "<m>"},
    "mail.deferred": {"command_id": "c", "attempt": 1, "reason": "later"},
    "mail.bounced": {"command_id": "c", "code": 550, "kind": "hard", "reason": "no"},
    "mail.failed": {"command_id": "c", "reason": "r"}, "mail.": {"command_id": "c", "reason": "r"},
    "visitor.linked": {"customer_id": "c"}, "visitor.forgotten": {"customer_id": "c"},
    "visitor.merged": {"anonymous_id": "v", "state": "[]"},
    "coupon.requested": {"campaign": "c", "customer_id": "anna", "run": "r", "step": "s"},
    "coupon.issued": {"campaign": "c", "run": "r", "step": "s"},
}  # fmt: skip


def minimal(type_: str) -> dict[str, Any]:
    return next((data for start, data in MINIMAL.items() if type_.startswith(start)), {})


def record(key: bytes | None, value: bytes | None, headers: dict[str, bytes]) -> Record:
    return Record("customer-events", 0, 0, 0, key, value, tuple(headers.items()))


def read_back(event: Event) -> Event:
    out = to_record(event)
    return parse_record(Record("customer-events", 0, 0, 0, *out))


def binary(**attributes: str) -> Event:
    headers = {"ce_id": "e1", "ce_source": "/shop", "ce_type": "cart.product_added",
               "ce_specversion": "1.0", "ce_time": TIME, **attributes}  # fmt: skip
    raw = {name: text.encode() for name, text in headers.items()}
    return parse_record(record(b"anna", json.dumps(DATA).encode(), raw))


def segment(**fields: Any) -> bytes:
    call = {"type": "track", "messageId": "e1", "userId": "anna", "timestamp": TIME}
    return json.dumps(call | fields).encode()


ENVELOPE = {"specversion": "1.0", "id": "e1", "source": "/shop", "type": "cart.product_added",
            "time": TIME, "subject": "anna", "data": DATA}  # fmt: skip
FORMS: dict[str, bytes] = {
    "structured": json.dumps(ENVELOPE).encode(),
    "segment": segment(event="Product Added", properties=DATA),
    "recorded": json.dumps({
        "key": "anna", "value": DATA,
        "headers": {"ce_id": "e1", "ce_type": "cart.product_added", "ce_time": TIME},
    }).encode(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_say_the_same(form: str) -> None:
    names = {} if form == "recorded" else {"ce_subject": "anna"}
    event, reference = parse_published(FORMS[form]), binary(**names)
    assert event._replace(source="") == reference._replace(source="")
    assert event.data.price == Decimal("12.50")
    assert read_back(event) == event


@pytest.mark.parametrize("form", FORMS)
def test_a_form_without_headers_is_accepted_on_the_topic_too(form: str) -> None:
    event = parse_record(record(b"whatever", FORMS[form], {}))
    assert (event.customer, event.type) == ("anna", "cart.product_added")


@pytest.mark.parametrize("type_", PAYLOADS)
def test_every_type_is_written_and_read_back(type_: str) -> None:
    data = PAYLOADS[type_].model_validate(minimal(type_))
    event = Event("e1", type_, "/shop", parse_instant(TIME), "anna", "v", True, data, named=True)
    assert read_back(event) == event
    body = ENVELOPE | {"type": type_, "data": minimal(type_), "anonymousid": "v", "backfill": True}
    if type_ not in INTERNAL_TYPES:
        assert parse_published(json.dumps(body)) == event
        return
    for line in (body, {"key": "anna", "headers": {"ce_id": "e1", "ce_type": type_},
                        "value": minimal(type_)}):  # fmt: skip
        with pytest.raises(Unreadable, match="is Ritorno's own"):
            parse_published(json.dumps(line))


def test_the_cloudevents_package_writes_what_we_read_and_reads_what_we_write() -> None:
    attributes = {key: ENVELOPE[key] for key in ("id", "source", "type", "time", "subject")}
    theirs = CloudEvent(attributes | {"datacontenttype": "application/json"}, DATA)
    body = to_structured(theirs, key_mapper=lambda _: "anna").value
    assert isinstance(body, bytes)
    assert parse_published(body) == parse_published(FORMS["structured"])
    message = to_binary(theirs, key_mapper=lambda _: "anna")
    assert isinstance(message.value, bytes)
    assert parse_record(record(b"anna", message.value, dict(message.headers))) == binary(
        ce_subject="anna"
    )

    ours = to_record(binary())
    read = from_binary(KafkaMessage(dict(ours.headers), ours.key, ours.value))
    assert read.data == DATA
    assert (read["id"], read["type"], read["time"]) == ("e1", "cart.product_added", TIME)


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("Product Viewed", "product.viewed"), ("Product List Viewed", "product_list.viewed"),
        ("Products Searched", "products.searched"), ("Product Added", "cart.product_added"),
        ("Product Removed", "cart.product_removed"), ("Checkout Started", "checkout.started"),
        ("Checkout Step Completed", "checkout.step_completed"),
        ("Order Completed", "order.completed"), ("Order Updated", "order.updated"),
        ("Order Shipped", "order.shipped"), ("Order Delivered", "order.delivered"),
        ("Order Cancelled", "order.cancelled"), ("Order Refunded", "order.refunded"),
        ("Coupon Applied", "coupon.applied"), ("Product Added to Wishlist", "wishlist.added"),
        ("Product Reviewed", "product.reviewed"), ("List Subscribed", "list.subscribed"),
        ("List Unsubscribed", "list.unsubscribed"), ("Consent Given", "consent.given"),
        ("Consent Withdrawn", "consent.withdrawn"),
        ("Customer Erasure Requested", "customer.erasure_requested"),
        ("Customer Data Requested", "customer.data_requested"),
        ("Support Requested", "support.requested"), ("Survey Answered", "survey.answered"),
        ("Call Logged", "call.logged"), ("Deal Stage Changed", "deal.stage_changed"),
        ("Email Delivered", "mail.delivered"), ("Email Opened", "mail.opened"),
        ("Email Link Clicked", "mail.clicked"), ("Email Bounced", "mail.bounced"),
        ("Email Marked as Spam", "mail.complained"), ("Unsubscribed", "mail.unsubscribed"),
    ],
)  # fmt: skip
def test_each_segment_name(name: str, type_: str) -> None:
    assert parse_published(segment(event=name, properties=minimal(type_))).type == type_


def test_every_type_has_a_segment_name() -> None:
    assert set(SEGMENT_NAMES.values()) == set(PAYLOADS)
    assert set(PAYLOADS) >= INTERNAL_TYPES


def test_segment_identify_page_and_alias() -> None:
    traits = {"firstName": "Anna", "lastName": "Bruni", "email": "a@example.com", "language": "it"}
    known = parse_published(segment(type="identify", traits=traits))
    assert (known.type, known.data.first_name, known.data.locale) == (
        "customer.updated", "Anna", "it"
    )  # fmt: skip
    linked = parse_published(segment(type="identify", traits=traits, anonymousId="v"))
    assert (linked.type, linked.customer, linked.anonymous_id) == (
        "customer.identified", "anna", "v"
    )  # fmt: skip
    assert (linked.data.anonymous_id, linked.data.customer_id) == ("v", "anna")
    alias = parse_published(segment(type="alias", previousId="v"))
    assert (alias.data.anonymous_id, alias.data.customer_id) == ("v", "anna")
    page = parse_published(segment(type="page", name="Home", properties={"url": "/"}))
    assert (page.type, page.data.name, page.data.url) == ("page.viewed", "Home", "/")
    visitor = parse_published(segment(type="page", userId=None, anonymousId="v"))
    assert (visitor.customer, visitor.anonymous_id, visitor.named) == ("v", "v", False)
    imported = segment(event="Order Completed", properties={"order_id": "o", "total": "9.00"},
                       context={"backfill": True})  # fmt: skip
    assert parse_published(imported).backfill


def test_italian_names_survive_the_way() -> None:
    fake = Faker("it_IT")
    fake.seed_instance(1)
    for _ in range(200):
        traits = {"name": fake.name(), "email": fake.email(), "city": fake.city(),
                  "phone": fake.phone_number(), "zone": "Europe/Rome"}  # fmt: skip
        event = parse_published(segment(type="identify", traits=traits))
        assert read_back(event) == event
        kept = event.data.model_dump(exclude_none=True)
        assert kept == {name: value.strip() for name, value in traits.items()}


def test_null_means_absent_also_where_another_name_has_the_value() -> None:
    properties = {"product_id": None, "sku": "s1", "quantity": None, "price": None}
    event = parse_published(segment(event="Product Added", properties=properties))
    assert (event.data.product_id, event.data.quantity, event.data.price) == ("s1", 1, None)
    traits = {"email": None, "first_name": "Anna"}
    assert parse_published(segment(type="identify", traits=traits)).data.email is None
    assert parse_published(json.dumps(ENVELOPE | {"time": None, "anonymousid": None})).time is None
    nothing = ENVELOPE | {"type": "page.viewed", "data": None}
    assert parse_published(json.dumps(nothing)).type == "page.viewed"


def test_numbers_may_be_ids() -> None:
    event = parse_published(segment(event="Product Added", userId=17, messageId=4,
                                    properties={"product_id": 4711}))  # fmt: skip
    assert (event.customer, event.id, event.data.product_id) == ("17", "4", "4711")


def test_a_name_with_line_breaks_is_put_on_one_line() -> None:
    traits = {"name": "Anna\r\nBcc: all@example.com", "first_name": "A\x00B"}
    data = parse_published(segment(type="identify", traits=traits)).data
    assert (data.name, data.first_name) == ("Anna Bcc: all@example.com", "A B")


@pytest.mark.parametrize(
    ("price", "read"),
    [
        (59.699999999999996, "59.7"),
        (52.1, "52.1"),
        ("52.10", "52.10"),
        (7, "7"),
        ("0.125", "0.125"),
    ],
)
def test_prices_as_shops_write_them(price: object, read: str) -> None:
    event = parse_published(segment(event="Product Added",
                                    properties={"product_id": "p", "price": price}))  # fmt: skip
    assert str(event.data.price) == read


def test_the_order_amount_is_total_else_revenue_else_the_lines() -> None:
    lines = [{"product_id": "a", "price": 2.5, "quantity": 3}, {"product_id": "b"}]
    base = {"order_id": "o", "products": lines}
    amounts = [
        parse_published(segment(event="Order Completed", properties=base | more)).data.amount()
        for more in ({"total": "9", "revenue": "8"}, {"revenue": "-8"}, {})
    ]
    assert amounts == [Decimal(9), Decimal(-8), Decimal("7.5")]


def test_the_time_is_read_to_the_millisecond() -> None:
    assert binary(ce_time="2026-03-02T11:00:00.123456+01:00").time == parse_instant(TIME) + 123
    assert read_back(binary(ce_time="2026-03-02T10:00:00.5Z")).time == parse_instant(TIME) + 500


def test_what_was_not_said_is_not_written() -> None:
    """A product that leaves the cart without a quantity leaves it whole, on whichever way."""
    said = {"type": "track", "event": "Product Removed", "messageId": "m", "userId": "anna",
            "properties": {"product_id": "p"}}  # fmt: skip
    event = parse_published(json.dumps(said))
    again = parse_record(Record("customer-events", 0, 1, 2, *to_record(event)))
    assert again.data == event.data
    assert again.data.model_fields_set == {"product_id"}
