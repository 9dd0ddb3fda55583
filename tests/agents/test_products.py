"""The feed's changes reach those whom they concern, at one point of the log."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.definitions import DEFINITION, canonical
from schemas.products import Product
from streams.runtime.product_feed import control_record
from streams.runtime.yaml_text import read_yaml
from tests.agents.world import DAY, HOUR, World


def files(*texts: str) -> dict[str, bytes]:
    definitions = [DEFINITION.validate_python(read_yaml(text)) for text in texts]
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


def feed(world: World, **fields: Any) -> World:
    product = Product.model_validate({"sku": "moka", "name": "Moka", "price": "30.00", **fields})
    world.append(control_record([product]))
    return world


def test_who_has_it_in_the_cart_hears_that_it_costs_less() -> None:
    world = feed(World(files(PRICE_DROP)))
    world.subscribed("anna").add("moka", "anna")
    world.subscribed("bruno").add("tazza", "bruno")
    world.at(HOUR)
    feed(world, price="20.00")
    assert [(mail.at, mail.customer, mail.step) for mail in world.mails] == [
        (HOUR, "anna", "price-drop")
    ]
    shown = world.commands[0].variables["products"]
    assert isinstance(shown, list)
    assert shown[0] == shown[0] | {"name": "Moka", "price": "20.00"}  # type: ignore[operator]  # JSON
    feed(world, price="10.00")
    assert len(world.mails) == 1
    assert world.said("w31")[-1][2:] == ("not_entered", "already_entered")


def test_a_record_that_is_read_again_tells_nobody_twice() -> None:
    world = feed(World(files(PRICE_DROP))).subscribed().add("moka")
    feed(world, price="20.00")
    again = world.records[-1]
    world.build()
    effects = world.actors.receive([again]).effects
    assert effects == []


def test_the_catalogue_survives_a_restart() -> None:
    world = feed(World(files(PRICE_DROP))).subscribed().add("moka")
    world.build()
    feed(world, price="20.00")
    assert [mail.step for mail in world.mails] == ["price-drop"]


@pytest.mark.parametrize("value", [b"", b"{}", b'{"products":[{"sku":"moka"}]}'])
def test_a_malformed_record_is_refused(value: bytes) -> None:
    world = World(files(PRICE_DROP))
    world.append(control_record([])._replace(value=value))
    assert [reason for reason, _ in world.refusals] == ["invalid_event"]


def test_a_mail_without_its_products_is_left_out() -> None:
    world = World(files(CROSS_SELL)).subscribed().order("o1")
    feed(world, complements=["tazza"])
    feed(world, sku="tazza", name="Tazza", price="5.00")
    world.at(DAY).order("o2")
    assert [mail.step for mail in world.mails] == ["complements"]
    assert (0, "complements", "skipped", "no_products") in world.said("w16")
    shown = world.commands[0].variables["products"]
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


def stocked() -> World:
    world = World(files(STOCKED)).subscribed()
    feed(world, sku="coffee", name="Coffee", lasts="30d")
    return feed(world, sku="soap", name="Soap", lasts="60d")


def order(world: World, id_: str, *products: str) -> World:
    lines = [{"product_id": each, "price": "9.00"} for each in products]
    return world.tell("order.completed", order_id=id_, products=lines)


def test_each_product_that_is_used_up_has_its_own_reminder() -> None:
    world = order(stocked(), "o1", "coffee", "soap", "moka").at(90 * DAY)
    assert [mail.at // DAY for mail in world.mails] == [24, 54]
    shown = [command.variables["products"] for command in world.commands]
    assert [[each["name"] for each in products] for products in shown] == [["Coffee"], ["Soap"]]  # type: ignore[index, union-attr, call-overload]  # JSON


def test_only_its_own_purchase_begins_it_anew() -> None:
    world = order(stocked(), "o1", "coffee", "soap").at(10 * DAY)
    order(world, "o2", "coffee").at(90 * DAY)
    assert [mail.at // DAY for mail in world.mails] == [34, 54]


def test_an_order_that_goes_back_is_not_used_up() -> None:
    world = order(stocked(), "o1", "coffee").at(DAY).tell("order.refunded", order_id="o1")
    assert world.at(90 * DAY).mails == []


def test_history_is_no_purchase_of_today() -> None:
    world = stocked()
    lines = [{"product_id": "coffee"}]
    world.tell("order.completed", order_id="o1", products=lines, backfill=True).at(90 * DAY)
    assert world.mails == []


NEW_VERSION = """
id: w18-new-version
title: {it: Nuova}
trigger: {product: new_version, of: owned}
entry: {once_per: product}
steps:
  - {id: new, send: new-version, kind: informative, with: {previous: "{event.about_name}"}}
"""


def test_the_owner_of_the_one_before_is_told_which_that_is() -> None:
    world = World(files(NEW_VERSION)).subscribed()
    world.tell("order.completed", order_id="o1", products=[{"product_id": "m1", "name": "Moka 1"}])
    feed(world, sku="m2", name="Moka 2", replaces="m1")
    assert world.commands[0].variables["previous"] == "Moka 1"
    feed(world, sku="m1", name="Moka Uno")
    feed(world, sku="m3", name="Moka 3", replaces="m1")
    assert world.commands[1].variables["previous"] == "Moka Uno"
