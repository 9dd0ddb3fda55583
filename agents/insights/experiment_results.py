"""Results of experiments (R07): what each variant came to, and which one is better, if that can be
said. Counted from decisions, which carry the variant, and from what customers did.

A customer counts once, with the first assignment, and as converted when what the experiment
measures happens within its window after that. Rates are of those whose window is over: they have
had all the time there is. A winner is stated when the experiment has run as long as it should,
everybody has been seen often enough, and it is the best with a probability of 95 %.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.insights import statistics
from agents.insights.statistics import ANY_DIFFERENCE, ANY_RATE, Interval
from schemas.decisions import Decision
from schemas.definitions.steps import SplitStep
from schemas.definitions.workflow import Workflow
from schemas.time_units import DAY_MS

TWO_WEEKS = 14 * DAY_MS
WINDOW = 7 * DAY_MS
"""Within which success counts where the workflow has no goal."""
CUSTOMERS = 100
"""Of each variant, at least: below that one good day decides."""
CONVERSIONS = 20
"""In all variants together, at least."""
SURE = 0.95


class Design(NamedTuple):
    """An experiment as its workflow describes it."""

    experiment: str
    workflow: str
    variants: tuple[str, ...]
    holdouts: frozenset[str]
    runs_for: int
    within: int
    measure: str
    is_goal: bool
    """Whether the workflow's goal is the same: then `converted` decisions count too."""


@dataclass(slots=True)
class VariantResult:
    """What one variant came to."""

    name: str
    holdout: bool
    customers: int = 0
    waiting: int = 0
    """Of them, those whose window isn't over and who have not converted: not in the rate yet."""
    mails: int = 0
    conversions: int = 0
    rate: float = 0.0
    interval: Interval = ANY_RATE
    difference: float = 0.0
    """Of the rate, to the control's."""
    difference_interval: Interval = ANY_DIFFERENCE
    best: float = 0.0
    """Probability of being the best."""

    @property
    def counts(self) -> tuple[int, int]:
        """Conversions, and customers who had the time for one."""
        return self.conversions, self.customers - self.waiting


class Lift(NamedTuple):
    """What the workflow really added: all who got it against those who did not."""

    treated: float
    held_out: float
    difference: float
    interval: Interval
    relative: float | None
    """Of the holdout's rate; None when nobody of it has converted."""


class Missing(NamedTuple):
    """Why no winner can be stated yet."""

    what: str
    """days, customers, conversions, certainty"""
    amount: int | None = None
    """How many more; None where nobody can say."""
    variant: str = ""


@dataclass(slots=True)
class Result:
    """The result of one experiment, as far as it goes."""

    design: Design
    begun: int
    until: int
    control: str
    variants: list[VariantResult] = field(default_factory=list)
    lift: Lift | None = None
    winner: str = ""
    missing: list[Missing] = field(default_factory=list)


def designs(workflow: Workflow) -> Iterator[Design]:
    """Yield the experiments of a workflow."""
    goal = workflow.goal
    for step in workflow.all_steps():
        if isinstance(step, SplitStep):
            yield Design(
                experiment=step.experiment,
                workflow=workflow.id,
                variants=tuple(variant.name for variant in step.split),
                holdouts=frozenset(each.name for each in step.split if each.holdout),
                runs_for=step.runs_for,
                within=WINDOW if goal is None else goal.within,
                measure=step.measure,
                is_goal=goal is not None and goal.on == step.measure and goal.where is None,
            )


def design_of(experiment: str, decisions: Sequence[Decision]) -> Design:
    """Make the design of an experiment whose workflow isn't there any more from its decisions."""
    of_it = [decision for decision in decisions if _variant(decision, experiment)]
    names = sorted({_variant(decision, experiment) for decision in of_it})
    workflow = of_it[0].workflow if of_it else ""
    held_out = frozenset(name for name in names if name in ("holdout", "control"))
    return Design(experiment, workflow, tuple(names), held_out, TWO_WEEKS, WINDOW,
                  "order.completed", is_goal=True)  # fmt: skip


def experiments_in(decisions: Iterable[Decision]) -> list[str]:
    """Return the names of the experiments that anybody was assigned to, sorted."""
    return sorted(
        {
            token.partition("=")[0]
            for decision in decisions
            if decision.decision == "assigned"
            for token in decision.variant.split()
        }
    )


