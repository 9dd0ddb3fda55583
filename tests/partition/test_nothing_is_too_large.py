"""Whatever events are accepted, in whatever order: a log takes every state and every effect.

Random shops at their ugliest: the longest texts that are read, of emoji; ids, lists, carts, orders,
tags, fields and currencies without end; a feed whose prices fall again and again, and workflows
that are published anew; visitors who become customers. What is refused is refused for what it says,
never because a record was full: the bounds hold by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.mail.queue.command_reader import MAX_COMMAND_BYTES
from schemas import topics
from schemas.bounds import RECORD_BYTES
from schemas.customer import decode_customer
from schemas.dead_letters import MAX_LETTER_BYTES
from schemas.products import Product
from schemas.records import OutRecord
from schemas.stored import OWN_PREFIX
from schemas.wire import MAX_EVENT_BYTES
from streams.runtime.product_feed import control_record
from tests.examples import examples
from tests.harness import DAY, FILES, HOUR, SHIPPED, Harness
from tests.partition.test_full_records import keeps_to_its_bounds
from tests.partition.test_large_effects import LIMIT, size

UGLY = """
definition: fields
fields: [%s]
""" % ", ".join(f"{{id: f{number}, type: text}}" for number in range(40))  # noqa: UP031  # braces
TAGGER = """
id: tagger
title: {it: Segna}
trigger: product.viewed
entry: {once_per: event}
steps:
  - {id: tag, tag: "p:{event.product_id}"}
  - {id: rest, wait: 30d}
"""
COUNTER = """
id: counter
title: {it: Conta}
trigger: {on: page.viewed, times: 20, within: 9d, same: path}
entry: {once_per: event}
steps: [{id: rest, wait: 9d}]
"""
SALE = """
id: sale
title: {it: Saldi}
trigger: {product: price_drop}
entry: {once_per: event}
steps: [{id: tag, tag: "s:{event.name}"}, {id: rest, wait: 9d}]
"""
FOLLOWED = """
id: followed
title: {it: Segue}
versions: live
trigger: page.viewed
entry: {once_per: event}
steps: [{id: tag%d, tag: "f%d"}, {id: rest, wait: 9d}]
"""

TEXTS = ("🦊" * 250, '"' * 1000, "\\" * 1000, "à" * 500, "x" * 1000, "short")
"""Of a thousand bytes, more than is kept of any; in JSON they are two or three times as long."""
IDS = ("🦊" * 48, '"' * 190, "à" * 97, "i")


def _many(number: int, text: str, id_: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every kind of event, with texts and ids that end differently each time."""
    ident = f"{id_}{number:06}"[:200]
    product = {"product_id": ident, "name": text, "category": f"{number}{text}"[:1000],
               "brand": text, "url": f"u{text}{text}"[:2048], "image_url": f"i{text}"[:1000],
               "price": "999999999.123456789", "quantity": 1_000_000}  # fmt: skip
    traits = {f"f{number % 40}": text, "name": text, "city": text, "source": text}
    letters = chr(65 + number % 26) + chr(65 + number // 26 % 26)
    yield "product.viewed", product
    yield "wishlist.added", product
    yield "page.viewed", {"url": "https://a.example/?utm_source=" + "🦊" * 400, "path": text}
    yield "cart.product_added", product | {"cart_id": ident, "cart_url": f"{text}{text}"[:2048]}
    yield "checkout.started", {"products": [product] * 3, "step": text, "checkout_id": ident}
    yield "order.completed", {
        "order_id": ident, "currency": f"{letters}X", "products": [product] * (number % 12),
        "coupon": text, "payment_method": text, "carrier": text, "tracking_url": text,
        "order_url": text, "estimated_delivery": text, "total": "1000000000",
    }  # fmt: skip
    yield "order.shipped", {"order_id": ident, "tracking_number": text, "tracking_url": text}
    yield "order.refunded", {"order_id": ident, "currency": f"{letters}Y", "total": "1.00"}
    yield "customer.updated", traits
    said = {"source": text, "wording": text, "mail": ident[:200], "ip": text}
    yield "list.subscribed", {"list": f"{number}{id_}"[:25], "confirmed": number % 2 == 0, **said}
    yield "list.unsubscribed", {"list": f"{number // 2}{id_}"[:25], **said}
    yield "consent.given", {"purpose": ("marketing", "tracking", "profiling")[number % 3], **said}
    yield "consent.withdrawn", {"purpose": "tracking", **said}
    yield "support.requested", {"order_id": ident, "topic": text, "message": text}
    yield "survey.answered", {"survey": text, "question": text, "answer": text, "rating": 1}
    outcome = {"command_id": f"c{number}{text}", "workflow": text, "reason": text}
    yield "mail.bounced", outcome | {"code": 452, "kind": "soft"}
    yield "mail.unsubscribed", outcome | {"wording": text, "ip": text}


KINDS = [type_ for type_, _ in _many(0, "", "i")]

Step = Callable[[Harness], None]


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """One thing that happens to a visitor or a customer, many times over."""
    who = draw(st.sampled_from(["anna", "v1", "v2", "🦊" * 50]))
    what = draw(st.sampled_from([*["everything"] * 9, *["sale"] * 5, "published", "becomes",
                                 "time", "erasure", *KINDS]))  # fmt: skip
    text, id_ = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(IDS))
    first, often = draw(st.integers(0, 200)), draw(st.sampled_from([120, 40, 1]))

    def happen(harness: Harness) -> None:
        if what == "becomes":
            harness.tell("customer.identified", "anna", anonymous_id=who)
        elif what == "time":
            harness.at((harness.now - START_MS) / 1000 + often * HOUR)
        elif what == "erasure":
            harness.tell("customer.erasure_requested", who)
        elif what == "sale":
            for number in range(first, first + often):
                _sell(harness, f"{id_}{number:06}"[:200], text)
        elif what == "published":
            harness.publish_live(FOLLOWED % (first, first))
        else:
            for number in range(first, first + often):
                for type_, data in _many(number, text, id_):
                    if what in (type_, "everything"):
                        harness.tell(type_, who, **data)

    return happen


