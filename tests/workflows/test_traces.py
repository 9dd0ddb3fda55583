"""What a customer's event leads to belongs to the event's trace: commands at once, and those of
steps that come later by themselves."""

from __future__ import annotations

from schemas.commands import NotifyCommand
from schemas.records import Record
from schemas.wire import parse_record
from tests.harness import Harness

FIRST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

ORDER = """
id: w1-order
title: {en: Order}
trigger: order.completed
entry: {once_per: order}
steps:
  - {id: now, send: order-confirmation, class: transactional, kind: transactional}
  - {id: later, wait: 2d, send: order-confirmation, class: transactional, kind: transactional}
  - {id: shop, wait: 1d, notify: "https://shop.example/hook", message: {en: Hello}}
"""


def commands(shop: Harness) -> list[tuple[str, str | None]]:
    return [(each.step, each.traceparent) for each in shop.commands]


def test_a_command_belongs_to_the_trace_of_its_event() -> None:
    shop = Harness.of(ORDER).subscribed()
    shop.order("o1", traceparent=FIRST)
    assert commands(shop) == [("now", FIRST)]
    (effect,) = [each for each in shop.effects if each.content in shop.commands]
    assert ("traceparent", FIRST.encode()) in effect.record.headers


def test_what_time_brings_belongs_to_the_trace_that_began_it() -> None:
    shop = Harness.of(ORDER).subscribed()
    shop.order("o1", traceparent=FIRST).tell("page.viewed", traceparent=OTHER, path="/")
    shop.at(4 * 86_400)
    assert commands(shop) == [("now", FIRST), ("later", FIRST)]
    (webhook,) = [each.content for each in shop.effects if isinstance(each.content, NotifyCommand)]
    assert webhook.traceparent == FIRST


def test_without_a_trace_nothing_says_so() -> None:
    shop = Harness.of(ORDER).subscribed().order("o1")
    (effect,) = [each for each in shop.effects if each.content in shop.commands]
    assert b"traceparent" not in (effect.record.value or b"")
    assert dict(effect.record.headers) == {"content-type": b"application/json"}


def test_a_visitor_passes_it_on() -> None:
    shop = Harness.of(ORDER)
    shop.visitors.add("v1")
    shop.tell("page.viewed", "v1", path="/")
    shop.tell("customer.identified", "anna", visitor="v1", email="anna@example.com")
    shop.tell("product.viewed", "v1", traceparent=FIRST, product_id="moka")
    forwarded = [each for each in map(_parsed, shop.records) if each == ("product.viewed", FIRST)]
    assert len(forwarded) == 2


def _parsed(record: Record) -> tuple[str, str]:
    event = parse_record(record)
    return event.type, event.traceparent
