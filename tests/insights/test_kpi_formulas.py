"""The formulas, with the examples of their sources."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agents.insights.kpi_formulas import (
    cart_loss,
    lifetime_value,
    percent,
    ratio,
    retention,
    return_on_investment,
)


def test_repurchase_rate() -> None:
    assert percent(250, 1_000) == 25


def test_retention_and_where_it_is_above_what_was_kept() -> None:
    assert retention(1_100, 200, 1_000) == 90
    found = retention(2_161, 656, 1_991)
    assert found is not None
    assert round(found, 3) == Decimal("75.590")
    kept = percent(1_211, 1_991)
    assert kept is not None
    assert round(kept, 3) == Decimal("60.824")
    assert retention(1_200, 0, 1_000) == 120


def test_lifetime_value() -> None:
    assert lifetime_value(Decimal("50.00"), 4, 5) == Decimal("1000.00")


def test_return_on_investment() -> None:
    assert return_on_investment(Decimal(25_000), Decimal(5_000)) == 400
    assert return_on_investment(Decimal(1), Decimal(0)) is None


@pytest.mark.parametrize(
    ("abandoned", "loss"),
    [("0.75", "8640"), ("0.7925", "10999.518072"), ("0.793", "11033.043478"),
     ("0.785", "10515.348837")],
)  # fmt: skip
def test_cart_loss(abandoned: str, loss: str) -> None:
    found = cart_loss(
        visitors=6_000,
        conversion=Decimal("0.024"),
        order_value=Decimal(20),
        abandoned=Decimal(abandoned),
    )
    assert (found.orders, found.loss) == (144, Decimal(loss))
    assert found.recovered(Decimal("0.1")) == found.loss / 10


@pytest.mark.parametrize(
    ("field", "value"),
    [("abandoned", "1"), ("abandoned", "-0.1"), ("conversion", "1.1"), ("order_value", "-1")],
)
def test_what_is_no_share_is_refused(field: str, value: str) -> None:
    given = {
        "conversion": Decimal("0.024"),
        "order_value": Decimal(20),
        "abandoned": Decimal("0.7"),
    }
    with pytest.raises(ValueError, match=r"share|below"):
        cart_loss(visitors=6_000, **{**given, field: Decimal(value)})


def test_of_nothing_nothing_is_known() -> None:
    assert ratio(1, 0) is None
    assert percent(0, 0) is None
