"""Rows of one product are told as one, and none overwrites another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.products.variants import folded
from schemas.products import Product
from streams.runtime.product_feed import TooManyGone, compared, with_the_gone


def row(sku: str, **fields: Any) -> Product:
    return Product.model_validate(
        {"sku": sku, "product_id": "maglia", "name": f"Maglia - {sku}", "price": "30.00", **fields}
    )


def test_a_product_is_its_cheapest_row_that_can_be_bought() -> None:
    product = folded(
        [row("S", price="20.00", availability="out_of_stock"), row("L", stock=2, price="32.00"),
         row("M", stock=3, price="30.00", list_price="40.00")]
    )  # fmt: skip
    assert (product.id, product.name, product.stock) == ("maglia", "Maglia", 5)
    assert (str(product.price), str(product.list_price)) == ("30.00", "40.00")
    assert product.available


def test_it_can_be_bought_while_any_can() -> None:
    gone = [row(size, stock=0) for size in "SM"]
    assert not folded(gone).available
    assert folded([*gone, row("L", availability="preorder")]).availability == "preorder"
    assert folded([*gone, row("L", stock=None)]).stock is None


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["Maglia - S", "Maglia - M"], "Maglia"),
        (["Maglia lana S", "Maglia lana SL"], "Maglia lana"),
        (["Maglia", "Maglia"], "Maglia"),
        (["Maglia S", "Pullover M"], "Maglia S"),
    ],
)
def test_its_name_is_what_the_rows_names_begin_with(names: list[str], name: str) -> None:
    assert folded([row(str(n), name=each) for n, each in enumerate(names)]).name == name


@given(st.permutations("SMLX"))
def test_the_order_of_the_rows_does_not_matter(sizes: list[str]) -> None:
    rows = {size: row(size, price=str(20 + n), stock=n) for n, size in enumerate("SMLX")}
    assert folded([rows[size] for size in sizes]) == folded(list(rows.values()))


def known(*skus: str, feed: str | None = "negozio") -> dict[str, Product]:
    return {sku: row(sku, product_id=sku, feed=feed) for sku in skus}


def test_what_a_whole_feed_leaves_out_can_no_longer_be_bought() -> None:
    before = known(*"ABCDEFGHIJ") | known("other", feed="altro") | known("own", feed=None)
    given_ = [before[sku] for sku in "ABCDEFGH"]
    changes = compared(given_, before, "negozio")
    assert changes.news == {}
    changes, gone = with_the_gone(changes, before, feed="negozio", spared={"I"}, even_if_many=False)
    assert gone == 1
    assert {sku: each.availability for sku, each in changes.news.items()} == {"J": "out_of_stock"}


def test_no_feed_makes_most_products_vanish_by_mistake() -> None:
    before = known(*"ABCDEFGHIJ")
    changes = compared([before[sku] for sku in "ABCDEF"], before, "negozio")
    with pytest.raises(TooManyGone, match=r"4 of 10 products .* more than 30%"):
        with_the_gone(changes, before, feed="negozio", spared=(), even_if_many=False)
    _, gone = with_the_gone(changes, before, feed="negozio", spared=(), even_if_many=True)
    assert gone == 4
    changes = compared([before[sku] for sku in "ABCDEFG"], before, "negozio")
    assert with_the_gone(changes, before, feed="negozio", spared=(), even_if_many=False)[1] == 3


def test_who_has_no_name_leaves_a_product_with_its_feed() -> None:
    before = known("A")
    told = row("A", product_id="A", price="9.00")
    assert compared([told], before).news["A"].feed == "negozio"
    assert compared([told], {}).news["A"].feed is None
