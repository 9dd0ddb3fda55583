"""What a visitor's actor hands over: each field of the record, unless it is said why not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from agents.customer import identity
from schemas.customer import Customer, encode_customer
from schemas.customer.consent import Consent, Evidence, ListAddress, Subscription
from schemas.customer.links import Links, Registration
from schemas.customer.mail import Bounces, MailHabits, Pending, Sent
from schemas.customer.person import CustomerTag, Occurred, Profile, Score, StatedAt
from schemas.customer.runs import Entered, Run
from schemas.customer.shopping import (
    Bought,
    Cart,
    Coupon,
    EarlyOrder,
    EarnedPoints,
    Interest,
    LineItem,
    Order,
    OrderStatistics,
    PoolPosition,
    Purchases,
)
from tests.harness import DAY, START, Harness

Check = Callable[[Customer], Any]

_WORLD = Harness()
_VERSION = _WORLD.live["w06-abandoned-cart-a"]
_RUN = Run("r1", "w06-abandoned-cart-a", _VERSION, START, 1, START + DAY * 1000, cart=1)
_ORDER = Order("o1", START, Decimal(5), "EUR")
_SENT = Sent(START, "w", "s", "marketing", "informative")

_CART = Cart(number=1, changed=START, lines=[LineItem("p", 1)])
_POINTS = EarnedPoints(1_772_323_200_000, 10_000)
"""Of the month that began on 2026-03-01."""
WITH: dict[str, dict[str, Any]] = {"runs": {"cart": _CART}, "tier": {"points": [_POINTS]}}
"""What a field means nothing without."""

SAMPLES: dict[str, tuple[Any, Check]] = {
    "key": ("v", lambda c: "v" in c.visitors),
    "profile": (Profile(email="v@example.it"), lambda c: c.profile.email == "v@example.it"),
    "consents": ({"marketing": Consent(True, START, "", "")}, lambda c: c.consented("marketing")),
    "lists": ({"news": Subscription(True, START)}, lambda c: c.lists["news"].subscribed),
    "cart": (_CART, lambda c: c.cart.lines),
    "orders": ([_ORDER], lambda c: c.orders[0].id == "o1"),
    "order_ids": (b"12345678", lambda c: b"12345678" in c.order_ids),
    "statistics": (OrderStatistics(count=3), lambda c: c.statistics.count == 3),
    "engagement": (Score(7, START), lambda c: c.engagement.value > 0),
    "runs": ([_RUN], lambda c: c.runs[0].begun == START),
    "entered": ({"w": Entered("", START)}, lambda c: "w" in c.entered),
    "sent": ([_SENT], lambda c: len(c.sent) == 1),
    "pending": ([Pending("c", "r", "w", "s", "marketing", START * 2)], lambda c: c.pending),
    "suppressed": ("bounced", lambda c: c.suppressed == "bounced"),
    "visitors": (["v0"], lambda c: "v0" in c.visitors),
    "views": (4, lambda c: c.views == 4),
    "first_seen": (START - 5, lambda c: c.first_seen == START - 5),
    "evidence": ([Evidence("marketing", True, START, "form", "e")], lambda c: c.evidence),
    "tags": ({"t": CustomerTag(START, START + 10**12)}, lambda c: "t" in c.tags),
    "fields": ({"f": 1}, lambda c: c.fields == {"f": 1}),
    "scores": ({"fit": Score(7, START)}, lambda c: "fit" in c.scores),
    "interests": ({"p": Interest([START])}, lambda c: "p" in c.interests),
    "coupons": ([Coupon("X", "welcome", START, 2**62)], lambda c: c.coupons[0].code == "X"),
    "points": ([_POINTS], lambda c: c.points),
    "tier": ("gold", lambda c: c.tier != ""),
    "last_active": (START - 1, lambda c: c.last_active == START - 1),
    "ignored": (2, lambda c: c.ignored == 2),
    "left_list": (START - 7, lambda c: c.left_list == START - 7),
    "visits": (3, lambda c: c.visits >= 3),
    "counted": ({"w": [START]}, lambda c: "w" in c.counted),
    "finished": ([_RUN], lambda c: c.finished),
    "bounces": (Bounces(soft=2), lambda c: c.bounces.soft == 2),
    "purchases": (Purchases(products={"p": Bought(1, START)}), lambda c: c.purchases.products),
    "mail": (MailHabits(opens=3), lambda c: c.mail.opens == 3),
    "mailed": ({"a" * 32: b"12345678\x50\x00\x01"}, lambda c: c.mailed),
    "complained": (START - 9, lambda c: c.complained == START - 9),
    "list_addresses": ({"l": ListAddress("x@x.it", START)}, lambda c: "l" in c.list_addresses),
    "stated": ({"city": StatedAt(START)}, lambda c: c.stated["city"].time == START),
    "early": (
        [EarlyOrder(START, Order("o9", 0, Decimal(0), "", tracking_number="T1"))],
        lambda c: c.early[0].order.tracking_number == "T1",
    ),
    "source": ("spring", lambda c: c.source == "spring"),
    "occurred": ({"quiz": Occurred(2, START)}, lambda c: c.occurred["quiz"].times == 2),
    "links": (Links({"cart/1": Registration()}), lambda c: "cart/1" in c.links.registrations),
}  # fmt: skip
STAYS = frozenset(Customer.__struct_fields__) - set(identity._TOLD)


def test_each_field_is_told_or_said_to_stay() -> None:
    """A field that is new is told by itself; whoever adds it says here how it is taken over."""
    assert set(SAMPLES) == set(identity._TOLD)
    assert frozenset(Customer.__struct_fields__) > identity._KEPT
    assert identity._UNTOLD == STAYS


@pytest.mark.parametrize("name", identity._TOLD)
def test_what_is_told_is_taken_over(name: str) -> None:
    value, holds = SAMPLES[name]
    heard = START // 86_400_000  # else it would be a record of release 0.1
    known = {"key": "v", "first_seen": START, "heard": heard, **WITH.get(name, {}), name: value}
    harness = Harness()
    harness.store[b"v"] = encode_customer(Customer(**known))
    harness.tell("customer.identified", anonymous_id="v")
    assert harness.refusals == []
    assert holds(harness.customer()), name
    left = harness.customer("v")
    assert left.became == "anna"
    if name not in identity._KEPT:
        assert getattr(left, name) == getattr(Customer(key="v"), name) or name == "first_seen"


def test_an_event_that_comes_again_to_the_visitor_is_known_there_still() -> None:
    harness = Harness().tell("product.viewed", "v", id_="e", product_id="p")
    harness.tell("customer.identified", anonymous_id="v")
    harness.tell("product.viewed", "v", id_="e", product_id="p")
    assert harness.customer().views == 1


def test_what_stays_is_no_business_of_the_customer() -> None:
    memory = {START // 86_400_000: b"12345678"}
    visitor = Customer(
        key="v", first_seen=START, memory=memory, segments=["s"], watches={"w": START + 10**12},
        reviewed="v", dated={"w": 1}, refused={"w": "x"},
        given=[PoolPosition("v", 1)], taken={"c": 1},
    )  # fmt: skip
    harness = Harness()
    harness.store[b"v"] = encode_customer(visitor)
    harness.tell("customer.identified", anonymous_id="v")
    customer = harness.customer()
    assert (customer.given, customer.taken) == ([], {})
    assert b"12345678" not in b"".join(customer.memory.values())
    assert harness.customer("v").memory == memory
