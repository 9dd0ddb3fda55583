"""What begins a workflow, who may enter it and what ends it, in words."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.definitions.conditions import Condition
from schemas.definitions.triggers import (
    OnCall,
    OnDate,
    OnEvent,
    OnInactivity,
    OnPoints,
    OnProduct,
    OnScore,
    OnSegment,
    OnTag,
    OnTier,
    Trigger,
)
from schemas.definitions.workflow import EntryRule, Goal, Season, Workflow
from streams.messages.conditions import condition
from streams.messages.decisions import reason
from streams.messages.spans import day_of_year, either, number, span
from streams.messages.translations import Language, message
from streams.messages.waits import beside


def trigger(given: Trigger, language: Language) -> str:
    """Return what begins it, as a clause."""
    match given:
        case OnEvent():
            clause = _event(given, language)
        case OnSegment(segment=name, when=when):
            clause = message(language, f"trigger.segment.{when}", name=name)
        case OnScore(score=name, above=above, below=below):
            kind, threshold = ("below", below) if above is None else ("above", above)
            value = number(threshold or 0, language)
            clause = message(language, f"trigger.score.{kind}", name=name, value=value)
        case OnTag(tag=name, when=when):
            clause = message(language, f"trigger.tag.{when}", name=name)
        case OnDate(date=date, before=before, at=at):
            said = beside(date, before, 0, at, language)
            clause = message(language, "trigger.date", when=said)
        case OnInactivity(inactive=what, lasts=lasts):
            clause = message(language, f"trigger.inactive.{what}", span=span(lasts, language))
        case OnProduct(product=change, of=concern):
            said = message(language, f"trigger.product.{change}")
            clause = message(language, f"trigger.product_of.{concern}", change=said)
        case OnTier(tier=direction, to=name):
            clause = message(language, f"trigger.tier.{direction}")
            if name:
                clause = message(language, "trigger.tier_to", change=clause, name=name)
        case OnPoints() as reached:
            values = either([number(each, language) for each in reached.thresholds], language)
            most = max(reached.thresholds)
            clause = message(language, "trigger.points", value=values, count=most)
        case OnCall():
            clause = message(language, "trigger.called")
    return clause


def entry(given: EntryRule, language: Language) -> Iterator[str]:
    """Yield how often somebody may enter, and who."""
    once = message(language, f"entry.once.{given.once_per}")
    if given.again_after is not None:
        after = span(given.again_after, language)
        once = message(language, "entry.again", once=once, span=after)
    yield once
    if given.cool_down is not None:
        yield message(language, "entry.cool_down", span=span(given.cool_down, language))
    if given.if_ is not None:
        yield message(language, "step.only_if", condition=condition(given.if_, language))


def season(given: Season, language: Language) -> str:
    """Return between which days of the year it begins."""
    opens, closes = day_of_year(given.opens, language), day_of_year(given.closes, language)
    return message(language, "workflow.season", opens=opens, closes=closes)


def relations(workflow: Workflow, language: Language) -> Iterator[str]:
    """Yield how it stands to other workflows and to its own versions."""
    if workflow.group:
        yield message(language, "workflow.group", group=workflow.group)
    yield message(language, "workflow.priority", priority=workflow.priority)
    if workflow.versions == "live":
        yield message(language, "workflow.live")


def ends(workflow: Workflow, language: Language) -> Iterator[str]:
    """Yield what ends a run at once, whatever it waits for; not its goal."""
    for name in workflow.exit_on:
        yield reason(name, language)
    if workflow.exit_if is not None:
        said = condition(workflow.exit_if, language)
        yield message(language, "workflow.exit_if", condition=said)


def goal(given: Goal, language: Language) -> str:
    """Return what it is for, and until when that counts."""
    happens = _where(reason(given.on, language), given.where, language)
    within = span(given.within, language)
    return message(language, "workflow.goal", event=happens, span=within)


def _event(given: OnEvent, language: Language) -> str:
    happens = _where(reason(given.on, language), given.where, language)
    if given.times > 1:
        within = span(given.within or 0, language)
        times = given.times
        happens = message(language, "trigger.times", event=happens, times=times, span=within)
    if given.same is None:
        return happens
    return message(language, f"trigger.same.{given.same}", event=happens)


def _where(happens: str, where: Condition | None, language: Language) -> str:
    if where is None:
        return happens
    said = condition(where, language)
    return message(language, "trigger.where", event=happens, where=said)
