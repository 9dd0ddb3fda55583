"""The number by which a customer knows an order, where the platform's id is another."""

from __future__ import annotations

from datetime import UTC

import pytest

from agents.definitions.template_variables import unknown_order
from agents.mail.templates.sample import FULL
from agents.mail.templates.variables import complete
from schemas.events import Event
from streams.connect.magento.orders import MagentoSource, facts_of_order
from streams.connect.prestashop import orders as prestashop
from streams.connect.prestashop.orders import PrestaShopSource
from streams.connect.shopify import orders as shopify
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.woocommerce import orders as woocommerce
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.messages.events import happened
from streams.messages.translations import Language
from tests.connect import magento_shop
from tests.connect.shapes import SHOP, shopify_order, woo_order
from tests.harness import HOUR, Harness


def test_it_is_kept_with_the_order_and_stands_in_its_mails() -> None:
    harness = Harness().tell("customer.updated", email="anna@example.it", named=True)
    harness.order("820001", order_number="#1001")
    harness.at(HOUR).tell("order.updated", order_id="820001", status="paid")
    harness.order("820002")
    first, second = harness.customer().orders
    assert (first.number, second.number) == ("#1001", "")
    harness.at(HOUR * 2).tell("order.shipped", order_id="820002", order_number="#1002")
    assert harness.customer().orders[1].number == "#1002"
    confirmed = [each for each in harness.commands if each.template == "order-confirmation"]
    said = [each.variables["order"] for each in confirmed]
    assert [(each["id"], each["number"]) for each in said] == [  # type: ignore[call-overload,index]  # orders are objects
        ("820001", "#1001"), ("820002", "820002"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", ["820001", "9" * 65, ""])
def test_what_is_no_other_number_is_not_kept(number: str) -> None:
    harness = Harness().order("820001", order_number=number)
    assert harness.customer().orders[0].number == ""


def test_a_mail_that_waits_since_before_calls_it_by_its_id() -> None:
    old = {name: value for name, value in FULL["order"].items() if name != "number"}
    assert complete({"order": old}, "it")["order"]["number"] == old["id"]


def test_an_order_that_is_not_known_has_the_number_that_its_event_says() -> None:
    told = unknown_order("820001", {"order_number": "#1001", "carrier": "BRT"})
    assert isinstance(told, dict)
    assert (told["id"], told["number"], told["carrier"]) == ("820001", "#1001", "BRT")
    assert unknown_order("820001", {})["number"] == "820001"  # type: ignore[call-overload,index]  # an object


def of(events: list[Event]) -> dict[str, str | None]:
    return {
        each.type: each.data.order_number
        for each in events
        if each.type in ("order.completed", "order.updated", "order.cancelled")
    }


def test_each_shop_says_it() -> None:
    connection = ShopifyConnection.model_validate(
        {"name": "n", "kind": "shopify", "shop": SHOP, "secret": "env:S"}
    )
    cancelled = shopify_order(cancelled_at="2026-03-02T10:15:04+01:00")
    assert of(shopify.order_events(cancelled, connection)) == dict.fromkeys(
        ("order.completed", "order.updated", "order.cancelled"), "#1001"
    )
    woo = WooCommerceConnection.model_validate(
        {"name": "n", "kind": "woocommerce", "url": "https://negozio.example.it", "secret": "env:S"}
    )
    told = of(woocommerce.order_events(woo_order(number="N-5001"), woo))
    assert set(told.values()) == {"N-5001"}
    source = MagentoSource(source="magento:x", url="https://x", complete_on="created")
    order = magento_shop.order(301, "processing", "2026-03-02 09:15:00")
    (event,) = facts_of_order(order, source, history=True)
    assert event.data.order_id == "000000301" and event.data.order_number is None
    shop = PrestaShopSource(source="prestashop:x", url="https://x", zone=UTC, complete_on="created")
    row = {"id": "71", "reference": "XKBKNABJK", "id_customer": "12",
           "date_add": "2026-03-02 10:15:00"}  # fmt: skip
    joined = prestashop.Joined({"email": "anna@example.it"})
    row["total_paid_tax_incl"] = "52.000000"
    (event,) = prestashop.facts_of_order(row, joined, shop)
    assert (event.data.order_id, event.data.order_number) == ("71", "XKBKNABJK")


def test_explain_calls_the_order_by_both() -> None:
    event = shopify.order_events(
        shopify_order(),
        ShopifyConnection.model_validate(
            {"name": "n", "kind": "shopify", "shop": SHOP, "secret": "env:S"}
        ),
    )[-1]
    assert "#1001 (820001)" in happened(event, Language("it"), number="#1001")
    assert "#1001" not in happened(event, Language("it"))
