"""Which products a mail shows, and when what was bought runs out."""

from __future__ import annotations

from agents.catalogue import Catalogue
from agents.recommending import choose, describe
from agents.replenishment import runs_out
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.customer.shopping import Interest, Line, Order
from schemas.definitions.steps import Products
from schemas.money import parse_amount
from schemas.products import Product
from schemas.stored import NEVER

DAY = 86_400_000
FEED = [
    {"sku": "moka", "complements": ["tazza", "caffè", "gone", "zucchero"], "popularity": 5,
     "accessories": "guarnizione,filtro", "upgrades": ["moka-xl"]},
    {"sku": "tazza", "popularity": 9},
    {"sku": "caffè", "lasts": "30d", "complements": ["moka", "zucchero"], "popularity": 7},
    {"sku": "zucchero", "stock": 0, "popularity": 99},
    {"sku": "guarnizione"},
    {"sku": "filtro"},
    {"sku": "moka-xl", "price": "60.00"},
]  # fmt: skip
CATALOGUE = Catalogue()
for number, fields in enumerate(FEED):
    CATALOGUE.update(
        Product.model_validate({"name": fields["sku"], "price": "10.00", **fields}), number
    )


def order(
    id_: str, time: int, *products: str, quantity: int = 1, status: str = "completed"
) -> Order:
    lines = [Line(each, quantity, parse_amount("10.00")) for each in products]
    return Order(id_, time, parse_amount("10.00"), "EUR", status, lines)  # type: ignore[arg-type]  # one of its words


def run(**fields: object) -> Run:
    return Run("r", "w", "v", 0, 0, NEVER, **fields)  # type: ignore[arg-type]  # fields of Run


def ids(wanted: object, customer: Customer, of: Run) -> list[str] | None:
    asked = {"from": wanted} if isinstance(wanted, str) else wanted
    chosen = choose(Products.model_validate(asked), customer, of, CATALOGUE)
    return None if chosen is None else [product.id for product in chosen]


def test_complements_are_the_shops_in_stock_and_not_just_bought() -> None:
    customer = Customer("anna", orders=[order("o1", 1, "moka", "tazza")])
    assert ids("complements", customer, run(order_id="o1")) == ["caffè"]
    assert ids("accessories", customer, run(order_id="o1")) == ["guarnizione", "filtro"]
    assert ids("upgrades", customer, run(order_id="o1")) == ["moka-xl"]
    assert ids({"from": "accessories", "at_most": 1}, customer, run(order_id="o1")) == [
        "guarnizione"
    ]


def test_a_mail_that_needs_more_than_there_are_is_not_for_this_customer() -> None:
    customer = Customer("anna", orders=[order("o1", 1, "tazza")])
    assert ids("complements", customer, run(order_id="o1")) == []
    assert ids({"from": "complements", "at_least": 1}, customer, run(order_id="o1")) is None


def test_the_other_sources() -> None:
    customer = Customer(
        "anna",
        orders=[order("o1", 1, "caffè")],
        interests={
            "tazza": Interest([1]),
            "moka": Interest([1, 2, 3]),
            "filtro": Interest(wished=9),
        },
    )
    assert ids("interests", customer, run()) == ["filtro", "moka", "tazza"]
    assert ids("owned", customer, run()) == ["caffè"]
    assert ids("trigger", customer, run(product="zucchero")) == ["zucchero"]
    assert ids("bestsellers", customer, run()) == ["tazza", "moka", "filtro", "guarnizione"]


def test_what_a_template_gets() -> None:
    feed = {"sku": "1", "product_id": "moka", "name": "Moka", "price": 30, "list_price": 40}
    shown = describe(Product.model_validate({**feed, "stock": 2}))
    assert (shown["product_id"], shown["price"], shown["old_price"], shown["stock"]) == (
        "moka", "30.00", "40.00", 2)  # fmt: skip


def test_it_runs_out_by_the_products_own_time() -> None:
    bought = order("o1", 100, "caffè", quantity=2)
    assert runs_out(Customer("anna", orders=[bought]), bought, CATALOGUE) == 100 + 60 * DAY


def test_a_stock_for_years_is_no_occasion() -> None:
    bought = order("o1", 100, "caffè", quantity=100)
    assert runs_out(Customer("anna", orders=[bought]), bought, CATALOGUE) is None


def test_or_by_the_customers_rhythm_once_there_is_one() -> None:
    orders = [order(f"o{n}", n * 20 * DAY, "caffè") for n in range(1, 4)]
    customer = Customer("anna", orders=[*orders, order("o9", 61 * DAY, "caffè", status="refunded")])
    assert runs_out(customer, orders[2], CATALOGUE) == 80 * DAY
    assert runs_out(customer, orders[1], CATALOGUE) == 70 * DAY


def test_what_is_not_used_up_does_not_run_out() -> None:
    orders = [order(f"o{n}", n * 20 * DAY, "moka", "unknown") for n in range(1, 4)]
    assert runs_out(Customer("anna", orders=orders), orders[2], CATALOGUE) is None
