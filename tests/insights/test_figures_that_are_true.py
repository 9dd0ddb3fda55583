"""Key figures where a naive count is wrong: other spans, other currencies, held out, merged."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.insights.errors import QuestionError
from streams.insights.store import FactStore
from tests.insights.stated import Stated
from tests.insights.test_key_figures import figures, of, order, store_of

LATE = "2026-09-30"
MARCH = {"first": "2026-03-01", "last": "2026-03-31"}


def shop(directory: Path, stated: Stated, told: Iterable[bytes], until: str = LATE) -> FactStore:
    return store_of(directory, [*told, stated("run.entered", "zoe", until, workflow="w99")])


def parts(found: Any, kpi: str, key: str | None = None) -> tuple[Any, Any]:
    row = of(found, kpi, key)
    return row["numerator"], row["denominator"]


def fate(stated: Stated, name: str, day: str, what: str, **more: Any) -> bytes:
    given = {"workflow": "w1", "class": "marketing", **more}
    return stated("mail.fate", "anna", day, mail=name, fate=what, **given)


def test_fates_count_where_their_mail_was_sent(tmp_path: Path) -> None:
    s = Stated()
    store = shop(tmp_path, s, [
        *[fate(s, f"f{n}", "2026-02-27", "sent") for n in range(5)],
        *[fate(s, f"f{n}", "2026-03-02", "opened", by="person") for n in range(3)],
        *[fate(s, f"f{n}", "2026-03-02", "bounced") for n in (3, 4)],
        fate(s, "m0", "2026-03-02", "sent"),
        *[fate(s, f"a{n}", "2026-04-02", "sent") for n in range(4)],
        fate(s, "a0", "2026-04-03", "opened", by="person"),
        *[fate(s, f"a{n}", "2026-04-03", "clicked", by="person") for n in range(3)],
    ])  # fmt: skip
    march = figures(store, "kpi", **MARCH)
    assert of(march, "mail.delivered")["value"] == 1
    assert parts(march, "mail.open_rate.people") == (0, 1)
    assert parts(march, "mail.bounce_rate") == (0, 1)
    february = figures(store, "kpi", last="2026-02-28", by="month")
    assert parts(february, "mail.open_rate.people", "2026-02") == (3, 3)
    april = figures(store, "kpi", first="2026-04-01")
    assert parts(april, "mail.click_to_open.people") == (3, 3), "who clicked has opened"
    store.close()


def test_the_first_order_that_counts_makes_the_cohort(tmp_path: Path) -> None:
    s = Stated()
    january = {"cohort": "2026-01"}
    store = shop(tmp_path, s, [
        order(s, "anna", "2026-01-10", "o1", "100", 1, **january),
        s("order.refunded", "anna", "2026-01-20", order="o1", amount="100", whole=True,
          ordered="2026-01-10T10:00:00Z", currency="EUR"),
        order(s, "anna", "2026-02-10", "o2", "100", 2, **january),
        order(s, "anna", "2026-03-05", "o3", "100", 3, **january),
        order(s, "bruno", "2026-02-10", "o4", "100", 7, cohort="2024-05"),
    ])  # fmt: skip
    found = [
        (each["key"], each["period"], each["value"])
        for each in figures(store, "cohorts") if each["kpi"] == "cohort.customers"
    ]  # fmt: skip
    assert found == [("2026-02", 0, 1), ("2026-02", 1, 1)], "Bruno came before the facts"
    assert parts(figures(store, "kpi"), "second_order") == (1, 1)
    assert parts(figures(store, "kpi", window_days=7), "second_order") == (0, 1)
    store.close()


def test_only_runs_that_were_reached_and_whose_window_has_passed_convert(tmp_path: Path) -> None:
    s = Stated()

    def of_run(kind: str, name: str, day: str, **more: Any) -> bytes:
        return s(kind, name, day, run=name, workflow="w1", **more)

    store = shop(tmp_path, s, [
        *[of_run("run.entered", name, "2026-03-02") for name in ("goal", "none", "late", "held")],
        of_run("run.held", "held", "2026-03-02", reason="holdout"),
        of_run("goal.reached", "held", "2026-03-03"),
        of_run("run.ended", "held", "2026-03-03", how="converted", reason="goal"),
        of_run("goal.reached", "goal", "2026-03-05"),
        of_run("run.entered", "open", "2026-04-20"),
        of_run("goal.reached", "open", "2026-04-21"),
        of_run("goal.reached", "late", "2026-04-25"),
    ], until="2026-04-30")  # fmt: skip
    row = of(figures(store, "kpi"), "conversion_rate", "w1")
    assert (row["numerator"], row["denominator"], row["window_days"]) == (1, 3, 30)
    funnel = figures(store, "funnel", workflow="w1")
    assert parts(funnel, "funnel.goal") == (3, 4)
    assert not [each for each in funnel if each["kpi"] == "funnel.converted"]
    store.close()


def test_a_year_is_not_reckoned_from_a_month(tmp_path: Path) -> None:
    s = Stated()
    store = shop(tmp_path, s, [
        order(s, "anna", "2025-03-05", "o1", "50", 1), order(s, "anna", "2026-03-05", "o2", "50", 2)
    ])  # fmt: skip
    assert of(figures(store, "kpi", **MARCH), "clv.simple")["value"] is None
    by_month = figures(store, "kpi", by="month")
    assert of(by_month, "clv.simple", "2026-03")["value"] is None
    assert "cannot be known" in of(by_month, "clv.simple", "2026-03")["of"]
    year = figures(store, "kpi", first="2025-09-01", last="2026-08-31")
    assert round(Decimal(of(year, "clv.simple")["value"])) == 50
    store.close()


def test_amounts_of_another_currency_are_another_sum(tmp_path: Path) -> None:
    s = Stated()
    store = shop(tmp_path, s, [
        s("mail.fate", "anna", "2026-01-10", fate="sent", mail="w", workflow="w20-win-back"),
        order(s, "anna", "2026-01-12", "o1", "100", 1),
        order(s, "anna", "2026-01-13", "o2", "1000", 2, currency="JPY"),
        order(s, "bruno", "2026-01-13", "o3", "90", 1),
        s("order.changed", "bruno", "2026-01-14", order="o3", total="15000", items="1",
          ordered="2026-01-13T10:00:00Z", currency="JPY"),
    ])  # fmt: skip
    euros, yen = figures(store, "kpi", currency="EUR"), figures(store, "kpi", currency="JPY")
    assert Decimal(of(euros, "reactivation_revenue", "w20-win-back")["value"]) == 100
    assert Decimal(of(euros, "revenue")["value"]) == 100
    assert Decimal(of(yen, "revenue")["value"]) == 16_000
    store.close()


def test_days_are_the_shops(tmp_path: Path) -> None:
    s = Stated()
    evening = "2026-03-31T22:30:00Z"
    store = store_of(tmp_path, [
        s("mail.fate", "anna", evening, fate="sent", mail="w", workflow="w20-win-back"),
        order(s, "anna", evening, "o1", "100", 1),
    ])  # fmt: skip
    april = figures(store, "kpi", first="2026-04-01", last="2026-04-30")
    assert of(april, "reactivation_rate", "w20-win-back")["denominator"] == 0
    assert not [each for each in figures(store, "kpi", **MARCH) if "reactivation" in each["kpi"]]
    [march] = [each for each in figures(store, "kpi", **MARCH) if each["kpi"] == "retention.kept"]
    assert not march["partial"], "in Rome it is April"
    store.close()


def test_a_part_of_a_month_has_its_part_of_the_cost(tmp_path: Path) -> None:
    s = Stated()
    credit = {"rule": "click", "model": "last", "share": 1.0, "touched": "2026-03-01T10:00:00Z",
              "window": 5, "currency": "EUR", "workflow": "w1"}  # fmt: skip
    store = shop(tmp_path, s, [
        order(s, "anna", "2026-03-02", "o1", "1000", 1),
        s("order.credited", "anna", "2026-03-02", order="o1", amount="1000", **credit),
        order(s, "anna", "2026-03-20", "o2", "510", 1),
        s("order.credited", "anna", "2026-03-20", order="o2", amount="510", **credit),
        order(s, "anna", "2026-03-21", "o3", "70", 1),
        s("order.credited", "anna", "2026-03-21", order="o3", amount="70", **credit),
        s("order.credit_withdrawn", "anna", "2026-03-25", order="o3", amount="70", **credit),
    ])  # fmt: skip
    costs = [{"month": "2026-03", "workflow": "w1", "amount": "310"}]
    half = figures(store, "roi", first="2026-03-15", last="2026-03-31", costs=costs)
    assert of(half, "roi.attributed", "w1")["value"] == 200
    assert of(figures(store, "attribution"), "attribution.orders", "w1")["value"] == 2
    before = figures(store, "attribution", refunds="before")
    assert of(before, "attribution.orders", "w1")["value"] == 3
    store.close()


def test_a_cart_is_worth_what_its_order_brought(tmp_path: Path) -> None:
    s = Stated()
    cart = {"value": "200", "currency": "EUR", "workflow": "w6"}
    store = shop(tmp_path, s, [
        s("cart.abandoned", "anna", "2026-03-01", cart="k1", **cart),
        order(s, "anna", "2026-03-02", "o1", "60", 1),
        s("cart.recovered", "anna", "2026-03-02", cart="k1", order="o1",
          abandoned="2026-03-01T10:00:00Z", **cart),
        s("cart.abandoned", "bruno", "2026-03-28", cart="k2", **cart),
        order(s, "bruno", "2026-03-29", "o2", "80", 1),
        s("cart.recovered", "bruno", "2026-03-29", cart="k2", order="o2",
          abandoned="2026-03-28T10:00:00Z", **cart),
        s("review.requested", "visitor", "2026-02-01", mail="q", workflow="w7"),
        s("review.submitted", "carla", "2026-02-05", stars=5),
        s("person.merged", "visitor", "2026-02-06", into="carla"),
    ], until="2026-03-31")  # fmt: skip
    found = figures(store, "kpi")
    assert Decimal(of(found, "cart.recovered_value")["value"]) == 60
    assert parts(found, "cart.recovery_rate") == (1, 1)
    assert parts(found, "review_rate") == (1, 1), "one person under two pseudonyms"
    store.close()


def test_of_one_workflow_only_what_is_its(tmp_path: Path) -> None:
    s = Stated()
    store = shop(tmp_path, s, [
        order(s, "anna", "2026-03-02", "o1", "60", 1),
        fate(s, "m1", "2026-03-01", "sent", workflow="w06-cart"),
    ])  # fmt: skip
    names = {each["kpi"] for each in figures(store, "kpi", workflow="w06-cart")}
    assert "mail.sent" in names
    assert not names & {"orders", "revenue", "customers", "clv.simple", "second_order"}
    for question in ("kpi", "attribution", "funnel"):
        with pytest.raises(QuestionError, match=r"'w06-none'; did you mean w06-cart\?"):
            figures(store, question, workflow="w06-none")
    for span in ({"first": "2026-01-01", "last": "9999-12-31"},
                 {"first": "0001-01-01", "last": "0001-01-31"}):  # fmt: skip
        with pytest.raises(QuestionError, match="expected a day from 1990-01-01 to 2999-12-31"):
            figures(store, "kpi", **span)
    figures(store, "kpi", first="1990-01-01", last="2999-12-31")
    figures(store, "kpi", first="1990-01-02", last="2999-12-31")
    store.close()
