"""The feed's changes reach those whom they concern, at one point of the log."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.definitions import DEFINITION, canonical
from schemas.products import Product
from schemas.yaml_text import Document
from streams.runtime.product_feed import control_record
from tests.harness import DAY, HOUR, Harness


def files(*texts: str) -> dict[str, bytes]:
    definitions = [DEFINITION.validate_python(Document(text).content) for text in texts]
    return {definition.id: canonical(definition) for definition in definitions}


PRICE_DROP = """
id: w31-price-drop
title: {it: Prezzo}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: product, again_after: 30d}
steps:
  - {id: price-drop, send: price-drop, kind: promotional, products: trigger}
"""
CROSS_SELL = """
id: w16-cross-sell
title: {it: Abbinamenti}
trigger: order.completed
entry: {once_per: order}
steps:
  - {id: complements, send: cross-sell, kind: promotional,
     products: {from: complements, at_least: 1}}
"""


def feed(harness: Harness, **fields: Any) -> Harness:
    product = Product.model_validate({"sku": "moka", "name": "Moka", "price": "30.00", **fields})
    harness.append(control_record([product]))
    return harness


def test_who_has_it_in_the_cart_hears_that_it_costs_less() -> None:
    harness = feed(Harness(files(PRICE_DROP)))
    harness.subscribed("anna").add("moka", "anna")
    harness.subscribed("bruno").add("tazza", "bruno")
    harness.at(HOUR)
    feed(harness, price="20.00")
    assert [(mail.at, mail.customer, mail.step) for mail in harness.mails] == [
        (HOUR, "anna", "price-drop")
    ]
    shown = harness.commands[0].variables["products"]
    assert isinstance(shown, list)
    assert shown[0] == shown[0] | {"name": "Moka", "price": "20.00"}  # type: ignore[operator]  # JSON
    feed(harness, price="10.00")
    assert len(harness.mails) == 1
    assert harness.said("w31")[-1][2:] == ("not_entered", "already_entered")


def test_a_record_that_is_read_again_tells_nobody_twice() -> None:
    harness = feed(Harness(files(PRICE_DROP))).subscribed().add("moka")
    feed(harness, price="20.00")
    again = harness.records[-1]
    harness.build()
    effects = harness.actors.receive([again]).effects
    assert effects == []


def test_the_catalogue_survives_a_restart() -> None:
    harness = feed(Harness(files(PRICE_DROP))).subscribed().add("moka")
    harness.build()
    feed(harness, price="20.00")
    assert [mail.step for mail in harness.mails] == ["price-drop"]


@pytest.mark.parametrize("value", [b"", b"{}", b'{"products":[{"sku":"moka"}]}'])
def test_a_malformed_record_is_refused(value: bytes) -> None:
    harness = Harness(files(PRICE_DROP))
    harness.append(control_record([])._replace(value=value))
    assert [reason for reason, _ in harness.refusals] == ["invalid_event"]


def test_a_mail_without_its_products_is_left_out() -> None:
    harness = Harness(files(CROSS_SELL)).subscribed().order("o1")
    feed(harness, complements=["tazza"])
    feed(harness, sku="tazza", name="Tazza", price="5.00")
    harness.at(DAY).order("o2")
    assert [mail.step for mail in harness.mails] == ["complements"]
    assert (0, "complements", "skipped", "no_products") in harness.said("w16")
    shown = harness.commands[0].variables["products"]
    assert [product["product_id"] for product in shown] == ["tazza"]  # type: ignore[union-attr, index, call-overload]  # JSON


STOCKED = """
id: w19-replenishment
title: {it: Riordino}
trigger: product.stocked
entry: {once_per: product, again_after: 0s}
exit_on: [order.completed, order.refunded]
steps:
  - id: reminder
    wait: [{date: event.runs_out, before: 5d, at: "10:00"}, {for: 30d, since: entry}]
    send: replenishment
    kind: informative
    products: running_out
"""


def stocked() -> Harness:
    harness = Harness(files(STOCKED)).subscribed()
    feed(harness, sku="coffee", name="Coffee", lasts="30d")
    return feed(harness, sku="soap", name="Soap", lasts="60d")


def order(harness: Harness, id_: str, *products: str) -> Harness:
    lines = [{"product_id": each, "price": "9.00"} for each in products]
    return harness.tell("order.completed", order_id=id_, products=lines)


def test_each_product_that_is_used_up_has_its_own_reminder() -> None:
    harness = order(stocked(), "o1", "coffee", "soap", "moka").at(90 * DAY)
    assert [mail.at // DAY for mail in harness.mails] == [24, 54]
    shown = [command.variables["products"] for command in harness.commands]
    assert [[each["name"] for each in products] for products in shown] == [["Coffee"], ["Soap"]]  # type: ignore[index, union-attr, call-overload]  # JSON


def test_only_its_own_purchase_begins_it_anew() -> None:
    harness = order(stocked(), "o1", "coffee", "soap").at(10 * DAY)
    order(harness, "o2", "coffee").at(90 * DAY)
    assert [mail.at // DAY for mail in harness.mails] == [34, 54]


def test_an_order_that_goes_back_is_not_used_up() -> None:
    harness = order(stocked(), "o1", "coffee").at(DAY).tell("order.refunded", order_id="o1")
    assert harness.at(90 * DAY).mails == []


def test_history_is_no_purchase_of_today() -> None:
    harness = stocked()
    lines = [{"product_id": "coffee"}]
    harness.tell("order.completed", order_id="o1", products=lines, backfill=True).at(90 * DAY)
    assert harness.mails == []


NEW_VERSION = """
id: w18-new-version
title: {it: Nuova}
trigger: {product: new_version, of: owned}
entry: {once_per: product}
steps:
  - {id: new, send: new-version, kind: informative, with: {previous: "{event.about_name}"}}
"""


def test_the_owner_of_the_one_before_is_told_which_that_is() -> None:
    harness = Harness(files(NEW_VERSION)).subscribed()
    harness.tell(
        "order.completed",
        order_id="o1",
        products=[{"product_id": "m1", "name": "Moka 1", "price": "9.00"}],
    )
    feed(harness, sku="m2", name="Moka 2", replaces="m1")
    assert harness.commands[0].variables["previous"] == "Moka 1"
    feed(harness, sku="m1", name="Moka Uno")
    feed(harness, sku="m3", name="Moka 3", replaces="m1")
    assert harness.commands[1].variables["previous"] == "Moka Uno"
