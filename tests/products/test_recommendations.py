"""Which products a mail shows, and when what was bought runs out."""

from __future__ import annotations

from agents.products.catalogue import Catalogue
from agents.products.recommendations import choose, describe
from agents.products.replenishment import first_ones, runs_out, together
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.customer.shopping import Bought, Cart, Interest, LineItem, Order, Purchases
from schemas.definitions.steps import Products
from schemas.money import parse_amount
from schemas.products import Product
from schemas.stored import NEVER

DAY = 86_400_000
FEED = [
    {"sku": "moka", "complements": ["tazza", "caffè", "gone", "zucchero"], "popularity": 5,
     "accessories": "guarnizione,filtro", "upgrades": ["moka-xl"]},
    {"sku": "tazza", "popularity": 9, "reviews": [{"text": "Bella."}]},
    {"sku": "caffè", "lasts": "30d", "complements": ["moka", "zucchero"], "popularity": 7},
    {"sku": "zucchero", "stock": 0, "popularity": 99},
    {"sku": "guarnizione"},
    {"sku": "filtro", "category": "Accessori", "popularity": 3},
    {"sku": "carta", "lasts": "33d", "category": "Accessori", "popularity": 8},
    {"sku": "detergente", "lasts": "90d", "category": "Pulizia"},
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
    lines = [LineItem(each, quantity, parse_amount("10.00")) for each in products]
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
    assert ids({"from": "trigger", "at_least": 1}, customer, run(product="zucchero")) is None
    assert ids({"from": "trigger", "at_least": 1}, customer, run(product="moka")) == ["moka"]
    assert ids("bestsellers", customer, run()) == ["tazza", "carta", "moka", "filtro"]


def test_what_lies_in_the_cart_also_when_it_is_sold_out_the_dearest_first() -> None:
    lines = [
        LineItem("zucchero", 1),
        LineItem("gone", 1),
        LineItem("moka", 1, parse_amount("10.00")),
    ]
    customer = Customer("anna", cart=Cart(lines=lines))
    assert ids("cart", customer, run(cart=0)) == ["moka", "zucchero"]


def test_only_what_others_have_reviewed() -> None:
    customer = Customer("anna", cart=Cart(lines=[LineItem("moka", 1), LineItem("tazza", 1)]))
    wanted = {"from": "cart", "reviewed": True, "at_least": 1}
    assert ids(wanted, customer, run(cart=0)) == ["tazza"]
    del customer.cart.lines[1]
    assert ids(wanted, customer, run(cart=0)) is None


def test_what_is_in_the_cart_already_goes_with_nothing() -> None:
    customer = Customer("anna", cart=Cart(lines=[LineItem("moka", 1), LineItem("tazza", 1)]))
    assert ids("complements", customer, run(cart=0)) == ["caffè"]
    assert ids({"from": "bestsellers", "at_most": 1}, customer, run(cart=0)) == ["tazza"]


def test_the_bestseller_of_each_category_that_sells_most() -> None:
    catalogue = Catalogue()
    feed = [
        ("a1", "caffè", 5),
        ("a2", "caffè", 4),
        ("b1", "tè", 8),
        ("c1", "miele", 1),
        ("d", None, 9),
    ]
    for number, (sku, category, popularity) in enumerate(feed):
        fields = {"sku": sku, "category": category, "popularity": popularity}
        product = Product.model_validate({"name": sku, "price": "1.00", **fields})
        catalogue.update(product, number)
    wanted = Products.model_validate({"from": "bestselling_categories"})
    shown = choose(wanted, Customer("anna"), run(), catalogue)
    assert shown is not None
    assert [each.id for each in shown] == ["a1", "b1", "c1"]


def test_what_a_template_gets() -> None:
    feed = {"sku": "1", "product_id": "moka", "name": "Moka", "price": 30, "list_price": 40}
    reviews = [{"author": "Marta", "stars": 5, "text": "Buona"}]
    shown = describe(Product.model_validate({**feed, "stock": 2, "reviews": reviews}))
    assert (shown["product_id"], shown["price"], shown["old_price"], shown["stock"]) == (
        "moka", "30.00", "40.00", 2)  # fmt: skip
    assert shown["reviews"] == [{"author": "Marta", "rating": 5.0, "text": "Buona"}]


def test_of_several_sources_the_first_comes_first() -> None:
    customer = Customer("anna", orders=[order("o1", 1, "moka")])
    asked = {"from": ["upgrades", "accessories"], "at_most": 2}
    assert ids(asked, customer, run(order_id="o1")) == ["moka-xl", "guarnizione"]


def test_the_categories_that_are_bought_come_before_those_looked_at() -> None:
    customer = Customer(
        "anna",
        interests={"x": Interest([1, 2, 3], category="Pulizia"), "y": Interest([1])},
        purchases=Purchases(categories={"Accessori": Bought(2, 1)}),
    )
    assert ids("categories", customer, run()) == ["carta", "filtro", "detergente"]
    assert ids("categories", Customer("bruno"), run()) == []


def test_what_was_bought_with_it_or_since_is_not_recommended() -> None:
    orders = [order("o1", 1, "moka", "tazza"), order("o2", 2, "zucchero"), order("o3", 3, "filtro")]
    customer = Customer("anna", orders=orders)
    assert ids("complements", customer, run(order_id="o1")) == ["caffè"]
    assert ids("accessories", customer, run(order_id="o1")) == ["guarnizione"]


def test_what_runs_out_within_a_week_shares_a_reminder() -> None:
    bought = order("o1", 100, "detergente", "carta", "moka", "caffè")
    customer = Customer("anna", orders=[bought])
    firsts = [("caffè", 100 + 30 * DAY), ("detergente", 100 + 90 * DAY)]
    assert list(first_ones(customer, bought, CATALOGUE)) == firsts
    assert together(customer, bought, "caffè", CATALOGUE) == ["caffè", "carta"]
    assert together(customer, bought, "detergente", CATALOGUE) == ["detergente"]
    assert together(customer, bought, "moka", CATALOGUE) == []
    assert ids("running_out", customer, run(order_id="o1", product="caffè")) == ["caffè", "carta"]
    again = Customer("anna", orders=[bought, order("o2", 200, "carta")])
    assert together(again, bought, "caffè", CATALOGUE) == ["caffè"]


def test_two_lines_of_one_product_last_together() -> None:
    bought = order("o1", 100, "caffè", "caffè")
    assert runs_out(Customer("anna", orders=[bought]), bought, CATALOGUE) == 100 + 60 * DAY


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