def compare(
    design: Design,
    decisions: Iterable[Decision],
    happened: Mapping[str, Iterable[int]],
    until: int,
) -> Result:
    """Count and judge. `happened`: by customer, when (ms) what is measured happened; `until`: up to
    when all of this is known."""
    assigned: dict[str, tuple[str, int]] = {}
    mails: defaultdict[str, set[str]] = defaultdict(set)
    times: defaultdict[str, list[int]] = defaultdict(list)
    for customer, each in happened.items():
        times[customer] += each
    for decision in decisions:
        name = _variant(decision, design.experiment)
        if not name:
            continue
        known = assigned.get(decision.customer)
        if decision.decision == "assigned" and (known is None or decision.time < known[1]):
            assigned[decision.customer] = (name, decision.time)
        elif decision.decision == "sent" and decision.mail_class == "marketing":
            mails[name].add(decision.command_id)
        elif decision.decision == "converted" and design.is_goal:
            times[decision.customer].append(decision.time)
    variants = {name: VariantResult(name, name in design.holdouts) for name in design.variants}
    for customer, (name, since) in assigned.items():
        variant = variants.setdefault(name, VariantResult(name, name in design.holdouts))
        _count(variant, since, times[customer], design.within, until)
    for name, ids in mails.items():
        if name in variants:
            variants[name].mails = len(ids)
    begun = min((since for _, since in assigned.values()), default=until)
    return _judge(design, list(variants.values()), begun, until)


def _variant(decision: Decision, experiment: str) -> str:
    """Return the variant that a decision's run has in the experiment, empty when none."""
    for token in decision.variant.split():
        name, _, variant = token.partition("=")
        if name == experiment:
            return variant
    return ""


def _count(
    variant: VariantResult, since: int, times: Iterable[int], within: int, until: int
) -> None:
    variant.customers += 1
    if any(since < time <= min(since + within, until) for time in times):
        variant.conversions += 1
    elif since + within > until:
        variant.waiting += 1


def _judge(design: Design, variants: list[VariantResult], begun: int, until: int) -> Result:
    """The control is the group that gets nothing, else the variant that is named first."""
    control = next((each for each in variants if each.holdout), variants[0] if variants else None)
    result = Result(design, begun, until, control.name if control else "", variants)
    if control is None:
        return result
    chances = statistics.best([variant.counts for variant in variants])
    for variant, chance in zip(variants, chances, strict=True):
        variant.rate = _rate(variant.counts)
        variant.interval = statistics.wilson(*variant.counts)
        variant.best = chance
        if variant is not control:
            variant.difference = variant.rate - _rate(control.counts)
            variant.difference_interval = statistics.difference(variant.counts, control.counts)
        else:
            variant.difference_interval = Interval(0.0, 0.0)
    result.lift = _lift(variants)
    result.missing = list(_missing(design, variants, until - begun))
    if not result.missing:
        result.winner = max(variants, key=lambda variant: variant.best).name
    return result


def _rate(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1] if counts[1] else 0.0


def _lift(variants: Iterable[VariantResult]) -> Lift | None:
    treated, held_out = (0, 0), (0, 0)
    for variant in variants:
        conversions, customers = variant.counts
        if variant.holdout:
            held_out = (held_out[0] + conversions, held_out[1] + customers)
        else:
            treated = (treated[0] + conversions, treated[1] + customers)
    if not treated[1] or not held_out[1]:
        return None
    gap = _rate(treated) - _rate(held_out)
    relative = gap / _rate(held_out) if held_out[0] else None
    interval = statistics.difference(treated, held_out)
    return Lift(_rate(treated), _rate(held_out), gap, interval, relative)


def _missing(design: Design, variants: list[VariantResult], lasted: int) -> Iterator[Missing]:
    if lasted < design.runs_for:
        yield Missing("days", -(-(design.runs_for - lasted) // DAY_MS))
    for variant in variants:
        if variant.counts[1] < CUSTOMERS:
            yield Missing("customers", CUSTOMERS - variant.counts[1], variant.name)
    conversions = sum(variant.conversions for variant in variants)
    if conversions < CONVERSIONS:
        yield Missing("conversions", CONVERSIONS - conversions)
    first, second = sorted(variants, key=lambda variant: -variant.best)[:2]
    if first.best < SURE:
        needed = statistics.needed(first.counts, second.counts)
        seen = min(first.counts[1], second.counts[1])
        yield Missing("certainty", None if needed is None else max(1, needed - seen))
