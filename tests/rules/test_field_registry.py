"""S01, S02, S07: what the events of a shop let one ask of its customers."""

from __future__ import annotations

from typing import Any

import pytest

from agents.rules.comparisons import POSSIBLE
from agents.rules.conditions import compile_condition
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import FieldRegistry
from agents.rules.fields.dependencies import CHANGED_BY, events_of
from schemas.customer import encode_customer
from schemas.customer.shopping import (
    INTERESTS_KEPT,
    KINDS_BOUGHT_KEPT,
    MONTHS_KEPT,
    PRODUCTS_BOUGHT_KEPT,
)
from schemas.definitions import DEFINITION
from schemas.definitions.conditions import Condition
from schemas.events import PAYLOADS
from tests.harness import DAY, FILES, HOUR, MINUTE, Harness

DEFINITIONS = [DEFINITION.validate_json(content) for content in FILES.values()]
REGISTRY = FieldRegistry(DEFINITIONS)


def true_of(there: Harness, condition: dict[str, Any], customer: str = "anna") -> bool:
    check = compile_condition(Condition.model_validate(condition), REGISTRY)
    return check(
        EvaluationContext(there.customer(customer), there.now, rules=there.actors._state.live)
    )


def a_customer() -> Harness:
    """A year of somebody in Rome who came by a campaign and bought twice."""
    there = Harness()
    there.tell("page.viewed", url="https://shop.example/?utm_source=instagram&utm_campaign=natale",
               referrer="https://www.google.com/search")  # fmt: skip
    there.tell("customer.updated", country="IT", city="Roma", email="anna@example.com")
    there.tell("consent.given", purpose="marketing").tell("list.subscribed", source="popup")
    for _ in range(2):
        there.tell("product.viewed", product_id="moka", category="Caffè")
    there.tell("product.viewed", product_id="teiera", category="Tè")
    there.tell("wishlist.added", product_id="tazza")
    there.at(DAY)
    there.order(
        "o1", products=[], total="520.00", payment_method="paypal", coupon="BENVENUTO",
        discount="10",
    )  # fmt: skip
    there.tell("order.completed", order_id="o2", total="30.00", payment_method="paypal",
               products=[{"product_id": "moka", "category": "Caffè", "brand": "Alessi",
                          "price": "30.00", "quantity": 1}])  # fmt: skip
    there.tell("mail.sent", command_id="c1", message_id="m", **{"class": "marketing"})
    there.tell("mail.clicked", command_id="c1", verdict="human")
    there.tell("cart.product_added", product_id="tazza", category="Tazze", price="8.00")
    there.tell("checkout.step_completed", step="shipping")
    return there.at(DAY + 2 * HOUR)


