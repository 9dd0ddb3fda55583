"""What a step does, in words: of which kind it is, what it is about, and what else is to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.definitions.products import Products
from schemas.definitions.step import Way
from schemas.definitions.steps import (
    Arm,
    BranchStep,
    CallStep,
    ListStep,
    NotifyStep,
    PointsStep,
    ScoreStep,
    SendStep,
    SetStep,
    SplitStep,
    Step,
    TagStep,
    Variant,
    WaitStep,
)
from streams.messages.conditions import condition, value
from streams.messages.decisions import Language
from streams.messages.fields import field_name
from streams.messages.spans import both, either, number, span
from streams.messages.waits import lateness, occurrence, waits

_PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "informative": "informative mail", "promotional": "promotional mail",
        "transactional": "transactional mail", "wait": "wait", "branch": "branch",
        "split": "A/B test", "tag": "tag", "untag": "tag off", "list": "list",
        "set": "customer data", "score": "score", "coupon": "coupon", "points": "points",
        "notify": "tell the shop", "call": "another workflow", "goal": "goal", "exit": "end",
        "which": "which way?", "subscribe": "on the list {name}",
        "unsubscribe": "off the list {name}", "set_to": "{field} becomes {value}",
        "unset": "{field} is emptied", "add_score": "{name} {value}",
        "add_points": "{value} points", "lasts": "for {span}",
        "only_if": "only if {condition}", "stop_on": "left out if {event}",
        "expires": "held back for {span} at most", "soft_opt_in": "also without consent, where "
        "the shop's policy allows it", "from": "products: {source}",
        "at_least": "at least {count} of them, else left out",
        "untracked": "tracking: {mode} at most",
        "measure": "success: {event}", "runs_for": "for {span}", "sales": "the sales team",
        "template": "with the mail {template}", "wait_for_end": "and waits for its end",
        "complements": "what goes with it", "accessories": "accessories", "upgrades": "upgrades",
        "trigger": "the one that it is about", "interests": "what was looked at most",
        "owned": "what was bought", "running_out": "what runs out",
        "categories": "bestsellers of the favourite categories", "bestsellers": "bestsellers",
        "bestselling_categories": "the bestseller of each category", "cart": "what is in the cart",
        "reviewed": "only those with reviews",
        "else": "otherwise", "holdout": "{variant}, gets nothing", "variant": "{name}: {share} %",
        "result_event": "it has happened", "result_timeout": "it has not happened in time",
        "result_condition": "it has become true", "result_issued": "there was a code",
        "result_none": "there was none", "result_begun": "it has begun",
        "result_ended": "it has ended", "result": "it came to {name}",
    },
    "it": {
        "informative": "mail informativa", "promotional": "mail promozionale",
        "transactional": "mail di servizio", "wait": "attesa", "branch": "bivio",
        "split": "test A/B", "tag": "tag", "untag": "tag tolto", "list": "lista",
        "set": "dati del cliente", "score": "punteggio", "coupon": "coupon", "points": "punti",
        "notify": "avviso al negozio", "call": "altro workflow", "goal": "scopo", "exit": "fine",
        "which": "quale strada?", "subscribe": "nella lista {name}",
        "unsubscribe": "via dalla lista {name}", "set_to": "{field} diventa {value}",
        "unset": "{field} viene svuotato", "add_score": "{name} {value}",
        "add_points": "{value} punti", "lasts": "per {span}",
        "only_if": "solo se {condition}", "stop_on": "si tralascia se {event}",
        "expires": "si trattiene al massimo {span}", "soft_opt_in": "anche senza consenso, se la "
        "politica del negozio lo permette", "from": "prodotti: {source}",
        "at_least": "almeno {count}, altrimenti si tralascia",
        "untracked": "tracciamento: al massimo {mode}",
        "measure": "successo: {event}", "runs_for": "per {span}", "sales": "il reparto vendite",
        "template": "con la mail {template}", "wait_for_end": "e aspetta che finisca",
        "complements": "ciò che sta bene insieme", "accessories": "accessori",
        "upgrades": "modelli superiori", "trigger": "quello di cui si tratta",
        "interests": "i più guardati", "owned": "quelli comprati",
        "running_out": "quelli che stanno per finire",
        "categories": "i più venduti delle categorie preferite", "bestsellers": "i più venduti",
        "bestselling_categories": "il più venduto di ogni categoria",
        "cart": "quelli nel carrello", "reviewed": "solo quelli con recensioni",
        "else": "altrimenti", "holdout": "{variant}, non riceve nulla",
        "variant": "{name}: {share} %",
        "result_event": "è successo", "result_timeout": "non è successo in tempo",
        "result_condition": "è diventato vero", "result_issued": "c'era un codice",
        "result_none": "non ce n'erano", "result_begun": "è cominciato",
        "result_ended": "è finito", "result": "l'esito è {name}",
    },
}  # fmt: skip


class Said(NamedTuple):
    """A step in words."""

    kind: str
    """What kind of step it is: `promotional mail`."""
    about: str
    """The mail, the tag, the campaign…"""
    more: tuple[str, ...]
    """Conditions and all else, each a clause."""


def step(given: Step, language: Language) -> Said:
    """Return what a step does, without when and without what follows."""
    say = _PHRASES[language]
    kind = given.kind if isinstance(given, SendStep) else given.verb
    return Said(say[kind], _about(given, language), tuple(_more(given, language)))


def way(given: Way, language: Language) -> str:
    """Return when this way is gone, or who goes it."""
    if isinstance(given.given, Arm):
        return _arm(given.given, language)
    if isinstance(given.given, Variant):
        return _variant(given.given, language)
    return _PHRASES[language]["else"]


def _arm(given: Arm, language: Language) -> str:
    say = _PHRASES[language]
    if given.if_ is not None:
        return condition(given.if_, language)
    known = say.get(f"result_{given.result}")
    return known or say["result"].format(name=given.result)


def _variant(given: Variant, language: Language) -> str:
    say = _PHRASES[language]
    named = say["variant"].format(name=given.name, share=given.share)
    return say["holdout"].format(variant=named) if given.holdout else named


def products(given: Products, language: Language) -> Iterator[str]:
    """Yield which products of the feed a mail shows."""
    say = _PHRASES[language]
    yield say["from"].format(source=both([say[each] for each in given.sources], language))
    if given.reviewed:
        yield say["reviewed"]
    if given.at_least:
        yield say["at_least"].format(count=given.at_least)


def _about(given: Step, language: Language) -> str:
    say = _PHRASES[language]
    match given:
        case WaitStep():
            about = waits(given.wait, language)
        case BranchStep():
            about = say["which"]
        case SplitStep():
            about = given.experiment
        case ListStep():
            about = say[given.action].format(name=given.list_)
        case SetStep():
            changes = [_set(name, new, language) for name, new in given.set.items()]
            about = both(changes, language)
        case ScoreStep():
            about = say["add_score"].format(name=given.score, value=_signed(given.add, language))
        case PointsStep():
            about = say["add_points"].format(value=_signed(given.points, language))
        case NotifyStep():
            about = say["sales"] if given.notify == "sales" else given.notify
        case _:
            about = str(getattr(given, given.verb))
    return about


def _signed(added: float, language: Language) -> str:
    return f"{'+' if added >= 0 else '−'}{number(abs(added), language)}"


def _set(name: str, new: Any, language: Language) -> str:
    say = _PHRASES[language]
    called = field_name(name if "." in name else f"fields.{name}", language)
    if new is None:
        return say["unset"].format(field=called)
    return say["set_to"].format(field=called, value=value(new, language))


def _more(given: Step, language: Language) -> Iterator[str]:
    say = _PHRASES[language]
    if given.if_ is not None:
        yield say["only_if"].format(condition=condition(given.if_, language))
    if given.stop_on:
        happened = either([occurrence(name, language) for name in given.stop_on], language)
        yield say["stop_on"].format(event=happened)
    match given:
        case SendStep():
            yield from _mail(given, language)
        case SplitStep():
            yield say["measure"].format(event=occurrence(given.measure, language))
            yield say["runs_for"].format(span=span(given.runs_for, language))
        case TagStep(lasts=lasts) if lasts is not None:
            yield say["lasts"].format(span=span(lasts, language))
        case NotifyStep():
            yield from _notice(given, language)
        case CallStep(wait_for_end=True):
            yield say["wait_for_end"]
        case _:
            pass
    late = lateness(given.late, language)
    if late:
        yield late


def _mail(given: SendStep, language: Language) -> Iterator[str]:
    say = _PHRASES[language]
    if given.products is not None:
        yield from products(given.products, language)
    if given.basis == "soft_opt_in":
        yield say["soft_opt_in"]
    if given.expires is not None:
        yield say["expires"].format(span=span(given.expires, language))
    if given.tracking is not None:
        yield say["untracked"].format(mode=given.tracking)


def _notice(given: NotifyStep, language: Language) -> Iterator[str]:
    if given.message:
        yield given.message.get(language) or next(iter(given.message.values()))
    elif not given.notify.startswith("http"):
        yield _PHRASES[language]["template"].format(template=given.template)
