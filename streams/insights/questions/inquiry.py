"""A question as it is asked, and what all of them share: days, groups, currencies, orders."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args

import duckdb

from agents.insights.statistics import wilson
from schemas.figures import Basis, Figure, Grouping
from streams.insights import tables
from streams.insights.errors import QuestionError

MOST_GROUPS = 1_000
"""Groups of an answer; beyond, the question is too fine."""

Refunds = Literal["after", "before"]


FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2999, 12, 31)
"""That can be asked about, so that the span before is one of the calendar, too."""

MOST_COSTS = 10_000
MOST_DIGITS = 12
"""Of an amount, before its decimals."""


class Cost(NamedTuple):
    """What was paid in a month."""

    month: str
    workflow: str
    """Empty: for all of them."""
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a question is asked with."""

    first: date | None = None
    """From this day of the shop's zone on, and up to `last`, both of them counted."""
    last: date | None = None
    by: Grouping | None = None
    currency: str = ""
    """Needed where there are several."""
    refunds: Refunds = "after"
    """Whether orders are worth what is left of them."""
    workflow: str = ""
    years: Decimal = Decimal(1)
    """Of which the simple lifetime value is reckoned."""
    window_days: int = 30
    """Within which somebody is to order again, and a run to reach its goal."""
    costs: tuple[Cost, ...] = ()

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> Scope:
        """Read them as they come in JSON. Raises QuestionError naming field and value."""
        known = {each.name for each in fields(cls)}
        if unknown := sorted(arguments.keys() - known):
            raise QuestionError(f"{unknown[0][:40]}: no such argument; there are {sorted(known)}")
        values = {
            name: _read(name, value) for name, value in arguments.items() if value is not None
        }
        scope = cls(**values)
        if scope.first and scope.last and scope.first > scope.last:
            raise QuestionError(f"from: {scope.first} is after {scope.last}")
        return scope


SPAN = {"first": "from", "last": "to"}
"""What the ends of a span are called where they are asked for."""


def _read(name: str, value: Any) -> Any:
    choices = {"by": get_args(Grouping), "refunds": get_args(Refunds)}
    try:
        if name in SPAN:
            day = _day(value)
            if not FIRST_DAY <= day <= LAST_DAY:
                raise ValueError(f"expected a day from {FIRST_DAY} to {LAST_DAY}")
            return day
        if name in choices and value not in choices[name]:
            raise ValueError(f"expected one of {', '.join(choices[name])}")
        if name == "years":
            years = Decimal(value)
            if not Decimal("0.01") <= years <= 100:
                raise ValueError("expected 0.01 to 100")
            return years
        if name == "window_days":
            if not (isinstance(value, int) and 0 < value <= 366):
                raise ValueError("expected 1 to 366")
            return value
        if name == "costs":
            return _read_costs(value)
        if not isinstance(value, str) or len(value) > 200:
            raise ValueError("expected a short text")
    except (ValueError, TypeError, ArithmeticError) as error:
        raise QuestionError(f"{SPAN.get(name, name)}: {error} (got {str(value)[:40]!r})") from None
    return value


def _day(text: Any) -> date:
    """Raises ValueError."""
    try:
        return date.fromisoformat(text)
    except (ValueError, TypeError):
        raise ValueError("expected a day such as 2026-03-01") from None


def _read_costs(value: Any) -> tuple[Cost, ...]:
    """Raises ValueError."""
    if not isinstance(value, list) or len(value) > MOST_COSTS:
        raise ValueError(f"expected a list of {MOST_COSTS} at most")
    costs = []
    for number, each in enumerate(value, start=1):
        try:
            month, workflow = str(each["month"]), str(each["workflow"])
            amount = Decimal(each["amount"])
            if not FIRST_DAY <= date.fromisoformat(f"{month}-01") <= LAST_DAY:
                raise ValueError(month)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise ValueError(
                f"cost {number}: expected month (2026-03), workflow, amount"
            ) from error
        if not amount.is_finite() or amount < 0 or amount.adjusted() > MOST_DIGITS:
            raise ValueError(f"cost {number}: an amount can't be {amount}")
        costs.append(Cost(month, workflow, amount))
    return tuple(costs)


