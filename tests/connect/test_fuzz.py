"""Whatever a shop, or somebody with its secret, sends: it is taken, passed over or a dead letter;
nothing is raised, and nothing unsigned gets further than a count."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from schemas.records import Record
from schemas.wire import parse_record, to_record
from streams.clock import VirtualClock
from streams.connect.connector import ShopConnector, ShopDelivery
from streams.connect.shopify.connector import Shopify
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.topics import TOPICS
from streams.connect.woocommerce.connector import WooCommerce
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.webhooks import WANTED
from tests.connect import shapes
from tests.connect.shapes import SHOP
from tests.connect.standins import ShopifyStandin, WooStandin
from tests.harness import START

SHOPIFY = ShopifyStandin()
WOO = WooStandin()
WHOLE = [
    shapes.shopify_order(refunds=[shapes.shopify_refund()],
                         fulfillments=[shapes.shopify_fulfillment(shipment_status="delivered")]),
    shapes.shopify_refund(), shapes.shopify_fulfillment(), shapes.shopify_consent(),
    shapes.shopify_customer(), shapes.shopify_checkout(), shapes.shopify_product(),
    shapes.woo_order(refunds=[{"id": 81, "total": "-10.00"}], status="completed"),
    shapes.woo_customer(), shapes.woo_product(),
    {"token": "c1", "updated_at": "2026-03-02T10:00:00Z", "line_items": [shapes.shopify_line()]},
    {"customer": {"id": 1, "email": "a@example.it"}, "data_request": {"id": 9}},
]  # fmt: skip

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(),
    st.sampled_from(["", "0", "-1", "1e999", "\ud800", "a" * 3_000, "2026-13-45",
                     "0001-01-01T00:00Z", [], {}, [[]], [{}], {"id": {}}, "anna@", "\x00",
                     "12,5", -0.0, [None], True]),
)  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """Draw a whole resource in which a few places hold what they should not."""
    body = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(0, 4))):
        holder: Any = body
        while True:
            at = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict)
                                      else range(len(holder))))  # fmt: skip
            inner = holder[at]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                holder = inner
                continue
            holder[at] = copy.deepcopy(draw(ODD))  # or what was drawn is changed, too
            break
    return body


CLOCK = VirtualClock(START)


def connectors(patch: pytest.MonkeyPatch) -> list[ShopConnector]:
    """Return one of each kind."""
    patch.setenv("S", SHOPIFY.secret)
    patch.setenv("W", WOO.secret)
    return [Shopify(_SHOPIFY, CLOCK), WooCommerce(_WOO, CLOCK)]


_SHOPIFY = ShopifyConnection(
    name="a", kind="shopify", shop=SHOP, secret="env:S", carts=True, single_opt_in_counts=True
)
_WOO = WooCommerceConnection(
    name="b", kind="woocommerce", url="https://b.example.it", secret="env:W", consent_meta="x"
)


def received(connector: ShopConnector, headers: dict[str, str], body: bytes) -> str:
    """Let a connector read a webhook, and whatever it tells go through the log."""
    delivery = ShopDelivery(CIMultiDict(headers), body, START)
    answer = asyncio.run(connector.receive(delivery))
    if answer.news is not None:
        for event in answer.news.events:
            parse_record(Record("customer-events", 0, 0, START, *to_record(event)))
    return answer.outcome


@settings(max_examples=150)
@given(body=bodies(), topic=st.sampled_from([*TOPICS, *WANTED, "", "x.y", "orders/create\n"]))
def test_signed(body: Any, topic: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        content = json.dumps(body).encode()
        for connector, shop in zip(connectors(patch), (SHOPIFY, WOO), strict=True):
            outcome = received(connector, shop.headers(topic, content), content)
            assert outcome in ("taken", "ignored", "passed_over", "unreadable")


@settings(max_examples=100)
@given(content=st.binary(max_size=200), topic=st.sampled_from(["orders/create", "order.created"]))
def test_signed_bytes(content: bytes, topic: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for connector, shop in zip(connectors(patch), (SHOPIFY, WOO), strict=True):
            outcome = received(connector, shop.headers(topic, content), content)
            assert outcome in ("unreadable", "tested", "ignored", "passed_over", "taken")


@settings(max_examples=100)
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [*SHOPIFY.headers("orders/create", b""), *WOO.headers("order.created", b"")]
        ),
        st.text(max_size=60),
    ),
    content=st.binary(max_size=100),
)
def test_unsigned(headers: dict[str, str], content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for connector in connectors(patch):
            outcome = received(connector, headers, content)
            assert outcome == "unsigned" or (outcome, content[:11]) == ("ignored", b"webhook_id=")
