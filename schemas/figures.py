"""A key figure: one number with all that it takes to read it. A published form: the names of
`Figure.data` are what `ritorno kpi --json` prints, and stay."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Number = Decimal | int | float

Basis = Literal["facts", "sums", "facts+sums", "part"]
"""What a figure is counted of. facts: each fact, by person. sums: what is kept of months of which
the log holds no fact any more, without persons. part: the facts that are left, of a span that
reaches into such months, where sums can't tell the figure."""

Grouping = Literal["month", "source", "workflow", "step", "variant", "segment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure."""

    kpi: str
    """Its name: `mail.open_rate.people`. Stable."""
    value: Number | None
    """None where nothing can be said: there is no denominator."""
    unit: str
    """`%`, a currency (`EUR`), or what was counted: customers, orders, mails, days…"""
    numerator: Number | None = None
    denominator: Number | None = None
    of: str = ""
    """What the denominator counts: delivered, customers…"""
    first_day: str = ""
    last_day: str = ""
    """From and to, days of the shop's zone, both of them counted; empty: since the first fact, and
    up to the last one."""
    by: str = ""
    key: str = ""
    """The group: `workflow` and `w11-welcome`. Empty: all."""
    period: int | None = None
    """Of a cohort: months since its first one, from 0."""
    low: Number | None = None
    high: Number | None = None
    """Where the true value lies with a probability of 95 %; None where it is a count of everything
    there was."""
    window_days: int | None = None
    """Within how many days what is counted had to happen."""
    partial: bool = False
    """Whether its span has not passed yet."""
    basis: Basis = "facts"

    def data(self) -> dict[str, Any]:
        """Return it for JSON: amounts exact, as texts; other numbers as numbers."""
        amount = len(self.unit) == 3 and self.unit.isupper()
        return {
            "kpi": self.kpi,
            "value": _plain(self.value, exact=amount),
            "unit": self.unit,
            "numerator": _plain(self.numerator, exact=isinstance(self.numerator, Decimal)),
            "denominator": _plain(self.denominator, exact=isinstance(self.denominator, Decimal)),
            "of": self.of,
            "from": self.first_day or None,
            "to": self.last_day or None,
            "by": self.by or None,
            "key": self.key if self.by else None,
            "period": self.period,
            "low": _plain(self.low, exact=amount),
            "high": _plain(self.high, exact=amount),
            "window_days": self.window_days,
            "partial": self.partial,
            "basis": self.basis,
        }


def _plain(number: Number | None, *, exact: bool) -> str | int | float | None:
    if number is None or isinstance(number, int):
        return number
    if exact:
        whole, _, decimals = f"{number:f}".partition(".")
        return f"{whole}.{decimals.rstrip('0'):0<2}"
    return float(number)


KPIS = (
    "orders",
    "revenue",
    "aov",
    "customers",
    "repurchase_rate",
    "clv.simple",
    "second_order",
    "second_order.all",
    "retention.formula",
    "retention.kept",
    "mail.sent",
    "mail.delivered",
    "mail.bounce_rate",
    "mail.complaint_rate",
    "mail.unsubscribe_rate",
    "mail.click_to_open.people",
    "cart.abandoned",
    "cart.abandoned_value",
    "cart.recovery_rate",
    "cart.recovered_value",
    "checkout.abandoned_rate",
    "review_rate",
    "conversion_rate",
    "attribution.revenue",
    "attribution.orders",
    "attribution.revenue.coupon",
    "attribution.orders.coupon",
    "attribution.revenue.click",
    "attribution.orders.click",
    "attribution.revenue.influenced",
    "attribution.orders.influenced",
    "reactivation_rate",
    "reactivation_revenue",
    "roi.attributed",
    "cohort.customers",
    "cohort.orders",
    "cohort.revenue",
    "cohort.revenue_per_customer",
    "funnel.entered",
    "funnel.sent",
    "funnel.opened",
    "funnel.clicked",
    "funnel.goal",
    "funnel.completed",
    "funnel.converted",
    "funnel.exited",
    "funnel.cancelled",
    "funnel.orders",
    "mail.open_rate.people",
    "mail.click_rate.people",
    "mail.hits.open.people",
    "mail.hits.click.people",
    "mail.open_rate.perhaps",
    "mail.click_rate.perhaps",
    "mail.hits.open.perhaps",
    "mail.hits.click.perhaps",
    "mail.open_rate.machines",
    "mail.click_rate.machines",
    "mail.hits.open.machines",
    "mail.hits.click.machines",
)
"""The names of all figures; they stay."""