# One line of the catalogue's row S02 each.
S02: dict[str, dict[str, Any]] = {
    "single order amount": {"orders.largest": {"at_least": 500}, "orders.last_total": 30},
    "location": {"profile.country": "IT", "profile.city": {"contains": "roma"}},
    "total spend": {"orders.spent": {"at_least": 550}, "orders.net": 550},
    "number of orders": {"orders.count": 2},
    "items and categories bought": {
        "orders.products": {"contains": "moka"}, "orders.categories": {"contains": "Caffè"},
        "orders.brands": {"contains": "Alessi"},
    },
    "cart abandoned": {"cart.items": {"above": 0}, "cart.changed": {"longer_ago_than": "1h"}},
    "cause of the abandoning": {"cart.step": "shipping", "cart.number": 0},
    "time since last order": {"orders.last": {"within": "3h"}},
    "products viewed more than once": {"interests.repeated": {"contains": "moka"}},
    "visits": {"visits": {"at_least": 2}, "views": 4},
    "loyalty status": {"tier": {"in": ["silver", "gold", "platinum"]}, "points": {"above": 500}},
    "last mail interaction": {"mails.last_interaction": {"within": "3h"}, "mails.clicks": 1},
    "purchase frequency": {"orders.per_month": {"at_least": 2}, "orders.interval": {"below": 1}},
    "average order value": {"orders.average": 275},
    "payment preference": {"orders.payment_method": "paypal"},
    "viewed not bought": {"interests.not_bought": {"contains": "teiera", "lacks": "moka"}},
    "seasonality": {"orders.months": {"contains": 3}},
    "response to offers": {"orders.coupon_share": 0.5, "orders.with_coupon": 1},
    "monthly spend": {
        "orders.spent_30d": {"at_least": 500}, "orders.best_month": {"at_least": 500},
        "orders.spent_per_month": {"above": 30},
    },
    "above 50 € against sporadic": {"orders.average": {"above": 50}},
    "acquisition month and source": {
        "acquired.month": "2026-03", "acquired.source": "instagram / natale",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def anna() -> Harness:
    return a_customer()


@pytest.mark.parametrize("row", S02, ids=str)
def test_each_segment_of_the_catalogue_can_be_said(anna: Harness, row: str) -> None:
    assert true_of(anna, S02[row])


def test_lists_tags_and_fields(anna: Harness) -> None:  # S01
    assert true_of(anna, {"lists": {"contains": "newsletter"}, "lists.joined": {"within": "2d"}})
    assert true_of(anna, {"consents.marketing": True, "interests.wished": {"contains": "tazza"}})


def test_who_sends_back_much_can_be_told_from_who_keeps_what_was_bought() -> None:
    harness = Harness().tell("order.completed", order_id="o1", total="80.00")
    assert true_of(harness, {"orders.refund_share": 0})
    harness.tell("order.completed", order_id="o2", total="20.00")
    harness.tell("order.refunded", order_id="o1", total="40.00")
    assert true_of(harness, {"orders.refund_share": 0.4})
    harness.tell("page.viewed", "berta")
    assert true_of(harness, {"orders.refund_share": {"known": False}}, "berta")


def test_size_colour_category_and_price_can_become_tags() -> None:  # S07
    fields = REGISTRY.fields("product.viewed")
    texts = ("size", "color", "category", "brand")
    assert {fields[f"event.{name}"].type for name in texts} == {"text"}
    assert fields["event.price"].type == "money"


def test_what_a_visitor_did_becomes_the_customers() -> None:
    there = Harness()
    for _ in range(2):
        there.tell("product.viewed", "v1", product_id="moka", category="Caffè")
    there.tell("page.viewed", "v1", referrer="https://www.blog.example/x")
    there.order("o1", "v1", total="20", payment_method="card")
    there.at(DAY).tell("product.viewed", "anna", product_id="moka")
    there.order("o2", "anna", total="30", payment_method="card")
    there.tell("customer.identified", "anna", anonymous_id="v1")
    assert true_of(there, {"interests.most_views": 3, "orders.count": 2, "orders.spent": 50})
    assert true_of(there, {"orders.products": {"contains": "moka"}, "orders.best_month": 50})
    assert true_of(there, {"visits": 2, "acquired.source": "blog.example"})
    assert there.customer().purchases.payment_methods["card"].orders == 2


def test_an_order_told_to_both_is_bought_once() -> None:
    there = Harness().order("o1", "v1", total="20").order("o1", "anna", total="20")
    there.tell("customer.identified", "anna", anonymous_id="v1")
    customer = there.customer()
    assert customer.statistics.count == 1
    assert customer.purchases.products["moka"].orders == 1
    assert customer.purchases.months["2026-03"].orders == 1
    assert customer.purchases.counts == {"EUR": 1}


def test_two_currencies_are_not_added() -> None:
    there = Harness().order("o1", total="100", currency="USD").at(DAY).order("o2", total="20")
    assert true_of(there, {"orders.currency": "EUR", "orders.spent": 20, "orders.average": 20})
    assert true_of(there, {"orders.largest": 20, "orders.count": 2})


def test_a_visit_ends_with_half_an_hour_of_silence() -> None:
    there = Harness().tell("page.viewed").at(29 * MINUTE).tell("page.viewed")
    there.at(58 * MINUTE).tell("page.viewed")
    assert there.customer().visits == 1
    there.at(89 * MINUTE).tell("page.viewed").tell("page.viewed", happened=0)
    assert there.customer().visits == 2


def test_machines_and_status_mails_are_no_activity() -> None:
    there = Harness().tell("page.viewed").at(DAY)
    there.tell("order.shipped", order_id="x").tell(
        "mail.clicked", command_id="c", verdict="machine"
    )
    customer = there.customer()
    assert (customer.visits, customer.last_active, customer.mail.clicks) == (
        1,
        there.now - DAY * 1000,
        0,
    )


def test_what_is_kept_is_bounded() -> None:
    there = Harness()
    for number in range(150):
        there.tell("product.viewed", product_id=f"p{number}", category=f"c{number}")
        there.tell(
            "order.completed", order_id=f"o{number}", happened=-number * 40 * DAY, total="10",
            payment_method=f"m{number}",
            products=[{"product_id": f"p{number}", "category": f"c{number}", "brand": "b"}],
        )  # fmt: skip
    customer = there.customer()
    assert len(customer.interests) == INTERESTS_KEPT
    assert list(customer.interests)[-1] == "p149"
    assert len(customer.purchases.products) == PRODUCTS_BOUGHT_KEPT
    assert "p0" in customer.purchases.products  # the latest by its time
    assert len(customer.purchases.categories) == KINDS_BOUGHT_KEPT
    assert len(customer.purchases.months) == MONTHS_KEPT
    assert len(encode_customer(customer)) < 30_000


def test_every_field_can_be_asked_for_and_says_what_it_is() -> None:
    for name, field in REGISTRY.fields("order.completed").items():
        assert field.about, name
        assert field.type in POSSIBLE
        if field.type != "flag":
            compile_condition(Condition.model_validate({name: {"known": True}}), REGISTRY,
                              about="order.completed")  # fmt: skip


def test_every_event_says_what_it_changes() -> None:
    assert CHANGED_BY.keys() == PAYLOADS.keys()
    assert events_of("interests")[:2] == ["order.cancelled", "order.completed"]
    assert "product.viewed" in events_of("interests")


def test_every_trigger_has_its_own_properties() -> None:
    abouts = ["segment:x:entered", "tag:x:added", "score:x", "tier:up", "points", "watch:x",
              "product:price_drop"]  # fmt: skip
    for about in [*PAYLOADS, "cart.changed", "cart.emptied", "list.joined", *abouts]:
        for field in REGISTRY.fields(about).values():
            if field.part == "event":
                assert field.type in POSSIBLE
    assert "event.segment" in REGISTRY.fields("segment:x:entered")
    assert "event.price" in REGISTRY.fields("cart.changed")