def _sell(harness: Harness, id_: str, text: str) -> None:
    """Let a price fall twice, of a product that customers may know."""
    for price in ("10000", "5000", "1"):
        product = {"sku": id_[:190], "product_id": id_, "name": text, "category": text}
        harness.append(control_record([Product.model_validate({**product, "price": price})]))


START_MS = Harness({}).now


@pytest.mark.slow  # CI has the longest of them, below
@examples(3)
@given(st.lists(steps(), min_size=3, max_size=9), st.sampled_from([1, 1 << 30]))
def test_no_state_and_no_effect_is_ever_refused_by_a_log(happened: list[Step], cached: int) -> None:
    harness = Harness.of(UGLY, TAGGER, COUNTER, SALE, FOLLOWED % (0, 0))
    shipped = Harness(FILES | {"policy": SHIPPED["policy"]}, cache_bytes=cached)
    for one in (harness, shipped):
        for step in happened:
            step(one)
            _check(one)
        one.at((one.now - START_MS) / 1000 + 40 * DAY)
        _check(one)


def _check(harness: Harness) -> None:
    for key, stored in harness.store.items():
        assert len(key) + len(stored) < LIMIT
        if not key.startswith(OWN_PREFIX):
            assert len(stored) < RECORD_BYTES
            assert keeps_to_its_bounds(decode_customer(key.decode(), stored))
    for effect in harness.effects:
        limit = MAX_LETTER_BYTES if effect.topic == topics.DEAD_LETTERS else LIMIT
        assert size(effect.record) < limit - 1_000, effect.topic
        if effect.topic == topics.SEND_COMMANDS:
            assert len(effect.record.value or b"") < MAX_COMMAND_BYTES
    assert {reason for reason, _ in harness.refusals} <= {"too_many_lists", "too_large"}
    harness.effects.clear()


def test_the_largest_orders_that_are_read() -> None:
    product = {"name": "🦊" * 20, "url": "https://🦊" + "🦊" * 17, "price": "1"}
    products = [product | {"product_id": f"{n:04}" + "🦊" * 40} for n in range(2_000)]
    value = json.dumps({"order_id": "o", "products": products}, ensure_ascii=False).encode()
    assert MAX_EVENT_BYTES * 0.6 < len(value) < MAX_EVENT_BYTES
    harness = Harness().subscribed("v1")
    headers = (("ce_id", b"1"), ("ce_type", b"order.completed"), ("ce_source", b"/shop"),
               ("ce_anonymousid", b"v1"))  # fmt: skip
    harness.append(OutRecord(b"v1", value, headers))
    harness.tell("customer.identified", anonymous_id="v1")
    harness.append(OutRecord(b"v1", value.replace(b'"o"', b'"p"'), (*headers[1:], ("ce_id", b"2"))))
    _check(harness)
    assert harness.customer().statistics.count == 2


SLOW = pytest.mark.slow


@pytest.mark.parametrize("text", [TEXTS[0], pytest.param(TEXTS[1], marks=SLOW)], ids=["a", "b"])
@pytest.mark.parametrize(
    "files", [(UGLY, TAGGER, COUNTER), pytest.param((), marks=SLOW)], ids=["ugly", "shipped"]
)
@pytest.mark.slow
def test_whoever_does_everything_without_end_and_becomes_somebody_else_who_has(
    text: str, files: tuple[str, ...]
) -> None:
    """The same two, always in one order: random ones seldom go so far."""
    harness = Harness.of(*files) if files else Harness()
    for who, id_ in (("anna", IDS[0]), ("v1", IDS[1])):
        for number in range(250):
            harness.at((harness.now - START_MS) / 1000 + HOUR)
            for type_, data in _many(number, text, id_):
                harness.tell(type_, who, **data)
        _check(harness)
    harness.tell("customer.identified", "anna", anonymous_id="v1")
    _check(harness)
    assert len(harness.store[b"anna"]) > 100_000, "there was something to be kept to its bounds"
