"""The catalogue: what a change of a product means, and whose business it is."""

from __future__ import annotations

import pytest

from agents.products.catalogue import Catalogue, concerns
from schemas.customer import Customer
from schemas.customer.person import CustomerTag
from schemas.customer.shopping import Bought, Cart, Interest, LineItem, Order, Purchases
from schemas.money import parse_amount
from schemas.products import Product


def product(sku: str = "moka", **fields: object) -> Product:
    return Product.model_validate({"sku": sku, "name": sku, "price": "30.00", **fields})


def kinds(*feed: Product) -> list[list[str]]:
    catalogue = Catalogue()
    return [[c.kind for c in catalogue.update(each, offset)] for offset, each in enumerate(feed)]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({}, {"price": "28.50"}, ["price_drop"]),
        ({}, {"price": "28.51"}, []),
        ({}, {"price": "20.00", "currency": "USD"}, []),
        ({"price": "0"}, {"price": "0"}, []),
        ({"stock": 0}, {"stock": 9}, ["back_in_stock"]),
        ({"availability": "out_of_stock"}, {"availability": "in_stock"}, ["back_in_stock"]),
        ({"availability": "out_of_stock"}, {"stock": 0}, []),
        ({"stock": 9}, {"stock": 3}, ["low_stock"]),
        ({"stock": 3}, {"stock": 2}, []),
        ({"stock": 3}, {"stock": 0}, []),
        ({}, {"replaces": "moka-1"}, ["new_version"]),
        ({"announce": True}, {"announce": True}, []),
        ({}, {"announce": True}, ["launch"]),
        ({"stock": 0}, {"stock": 9, "price": "10.00"}, ["back_in_stock", "price_drop"]),
        ({"stock": 0}, {"stock": 2}, ["back_in_stock"]),
    ],
)  # fmt: skip
def test_what_has_changed(
    before: dict[str, object], after: dict[str, object], changes: list[str]
) -> None:
    assert kinds(product(**before), product(**after))[1] == changes


def test_the_first_load_of_a_feed_is_no_news() -> None:
    assert kinds(product(stock=1), product("tazza", price="1.00")) == [[], []]


def test_a_record_that_is_in_it_already_changes_nothing() -> None:
    catalogue = Catalogue()
    catalogue.update(product(price="30.00"), 7)
    assert catalogue.update(product(price="10.00"), 7) == []
    assert catalogue.update(product(price="10.00"), 6) == []
    kept = dict([catalogue.kept("moka")])
    again = Catalogue(kept.items())
    assert again.get("moka") == product(price="30.00")
    assert again.update(product(price="10.00"), 7) == []


def test_whom_it_concerns() -> None:
    line = LineItem("moka", 1, parse_amount("30.00"))
    bought = Order("o1", 1, parse_amount("30.00"), "EUR", lines=[line])
    refunded = Order("o1", 1, parse_amount("30.00"), "EUR", "refunded", [line])
    looked = Customer("anna", interests={"moka": Interest([1, 2], "Caffè")})
    tagged = Customer("anna", tags={"interest:moka": CustomerTag(1)})

    def interested(customer: Customer) -> bool:
        return concerns(customer, "moka", "Caffè", "interested")

    def awaits(customer: Customer) -> bool:
        return concerns(customer, "", "Caffè", "interested")

    assert not interested(Customer("anna"))
    assert not interested(Customer("anna", interests={"moka": Interest([1])}))
    assert interested(looked)
    assert interested(tagged)
    assert interested(Customer("anna", interests={"moka": Interest(wished=5)}))
    assert awaits(looked)
    assert awaits(Customer("anna", tags={"interest:Caffè": CustomerTag(1)}))
    assert not awaits(tagged)
    assert concerns(Customer("anna", orders=[bought]), "moka", "Caffè", "owned")
    assert not concerns(Customer("anna", orders=[refunded]), "moka", "Caffè", "owned")
    assert concerns(Customer("anna", cart=Cart(lines=[line])), "moka", "", "in_cart")
    assert not concerns(looked, "moka", "", "in_cart")


def test_what_was_bought_long_ago_is_owned_unless_it_was_sent_back() -> None:
    long_ago = Customer("anna", purchases=Purchases(products={"moka": Bought(1, 1)}))
    assert concerns(long_ago, "moka", "", "owned")
    line = LineItem("moka", 1, parse_amount("30.00"))
    for status, owned in (("completed", True), ("refunded", False), ("cancelled", False)):
        bought = Order("o1", 1, parse_amount("30.00"), "EUR", status, [line])  # type: ignore[arg-type]  # one of its words
        long_ago.orders = [bought]
        assert concerns(long_ago, "moka", "", "owned") is owned
