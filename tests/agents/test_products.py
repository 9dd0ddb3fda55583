"""The feed's changes reach those whom they concern, at one point of the log."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.definitions import DEFINITION, canonical
from schemas.products import Product
from streams.products import control_record
from streams.yaml_text import read_yaml
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