class Inquiry:
    """One question, on a cursor of its own."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, scope: Scope) -> None:
        self._cursor = cursor
        self.scope = scope
        self._aged: tuple[Any, ...] | None = None

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return what a SELECT finds. Raises QuestionError where it is too much."""
        found = self._cursor.execute(sql, dict(values or {})).fetchmany(100 * MOST_GROUPS + 1)
        if len(found) > 100 * MOST_GROUPS:
            raise QuestionError("too many groups; ask of a shorter span, or by something coarser")
        return found

    def one(self, sql: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """Return the only row that a SELECT finds."""
        [row] = self.rows(sql, values)
        return row

    def within(self, column: str = "day") -> str:
        """Return the condition that a day lies in the span."""
        first, last = self.scope.first, self.scope.last
        parts = [f"{column} >= DATE '{first}'"] if first else []
        parts += [f"{column} <= DATE '{last}'"] if last else []
        return " AND ".join(parts) or "true"

    def of_workflow(self) -> str:
        """Return the condition that a fact is of the workflow that is asked about, if one is."""
        name = self.scope.workflow.replace("'", "''")
        return f"workflow = '{name}'" if name else "true"

    def know_workflow(self) -> None:
        """Raise QuestionError where a workflow is asked about of which there is no fact."""
        name = self.scope.workflow
        if not name:
            return
        every = (*tables.TABLES, "sums")
        if any(
            self.rows(f"SELECT 1 FROM {table} WHERE {self.of_workflow()} LIMIT 1")
            for table in every
        ):
            return
        union = " UNION ".join(f"SELECT workflow FROM {table}" for table in every)
        known = [each for (each,) in self.rows(f"{union} ORDER BY 1") if each]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise QuestionError(f"workflow: nothing is known of {name[:80]!r}{hint}")

    def share_of_month(self, month: str) -> Decimal:
        """Return how much of a month lies in the span, by days, from 0 to 1."""
        begins = date.fromisoformat(f"{month}-01")
        ends = (begins + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        first, last = max(self.scope.first or begins, begins), min(self.scope.last or ends, ends)
        return Decimal(max((last - first).days + 1, 0)) / ends.day

    def known_until(self) -> str:
        """Return the SQL of the time up to which all is known: that of the newest fact."""
        return (
            "(SELECT make_timestamp(max(TRY_CAST(value AS BIGINT)) * 1000) FROM state "
            "WHERE name = 'latest')"
        )

    @property
    def span(self) -> dict[str, Any]:
        """The span, for a figure."""
        first, last = self.scope.first, self.scope.last
        return {"first_day": str(first or ""), "last_day": str(last or "")}

    def basis(self, first: str, last: str) -> Basis:
        """Return what facts by person are of a span, days or months: only a part of them where it
        reaches into months that have aged."""
        if self._aged is None:
            self._aged = self.one("SELECT min(month), max(month) FROM sums")
        oldest, newest = self._aged
        if newest is None or first[:7] > f"{newest:%Y-%m}":
            return "facts"
        return "facts" if last and last[:7] < f"{oldest:%Y-%m}" else "part"

    def marked(self, figure: Figure) -> Figure:
        """Return a figure with its true basis."""
        if figure.basis != "facts":
            return figure
        first, last = figure.first_day, figure.last_day
        if figure.by == "month" and figure.key:
            first = last = figure.key
        return replace(figure, basis=self.basis(first, last))

    def last_day(self) -> date | None:
        """Return the last day, in the shop's zone, of which there is a fact; days after it may
        still get some."""
        zones = self.rows("SELECT value FROM state WHERE name = 'zone'")
        day = tables.day_of(self.known_until(), zones[0][0] if zones else "UTC")
        found = self.one(f"SELECT max({day}) FROM state WHERE name = 'latest' AND value <> '0'")[0]
        return found if isinstance(found, date) else None

    def currency(self, table: str = "purchases") -> str:
        """Return the one currency that is asked about. Raises QuestionError where there are several
        and none was chosen."""
        if self.scope.currency:
            return self.scope.currency.upper()
        found = self.rows(
            f"SELECT DISTINCT currency FROM {table} WHERE currency <> '' AND {self.within()} "
            "UNION SELECT DISTINCT currency FROM sums WHERE currency <> '' ORDER BY 1"
        )
        names = [name for (name,) in found]
        if len(names) > 1:
            raise QuestionError(
                f"amounts in {', '.join(names)} can't be added up: choose one with --currency"
            )
        return names[0] if names else ""

    def orders(self) -> str:
        """Return the CTEs `every_order`, each order as it is by now, repeated ones left out, and
        `orders`, those of them that count: of which something is left, or all before refunds.

        order_id, person, day, placed_at, source, cohort, currency, number, segments, gross, back,
        value: what is left, or gross; counts.
        """
        left = "coalesce(c.total, p.total)"
        net = f"{left} - coalesce(b.back, 0)"
        value, counts = (
            (net, f"(coalesce(b.back, 0) < {left} OR coalesce(b.back, 0) = 0)")
            if self.scope.refunds == "after"
            else (left, "true")
        )
        return f"""every_order AS (
            SELECT p.order_id, coalesce(m.into_person, p.person) AS person,
                coalesce(c.day, p.day) AS day, coalesce(c.ordered, p.happened) AS placed_at,
                p.source, p.cohort, coalesce(c.currency, p.currency) AS currency, p.number,
                p.segments, {left} AS gross, coalesce(b.back, 0) AS back, {value} AS value,
                {counts} AS counts
            FROM purchases p
            LEFT JOIN merges m ON m.person = p.person
            LEFT JOIN (
                SELECT order_id, arg_max(total, row(time, topic_offset)) AS total,
                    arg_max(day, row(time, topic_offset)) AS day,
                    arg_max(ordered, row(time, topic_offset)) AS ordered,
                    nullif(arg_max(currency, row(time, topic_offset)), '') AS currency
                FROM purchases WHERE fact = 'order.changed' GROUP BY order_id
            ) c ON c.order_id = p.order_id
            LEFT JOIN (
                SELECT order_id, sum(amount) AS back FROM purchases
                WHERE fact IN ('order.refunded', 'order.cancelled') GROUP BY order_id
            ) b ON b.order_id = p.order_id
            ANTI JOIN (SELECT order_id FROM purchases WHERE fact = 'order.repeated') r
                ON r.order_id = p.order_id
            WHERE p.fact = 'order.placed'
        ), orders AS (SELECT * FROM every_order WHERE counts)"""

    def firsts(self, which: str = "true") -> str:
        """Return the CTE `firsts`, which follows `orders()`: person, first_at, first_day and source
        of the first order that counts, of the orders of the condition `which`. Whose first order of
        all is from before the facts is left out: by an order that was sent back, too, it is known
        when somebody came."""
        counts = f"FILTER (counts AND {which})"
        return f"""firsts AS (
            SELECT person, min(placed_at) {counts} AS first_at, min(day) {counts} AS first_day,
                arg_min(source, placed_at) {counts} AS source
            FROM every_order GROUP BY person
            HAVING first_at IS NOT NULL
                AND coalesce(min(nullif(cohort, '')), '9') >= strftime(min(day), '%Y-%m')
        )"""


def group_of(by: str, prefix: str = "") -> str | None:
    """Return the SQL by which facts of workflows are grouped, None where they can't be."""
    if by == "segment":
        return None
    if by == "month":
        return f"strftime({prefix}day, '%Y-%m')"
    return f"{prefix}{by}" if by else "''"


def share(
    kpi: str, numerator: int, denominator: int, *, of: str, interval: bool = True, **more: Any
) -> Figure:
    """Return a share in percent with Wilson's interval."""
    has = interval and 0 <= numerator <= denominator and denominator > 0
    low, high = wilson(numerator, denominator) if has else (None, None)
    return Figure(
        kpi=kpi, value=None if not denominator else Decimal(numerator) * 100 / denominator,
        unit="%", numerator=numerator, denominator=denominator, of=of,
        low=None if low is None else low * 100, high=None if high is None else high * 100, **more,
    )  # fmt: skip
