"""Key figures of a small shop that can be reckoned by hand, and of a real one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.figures import KPIS
from schemas.instant import parse_instant
from streams.insights import asking
from streams.insights.errors import QuestionError
from streams.insights.questions.orders import span_before
from streams.insights.store import FactStore
from tests.insights.stated import ZONE, Stated, hashed, opened, records, take
from tests.tools.order_import.online_retail import FILE, rows_of

WELCOME, CART, WIN_BACK = "w11-welcome", "w06-abandoned-cart-a", "w20-win-back"


def order(
    stated: Stated, who: str, day: str, name: str, total: str, number: int, **more: Any
) -> bytes:
    return stated("order.placed", who, day, order=name, total=total, items="1", number=number,
                  currency=more.pop("currency", "EUR"), **more)  # fmt: skip


def shop() -> list[bytes]:
    """Anna orders twice, Bruno once and sends it back, Carla once; four mails, two carts."""
    stated = Stated()

    def mail(who: str, name: str, fate: str, day: str = "2026-03-02", **more: Any) -> bytes:
        return stated("mail.fate", who, day, mail=name, fate=fate, workflow=WELCOME, step="thanks",
                      **{"class": "marketing"}, **more)  # fmt: skip

    return [
        *[stated("run.entered", who, "2026-03-01", run=f"r-{who}", workflow=WELCOME)
          for who in ("anna", "bruno", "carla", "dario")],
        *[mail(who, f"m-{who}", "sent") for who in ("anna", "bruno", "carla", "dario")],
        mail("dario", "m-dario", "bounced", bounce="hard"),
        mail("dario", "m-never", "bounced", bounce="hard"),
        mail("anna", "m-anna", "opened", by="machine"),
        mail("anna", "m-anna", "opened", by="person"),
        mail("anna", "m-anna", "opened", by="person", first=False),
        mail("anna", "m-anna", "clicked", by="person"),
        mail("bruno", "m-bruno", "opened", by="perhaps"),
        mail("bruno", "m-bruno", "unsubscribed"),
        order(stated, "anna", "2026-03-03", "o1", "100.00", 1, source="google", segments=["vip"]),
        stated("goal.reached", "anna", "2026-03-03", run="r-anna", workflow=WELCOME),
        stated("order.credited", "anna", "2026-03-03", order="o1", rule="click", model="last",
               share=1.0, amount="100.00", touched="2026-03-02T10:00:00Z", window=5,
               currency="EUR", workflow=WELCOME, step="thanks"),
        order(stated, "bruno", "2026-03-10", "o2", "50.00", 1, source="google"),
        stated("order.credited", "bruno", "2026-03-10", order="o2", rule="influenced", model="last",
               share=1.0, amount="50.00", touched="2026-03-02T10:00:00Z", window=5,
               currency="EUR", workflow=WELCOME, step="thanks"),
        order(stated, "anna", "2026-03-20", "o3", "60.00", 2, source="google"),
        stated("order.changed", "anna", "2026-03-21", order="o3", total="40.00", items="1",
               ordered="2026-03-20T10:00:00Z", currency="EUR"),
        order(stated, "carla", "2026-04-05", "o4", "30.00", 1, source="meta"),
        order(stated, "carla", "2026-04-05", "o5", "30.00", 2, source="meta"),
        stated("order.repeated", "carla", "2026-04-05", order="o5", same_as="o4"),
        stated("cart.abandoned", "carla", "2026-03-15", cart="k1", value="30.00", currency="EUR",
               workflow=CART, step="reminder"),
        stated("cart.abandoned", "dario", "2026-03-15", cart="k2", value="70.00", currency="EUR",
               workflow=CART, step="reminder"),
        stated("cart.recovered", "carla", "2026-03-16", cart="k1", value="30.00", currency="EUR",
               workflow=CART, step="reminder", order="o4", abandoned="2026-03-15T10:00:00Z"),
        stated("order.refunded", "bruno", "2026-04-20", order="o2", amount="50.00", whole=True,
               ordered="2026-03-10T10:00:00Z", currency="EUR"),
        stated("order.credit_withdrawn", "bruno", "2026-04-20", order="o2", rule="influenced",
               model="last", share=1.0, amount="50.00", touched="2026-03-02T10:00:00Z", window=5,
               currency="EUR", workflow=WELCOME, step="thanks"),
        stated("mail.fate", "bruno", "2026-04-21", mail="w1", fate="sent", workflow=WIN_BACK,
               **{"class": "marketing"}),
        order(stated, "bruno", "2026-04-25", "o6", "20.00", 2, source="google"),
        stated("run.entered", "elio", "2026-06-30", workflow="w99"),
    ]  # fmt: skip


def store_of(directory: Path, told: Sequence[bytes]) -> FactStore:
    store = opened(directory, threads=2)
    found = records(told)
    take(store, found)
    # The newest fact says up to when all is known.
    store.write([], {0: len(found)}, parse_instant(json.loads(told[-1])["time"]))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactStore]:
    store = store_of(tmp_path_factory.mktemp("shop"), shop())
    yield store
    store.close()


def figures(store: FactStore, name: str, **arguments: Any) -> list[dict[str, Any]]:
    answer = asking.answer(store, asking.Terms(zone=ZONE), name, arguments, 0)
    found: list[dict[str, Any]] = json.loads(json.dumps(answer["figures"]))
    assert {each["kpi"] for each in found} <= {*KPIS}
    return found


def of(found: Sequence[dict[str, Any]], kpi: str, key: str | None = None) -> Any:
    [row] = [each for each in found if each["kpi"] == kpi and each["key"] == key]
    return row


MARCH = {"first": "2026-03-01", "last": "2026-03-31"}


def test_orders_by_now_on_the_day_they_were_placed(store: FactStore) -> None:
    found = figures(store, "kpi", **MARCH)
    # o1 100 and o3, which an edit made 40; o2 was sent back in April and counts in March no more.
    assert of(found, "orders")["value"] == 2
    assert Decimal(of(found, "revenue")["value"]) == 140
    assert Decimal(of(found, "aov")["value"]) == 70
    before = figures(store, "kpi", **MARCH, refunds="before")
    assert (of(before, "orders")["value"], Decimal(of(before, "revenue")["value"])) == (3, 190)
    row = of(found, "aov")
    assert (row["unit"], row["numerator"], row["denominator"], row["from"], row["to"]) == (
        "EUR", "140.00", 2, "2026-03-01", "2026-03-31")  # fmt: skip


def test_who_ordered_twice(store: FactStore) -> None:
    found = of(figures(store, "kpi"), "repurchase_rate")
    assert (found["numerator"], found["denominator"]) == (1, 3)
    assert found["low"] < found["value"] < found["high"]


def test_only_whose_window_has_passed_is_in_the_denominator(store: FactStore) -> None:
    found = of(figures(store, "kpi"), "second_order")
    assert (found["numerator"], found["denominator"]) == (1, 3)
    late = figures(store, "kpi", window_days=100)
    assert of(late, "second_order")["denominator"] == 1
    assert of(late, "second_order.all")["denominator"] == 3


def test_kept_and_the_formula_are_two_names(store: FactStore) -> None:
    found = figures(store, "kpi", first="2026-04-01", last="2026-04-30", refunds="before")
    kept, formula = of(found, "retention.kept"), of(found, "retention.formula")
    assert (kept["numerator"], kept["denominator"]) == (1, 2), "of Anna and Bruno, Bruno"
    assert (formula["numerator"], formula["denominator"]) == (1, 2)


def test_mails_are_unique_and_people_apart_from_machines(store: FactStore) -> None:
    found = figures(store, "kpi", workflow=WELCOME)

    def counts(kpi: str) -> tuple[int, int]:
        row = of(found, kpi)
        return row["numerator"], row["denominator"]

    assert of(found, "mail.delivered")["value"] == 3
    assert counts("mail.bounce_rate") == (2, 5)
    assert counts("mail.unsubscribe_rate") == (1, 3)
    assert counts("mail.open_rate.people") == (1, 3)
    assert counts("mail.open_rate.perhaps") == (1, 3)
    assert counts("mail.open_rate.machines") == (1, 3)
    assert counts("mail.click_rate.people") == (1, 3)
    assert counts("mail.click_to_open.people") == (1, 1)


def test_carts_that_came_back(store: FactStore) -> None:
    found = figures(store, "kpi", by="workflow")
    row = of(found, "cart.recovery_rate", CART)
    assert (row["numerator"], row["denominator"], row["window_days"]) == (1, 2, 7)
    assert Decimal(of(found, "cart.recovered_value", CART)["value"]) == 30
    assert Decimal(of(found, "cart.abandoned_value", CART)["value"]) == 100


def test_runs_that_reached_their_goal(store: FactStore) -> None:
    row = of(figures(store, "kpi"), "conversion_rate", WELCOME)
    assert (row["numerator"], row["denominator"]) == (1, 4)


def test_who_came_back_after_a_win_back_mail(store: FactStore) -> None:
    found = figures(store, "kpi")
    row = of(found, "reactivation_rate", WIN_BACK)
    assert (row["numerator"], row["denominator"]) == (1, 1)
    assert Decimal(of(found, "reactivation_revenue", WIN_BACK)["value"]) == 20


def test_credits_by_rule_and_what_refunds_took_back(store: FactStore) -> None:
    found = figures(store, "attribution")
    assert Decimal(of(found, "attribution.revenue", WELCOME)["value"]) == 100
    assert Decimal(of(found, "attribution.revenue.influenced", WELCOME)["value"]) == 0
    before = figures(store, "attribution", refunds="before", by="month")
    assert Decimal(of(before, "attribution.revenue.influenced", "2026-03")["value"]) == 50
    assert of(before, "attribution.orders", "2026-03")["value"] == 1


def test_roi_of_a_file_of_costs(store: FactStore) -> None:
    costs = [{"month": "2026-03", "workflow": WELCOME, "amount": "20"},
             {"month": "2026-04", "workflow": "", "amount": "5"},
             {"month": "2025-01", "workflow": "", "amount": "1000"}]  # fmt: skip
    found = figures(store, "roi", costs=costs, first="2026-03-01", last="2026-04-30")
    assert of(found, "roi.attributed", WELCOME)["value"] == 400
    assert of(found, "roi.attributed")["value"] == 300
    with pytest.raises(QuestionError, match="no cost"):
        figures(store, "roi", costs=costs, first="2024-01-01", last="2024-12-31")


def test_a_funnel(store: FactStore) -> None:
    found = figures(store, "funnel", workflow=WELCOME)
    assert of(found, "funnel.entered")["value"] == 4
    assert of(found, "funnel.sent", "thanks")["value"] == 4
    assert of(found, "funnel.opened", "thanks")["value"] == 1
    assert of(found, "funnel.goal")["value"] == 1
    assert of(found, "funnel.orders")["value"] == 1
    with pytest.raises(QuestionError, match="nothing is known of 'x'"):
        figures(store, "funnel", workflow="x")


def test_currencies_are_never_added_up(tmp_path: Path) -> None:
    stated = Stated()
    store = store_of(tmp_path, [
        order(stated, "a", "2026-03-01", "1", "10", 1),
        order(stated, "b", "2026-03-01", "2", "10", 1, currency="CHF"),
    ])  # fmt: skip
    with pytest.raises(QuestionError, match=r"CHF, EUR.*--currency"):
        figures(store, "kpi")
    assert of(figures(store, "kpi", currency="chf"), "revenue")["unit"] == "CHF"
    store.close()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"by": "moon"}, "by: expected one of month"),
        ({"first": "yesterday"}, "from: expected a day such as 2026-03-01"),
        ({"first": "2026-03-02", "last": "2026-03-01"}, "is after"),
        ({"years": "-1"}, "years"),
        ({"years": "many"}, "years"),
        ({"window_days": 0}, "window_days"),
        ({"refunds": "never"}, "refunds"),
        ({"colour": "red"}, "no such argument"),
        ({"workflow": 7}, "workflow"),
        ({"costs": [{"month": "2026-13", "workflow": "", "amount": "1"}]}, "cost 1"),
        ({"costs": [{"month": "9999-12", "workflow": "", "amount": "1"}]}, "cost 1"),
        ({"costs": [{"month": "2026-03", "workflow": "", "amount": "-1"}]}, "cost 1"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    store: FactStore, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(QuestionError, match=problem):
        figures(store, "kpi", **arguments)


def test_a_workflow_with_a_quote_in_its_name_is_a_name(store: FactStore) -> None:
    with pytest.raises(QuestionError, match="nothing is known of"):
        figures(store, "kpi", workflow="x' OR true --")


@pytest.mark.parametrize("by", ["month", "source", "workflow", "step", "variant", "segment"])
def test_every_group_is_answered(store: FactStore, by: str) -> None:
    assert {each["by"] for each in figures(store, "kpi", by=by)} == {by}


def aging() -> list[bytes]:
    """January: one order that an edit makes 150, one that is repeated, one that goes back in
    February; March: one of 100."""
    stated = Stated()
    credit = {"rule": "click", "model": "last", "share": 1.0, "touched": "2026-01-09T10:00:00Z",
              "window": 5, "currency": "EUR", "workflow": WELCOME}  # fmt: skip
    return [
        order(stated, "anna", "2026-01-10", "o1", "100", 1),
        stated("order.credited", "anna", "2026-01-10", order="o1", amount="100", **credit),
        stated("order.changed", "anna", "2026-01-11", order="o1", total="150", items="1",
               ordered="2026-01-10T10:00:00Z", currency="EUR"),
        order(stated, "anna", "2026-01-12", "o2", "100", 2),
        stated("order.repeated", "anna", "2026-01-13", order="o2", same_as="o1"),
        order(stated, "bruno", "2026-01-14", "o3", "100", 1),
        stated("order.refunded", "bruno", "2026-02-13", order="o3", amount="100", whole=True,
               ordered="2026-01-14T10:00:00Z", currency="EUR"),
        order(stated, "carla", "2026-03-14", "o4", "100", 1),
        stated("run.entered", "elio", "2026-06-30", workflow="w99"),
    ]  # fmt: skip


def test_orders_that_age_are_summed_as_they_were_by_their_end(tmp_path: Path) -> None:
    told = aging()
    store = store_of(tmp_path, told)

    def money(**given: Any) -> tuple[int, Decimal, str]:
        found = figures(store, "kpi", **given)
        revenue = of(found, "revenue")
        return of(found, "orders")["value"], Decimal(revenue["value"]), revenue["basis"]

    for start, basis in ((0, "facts"), (3, "facts+sums"), (6, "facts+sums"), (7, "facts+sums")):
        store.age({0: start})
        assert money() == (2, 250, basis), start
        assert money(refunds="before") == (3, 350, basis), start
    assert money(last="2026-01-31") == (1, 150, "sums")
    for span, problem in (({"first": "2026-01-12"}, "ask from 2026-01-01"),
                          ({"last": "2026-01-30"}, "ask to 2026-01-31")):  # fmt: skip
        with pytest.raises(QuestionError, match=f"the whole month is left; {problem}"):
            figures(store, "kpi", **span)
    found = figures(store, "kpi")
    assert of(found, "customers")["basis"] == "part"
    assert of(figures(store, "kpi", first="2026-02-01"), "customers")["basis"] == "facts"
    store.close()


def test_a_refund_of_an_order_that_has_aged_is_off_its_sum(tmp_path: Path) -> None:
    told = aging()
    store = store_of(tmp_path, told)
    # What the log still has is read again: the refund, without its order.
    store.begin_anew({0: 6})
    take(store, records(told)[6:])
    for start in (6, 7):
        store.age({0: start})
        found = figures(store, "kpi")
        assert (of(found, "orders")["value"], Decimal(of(found, "revenue")["value"])) == (2, 250)
    store.close()


def test_the_span_before() -> None:
    assert span_before(date(2011, 7, 1), date(2011, 9, 30)) == (date(2011, 4, 1), date(2011, 6, 30))
    assert span_before(date(2026, 1, 1), date(2026, 1, 31)) == (
        date(2025, 12, 1), date(2025, 12, 31))  # fmt: skip
    assert span_before(date(2026, 3, 9), date(2026, 3, 15)) == (date(2026, 3, 2), date(2026, 3, 8))


# Online Retail: the figures of the reference, computed there with numpy.


def online_retail() -> Iterator[bytes]:
    invoices: dict[str, dict[str, Any]] = {}
    for row in rows_of(FILE):
        quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
        if row["CustomerID"] and quantity > 0 and price > 0 and row["InvoiceNo"][0] != "C":
            invoice = invoices.setdefault(
                row["InvoiceNo"],
                {"who": row["CustomerID"], "time": row["InvoiceDate"], "total": Decimal(0)},
            )
            invoice["total"] += quantity * price
    number: defaultdict[str, int] = defaultdict(int)
    for offset, (name, each) in enumerate(invoices.items()):
        number[each["who"]] += 1
        time = each["time"].replace(" ", "T") + ("Z" if each["time"].count(":") > 1 else ":00Z")
        yield json.dumps({
            "fact": "order.placed", "id": f"1.0.{offset}.0", "time": time, "happened": time,
            "person": hashed(each["who"]), "order": hashed(name), "total": f"{each['total']:f}",
            "items": "1", "number": number[each["who"]], "currency": "GBP", "history": True,
        }).encode()  # fmt: skip


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactStore]:
    if not FILE.exists():
        pytest.skip(f"{FILE} is not there")
    store = opened(tmp_path_factory.mktemp("retail"), threads=2, zone="UTC")
    take(store, records(online_retail(), since="2011-12-09T12:00:00Z"))
    yield store
    store.close()


@pytest.mark.data
@pytest.mark.slow
def test_online_retail(retail: FactStore) -> None:
    found = figures(retail, "kpi")
    assert of(found, "customers")["value"] == 4_338
    assert of(found, "orders")["value"] == 18_532
    assert Decimal(of(found, "revenue")["value"]) == Decimal("8911407.904")
    assert round(Decimal(of(found, "aov")["value"]), 2) == Decimal("480.87")
    repeat = of(found, "repurchase_rate")
    assert (repeat["numerator"], round(repeat["value"], 3)) == (2_845, 65.583)
    again = of(found, "second_order.all")
    assert (again["numerator"], round(again["value"], 3)) == (950, 21.899)
    assert of(found, "second_order")["denominator"] < 4_338


@pytest.mark.data
@pytest.mark.slow
def test_online_retail_retention(retail: FactStore) -> None:
    found = figures(retail, "kpi", first="2011-07-01", last="2011-09-30")
    assert round(of(found, "retention.formula")["value"], 3) == 75.590
    assert round(of(found, "retention.kept")["value"], 3) == 60.824
    assert of(found, "retention.kept")["denominator"] == 1_991


COHORTS = {
    "2010-12": [885, 324, 286, 340, 321, 352, 321, 309, 313, 350, 331, 445, 235],
    "2011-01": [417, 92, 111, 96, 134, 120, 103, 101, 125, 136, 152, 49],
    "2011-02": [380, 71, 71, 108, 103, 94, 96, 106, 94, 116, 26],
    "2011-03": [452, 68, 114, 90, 101, 76, 121, 104, 126, 39],
}


@pytest.mark.data
@pytest.mark.slow
def test_online_retail_cohorts(retail: FactStore) -> None:
    found = [each for each in figures(retail, "cohorts") if each["kpi"] == "cohort.customers"]
    for key, expected in COHORTS.items():
        row = [each for each in found if each["key"] == key]
        assert [each["value"] for each in row] == expected
        assert [each["period"] for each in row] == list(range(len(expected)))
        assert [each["partial"] for each in row] == [False] * (len(expected) - 1) + [True]


def test_cohorts_of_the_small_shop(store: FactStore) -> None:
    found = figures(store, "cohorts", refunds="before")
    march = [each for each in found if each["key"] == "2026-03"]
    assert [each["value"] for each in march if each["kpi"] == "cohort.customers"] == [2, 1]
    so_far = [
        Decimal(each["value"]) for each in march if each["kpi"] == "cohort.revenue_per_customer"
    ]
    assert so_far == [95, 105]
    by_source = figures(store, "cohorts", by="source")
    assert {each["key"] for each in by_source} == {"google", "meta"}
    with pytest.raises(QuestionError, match="cohorts are by month or source"):
        figures(store, "cohorts", by="step")
