"""Experiments: counted right, intervals as others compute them, and no winner before its time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from agents.insights.experiment_results import (
    Design,
    Missing,
    Result,
    compare,
    design_of,
    designs,
    experiments_in,
)
from agents.insights.statistics import best, difference, needed, wilson
from schemas.decisions import Decision
from schemas.definitions.workflow import Workflow
from schemas.time_units import DAY_MS
from tests.examples import examples

START = 1_772_445_600_000
COUNTS = [(0, 0), (0, 5), (5, 5), (3, 40), (9, 40), (120, 1_000), (150, 1_000), (40, 100_000)]
DESIGN = Design("subject", "w", ("holdout", "a", "b"), frozenset({"holdout"}), 28 * DAY_MS,
                7 * DAY_MS, "order.completed", is_goal=True)  # fmt: skip


def test_wilson_is_wilsons() -> None:
    for successes, trials in COUNTS[1:]:
        ours = wilson(successes, trials)
        theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert wilson(0, 0) == (0, 1)


def test_a_difference_as_newcombe_has_it() -> None:
    """His example (1998, method 10): 56/70 against 48/80."""
    assert difference((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference((0, 0), (1, 2)) == (-1, 1)


@pytest.mark.parametrize("one", COUNTS)
@pytest.mark.parametrize("other", COUNTS)
def test_the_better_of_two(one: tuple[int, int], other: tuple[int, int]) -> None:
    mine = stats.beta(one[0] + 1, one[1] - one[0] + 1)
    theirs = stats.beta(other[0] + 1, other[1] - other[0] + 1)
    edges = [mine.ppf(q) for q in (1e-12, 0.01, 0.5, 0.99, 1 - 1e-12)]
    expected = sum(
        integrate.quad(lambda x: mine.pdf(x) * theirs.cdf(x), low, high, epsabs=1e-10)[0]
        for low, high in pairwise(edges)
    )
    found = best([one, other])
    assert found[0] == pytest.approx(expected, abs=2e-5)
    assert sum(found) == pytest.approx(1)


@examples(30)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 400)), min_size=2, max_size=5))
def test_the_best_of_several(counts: list[tuple[int, int]]) -> None:
    found = best(counts)
    assert sum(found) == pytest.approx(1)
    assert best(counts[::-1]) == pytest.approx(found[::-1])
    assert best([(7, 100)] * 3) == pytest.approx([1 / 3] * 3)


def test_how_many_it_takes() -> None:
    assert needed((100, 1_000), (120, 1_000)) == pytest.approx(3_839, abs=5)  # the textbook's
    assert needed((1, 10), (10, 100)) is None


def decided(customer: str, variant: str, at: int, kind: str = "assigned", **more: str) -> Decision:
    return Decision(
        time=START + at, customer=customer, workflow="w", version="v", run=f"w/{customer}",
        decision=kind, reason="hash", variant=f"subject={variant} other=x", **more,
    )  # type: ignore[arg-type]  # fmt: skip  # kinds as texts


def told(rates: dict[str, tuple[int, int]]) -> Iterator[Decision]:
    """So many of so many of each variant convert, a day later."""
    for variant, (conversions, customers) in rates.items():
        for number in range(customers):
            who = f"{variant}{number}"
            yield decided(who, variant, number)
            if variant != "holdout":
                yield decided(who, variant, number, "sent", mail_class="marketing", command_id=who)
            if number < conversions:
                yield decided(who, variant, DAY_MS, "converted")


def result(rates: dict[str, tuple[int, int]], days: int = 40) -> Result:
    return compare(DESIGN, list(told(rates)), {}, START + days * DAY_MS)


@pytest.mark.row("R07")
def test_a_clear_winner() -> None:
    found = result({"holdout": (20, 400), "a": (40, 400), "b": (80, 400)})
    assert (found.winner, found.missing, found.control) == ("b", [], "holdout")
    holdout, a, b = found.variants
    assert (b.customers, b.mails, b.conversions, b.rate) == (400, 400, 80, 0.2)
    assert holdout.mails == 0
    assert b.best > 0.999
    assert a.difference == pytest.approx(0.05)
    assert b.difference_interval.low > 0.1
    assert found.lift is not None
    assert found.lift.difference == pytest.approx(0.10)
    assert found.lift.relative == pytest.approx(2.0)


@pytest.mark.row("R07")
def test_what_is_missing() -> None:
    early = result({"holdout": (20, 400), "a": (40, 400), "b": (80, 400)}, days=20)
    assert (early.winner, early.missing) == ("", [Missing("days", 8)])
    few = result({"holdout": (2, 90), "a": (4, 120), "b": (5, 120)})
    assert few.missing[:2] == [Missing("customers", 10, "holdout"), Missing("conversions", 9)]
    close = result({"holdout": (50, 500), "a": (50, 500), "b": (55, 500)})
    assert [each.what for each in close.missing] == ["certainty"]
    assert (close.missing[0].amount or 0) > 1_000
    alike = result({"holdout": (50, 500), "a": (50, 500), "b": (50, 500)})
    assert alike.missing == [Missing("certainty")]


@pytest.mark.row("R07")
def test_nothing_may_be_better_than_something() -> None:
    assert result({"holdout": (80, 400), "a": (40, 400), "b": (20, 400)}).winner == "holdout"


def test_only_what_comes_after_and_in_time_counts() -> None:
    decisions = [decided(who, "a", 0) for who in ("early", "same", "late", "last", "twice")]
    decisions.append(decided("twice", "a", 3 * DAY_MS))
    happened = {"early": [START - 1], "same": [START], "late": [START + 7 * DAY_MS + 1],
                "last": [START + 7 * DAY_MS], "twice": [START + 1, START + 2]}  # fmt: skip
    found = compare(DESIGN, decisions, happened, START + 30 * DAY_MS)
    a = next(each for each in found.variants if each.name == "a")
    assert (a.customers, a.conversions, a.waiting) == (5, 2, 0)


def test_who_still_has_time_is_not_in_the_rate() -> None:
    decisions = [decided("done", "a", 0), decided("open", "a", 5 * DAY_MS)]
    found = compare(DESIGN, decisions, {"done": [START + 1]}, START + 8 * DAY_MS)
    a = next(each for each in found.variants if each.name == "a")
    assert (a.customers, a.waiting, a.rate) == (2, 1, 1.0)


def test_a_goal_that_is_not_what_is_measured_does_not_count() -> None:
    decisions = list(told({"a": (10, 100)}))
    other = compare(DESIGN._replace(is_goal=False), decisions, {}, START + 40 * DAY_MS)
    assert sum(each.conversions for each in other.variants) == 0


def test_the_design_comes_from_the_workflow_or_else_from_the_decisions() -> None:
    split = {
        "id": "s",
        "experiment": "subject",
        "runs_for": "2w",
        "measure": "mail.clicked",
        "split": [{"name": "a", "share": 90}, {"name": "none", "share": 10, "holdout": True}],
    }
    data = {
        "id": "w",
        "title": {"en": "w"},
        "trigger": "cart.changed",
        "steps": [split],
        "entry": {"once_per": "cart"},
        "goal": {"on": "order.completed", "within": "3d"},
    }
    (design,) = designs(Workflow.model_validate(data))
    assert design == Design("subject", "w", ("a", "none"), frozenset({"none"}), 14 * DAY_MS,
                            3 * DAY_MS, "mail.clicked", is_goal=False)  # fmt: skip
    decisions = list(told({"holdout": (0, 1), "a": (1, 1)}))
    assert experiments_in(decisions) == ["other", "subject"]
    found = design_of("subject", decisions)
    assert (found.variants, found.holdouts) == (("a", "holdout"), frozenset({"holdout"}))


def test_nobody_was_assigned() -> None:
    found = compare(DESIGN, [], {}, START)
    assert found.winner == ""
    assert found.lift is None
