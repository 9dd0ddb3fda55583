"""What begins a workflow, who may enter it and what ends it, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
from streams.messages.decisions import Language
from streams.messages.spans import day_of_year, either, number, span
from streams.messages.waits import beside, occurrence

_PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "where": "{event} ({where})",
        "times": "{event}, {times} times within {span}",
        "same_product_id": "{event}, the same product",
        "same_category": "{event}, the same category",
        "same_url": "{event}, the same page",
        "same_path": "{event}, the same page",
        "segment_entered": "the customer enters the segment {name}",
        "segment_left": "the customer leaves the segment {name}",
        "score_above": "the score {name} rises above {value}",
        "score_below": "the score {name} falls below {value}",
        "tag_added": "the tag {name} is put on",
        "tag_removed": "the tag {name} is taken off or runs out",
        "date": "every year: {when}",
        "inactive_orders": "no order for {span}",
        "inactive_interactions": "no sign of life for {span}",
        "price_drop": "a product costs less",
        "back_in_stock": "a product is back in stock",
        "low_stock": "a product is running out",
        "new_version": "a product has a new version",
        "launch": "a new product is launched",
        "interested": "{change} that interests the customer",
        "owned": "{change} that the customer has bought",
        "in_cart": "{change} that lies in the cart",
        "tier_up": "the loyalty tier goes up",
        "tier_down": "the loyalty tier goes down",
        "tier_to": "{change} to {name}",
        "points": "{value} loyalty points are reached",
        "called": "another workflow calls it",
        "once_cart": "once per cart",
        "once_order": "once per order",
        "once_list": "once per list",
        "once_product": "once per product",
        "once_event": "each time",
        "once_customer": "once per customer",
        "again": "{once}, again after {span}",
        "cool_down": "not within {span} of the last time",
        "only_if": "only if {condition}",
        "season": "only from {opens} to {closes}",
        "group": "at most one of the group “{group}” at a time",
        "priority": "priority {priority}",
        "live": "runs follow the live version",
        "exit_if": "it is true that {condition}",
        "goal": "{event}, within {span}",
    },
    "it": {
        "where": "{event} ({where})",
        "times": "{event}, {times} volte entro {span}",
        "same_product_id": "{event}, lo stesso prodotto",
        "same_category": "{event}, la stessa categoria",
        "same_url": "{event}, la stessa pagina",
        "same_path": "{event}, la stessa pagina",
        "segment_entered": "il cliente entra nel segmento {name}",
        "segment_left": "il cliente esce dal segmento {name}",
        "score_above": "il punteggio {name} sale oltre {value}",
        "score_below": "il punteggio {name} scende sotto {value}",
        "tag_added": "viene messo il tag {name}",
        "tag_removed": "il tag {name} viene tolto o scade",
        "date": "ogni anno: {when}",
        "inactive_orders": "nessun ordine da {span}",
        "inactive_interactions": "nessun segno di vita da {span}",
        "price_drop": "costa meno un prodotto",
        "back_in_stock": "è di nuovo disponibile un prodotto",
        "low_stock": "sta per esaurirsi un prodotto",
        "new_version": "c'è una nuova versione di un prodotto",
        "launch": "esce un nuovo prodotto",
        "interested": "{change} che interessa al cliente",
        "owned": "{change} che il cliente ha comprato",
        "in_cart": "{change} che è nel carrello",
        "tier_up": "il livello fedeltà sale",
        "tier_down": "il livello fedeltà scende",
        "tier_to": "{change} a {name}",
        "points": "si raggiungono {value} punti fedeltà",
        "called": "lo chiama un altro workflow",
        "once_cart": "una volta per carrello",
        "once_order": "una volta per ordine",
        "once_list": "una volta per lista",
        "once_product": "una volta per prodotto",
        "once_event": "ogni volta",
        "once_customer": "una volta per cliente",
        "again": "{once}, di nuovo dopo {span}",
        "cool_down": "non prima di {span} dall'ultima volta",
        "only_if": "solo se {condition}",
        "season": "solo dal {opens} al {closes}",
        "group": "al massimo uno del gruppo «{group}» alla volta",
        "priority": "priorità {priority}",
        "live": "chi è dentro segue la versione attiva",
        "exit_if": "è vero che {condition}",
        "goal": "{event}, entro {span}",
    },
}


def trigger(given: Trigger, language: Language) -> str:
    """Return what begins it, as a clause."""
    say = _PHRASES[language]
    match given:
        case OnEvent():
            clause = _event(given, language)
        case OnSegment(segment=name, when=when):
            clause = say[f"segment_{when}"].format(name=name)
        case OnScore(score=name, above=above, below=below):
            kind, threshold = ("below", below) if above is None else ("above", above)
            clause = say[f"score_{kind}"].format(name=name, value=number(threshold or 0, language))
        case OnTag(tag=name, when=when):
            clause = say[f"tag_{when}"].format(name=name)
        case OnDate(date=date, before=before, at=at):
            clause = say["date"].format(when=beside(date, before, 0, at, language))
        case OnInactivity(inactive=what, lasts=lasts):
            clause = say[f"inactive_{what}"].format(span=span(lasts, language))
        case OnProduct(product=change, of=concern):
            clause = say[concern].format(change=say[change])
        case OnTier(tier=direction, to=name):
            clause = say[f"tier_{direction}"]
            clause = say["tier_to"].format(change=clause, name=name) if name else clause
        case OnPoints() as reached:
            values = [number(each, language) for each in reached.thresholds]
            clause = say["points"].format(value=either(values, language))
        case OnCall():
            clause = say["called"]
    return clause


def entry(given: EntryRule, language: Language) -> Iterator[str]:
    """Yield how often somebody may enter, and who."""
    say = _PHRASES[language]
    once = say[f"once_{given.once_per}"]
    if given.again_after is not None:
        once = say["again"].format(once=once, span=span(given.again_after, language))
    yield once
    if given.cool_down is not None:
        yield say["cool_down"].format(span=span(given.cool_down, language))
    if given.if_ is not None:
        yield say["only_if"].format(condition=condition(given.if_, language))


def season(given: Season, language: Language) -> str:
    """Return between which days of the year it begins."""
    return _PHRASES[language]["season"].format(
        opens=day_of_year(given.opens, language), closes=day_of_year(given.closes, language)
    )


def standing(workflow: Workflow, language: Language) -> Iterator[str]:
    """Yield how it stands to other workflows and to its own versions."""
    say = _PHRASES[language]
    if workflow.group:
        yield say["group"].format(group=workflow.group)
    yield say["priority"].format(priority=workflow.priority)
    if workflow.versions == "live":
        yield say["live"]


def ends(workflow: Workflow, language: Language) -> Iterator[str]:
    """Yield what ends a run at once, whatever it waits for; not its goal."""
    for name in workflow.exit_on:
        yield occurrence(name, language)
    if workflow.exit_if is not None:
        said = condition(workflow.exit_if, language)
        yield _PHRASES[language]["exit_if"].format(condition=said)


def goal(given: Goal, language: Language) -> str:
    """Return what it is for, and until when that counts."""
    happens = _where(occurrence(given.on, language), given.where, language)
    return _PHRASES[language]["goal"].format(event=happens, span=span(given.within, language))


def _event(given: OnEvent, language: Language) -> str:
    say = _PHRASES[language]
    happens = _where(occurrence(given.on, language), given.where, language)
    if given.times > 1:
        within = span(given.within or 0, language)
        happens = say["times"].format(event=happens, times=given.times, span=within)
    return say[f"same_{given.same}"].format(event=happens) if given.same else happens


def _where(happens: str, where: Condition | None, language: Language) -> str:
    if where is None:
        return happens
    said = condition(where, language)
    return _PHRASES[language]["where"].format(event=happens, where=said)
