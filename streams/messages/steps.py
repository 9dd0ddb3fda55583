"""What a step does, in words: of which kind it is, what it is about, and what else is to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.definitions.products import Products
from schemas.definitions.step import StepArm
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
from streams.messages.decisions import reason
from streams.messages.fields import field_name
from streams.messages.spans import both, either, number, span
from streams.messages.translations import Language, known_message, message
from streams.messages.waits import lateness, waits


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
    kind = given.kind if isinstance(given, SendStep) else given.verb
    called = message(language, f"step.kind.{kind}")
    return Said(called, _about(given, language), tuple(_more(given, language)))


def arm(given: StepArm, language: Language) -> str:
    """Return when this arm is taken, or who goes it."""
    if isinstance(given.given, Arm):
        return _arm(given.given, language)
    if isinstance(given.given, Variant):
        return _variant(given.given, language)
    return message(language, "arm.otherwise")


def _arm(given: Arm, language: Language) -> str:
    if given.if_ is not None:
        return condition(given.if_, language)
    known = known_message(language, f"arm.result.{given.result}")
    return known or message(language, "arm.other_result", name=given.result)


def _variant(given: Variant, language: Language) -> str:
    named = message(language, "arm.variant", name=given.name, share=given.share)
    return message(language, "arm.holdout", variant=named) if given.holdout else named


def products(given: Products, language: Language) -> Iterator[str]:
    """Yield which products of the feed a mail shows."""
    sources = [message(language, f"products.{each}") for each in given.sources]
    yield message(language, "products.from", source=both(sources, language))
    if given.reviewed:
        yield message(language, "products.reviewed")
    if given.at_least:
        yield message(language, "products.at_least", count=given.at_least)


def _about(given: Step, language: Language) -> str:
    match given:
        case WaitStep():
            about = waits(given.wait, language)
        case BranchStep():
            about = message(language, "step.which")
        case SplitStep():
            about = given.experiment
        case ListStep():
            about = message(language, f"step.list.{given.action}", name=given.list_)
        case SetStep():
            changes = [_set(name, new, language) for name, new in given.set.items()]
            about = both(changes, language)
        case ScoreStep():
            added = _signed(given.add, language)
            about = message(language, "step.score", name=given.score, value=added)
        case PointsStep():
            added, count = _signed(given.points, language), abs(given.points)
            about = message(language, "step.points", value=added, count=count)
        case NotifyStep():
            to_sales = given.notify == "sales"
            about = message(language, "step.sales") if to_sales else given.notify
        case _:
            about = _own_value(getattr(given, given.verb), language)
    return about


def _own_value(given: Any, language: Language) -> str:
    """Return what a verb without words of its own names: a text, or numbers by fields."""
    if isinstance(given, Mapping):
        named = [f"{_field(name, language)} {_signed(by, language)}" for name, by in given.items()]
        return both(named, language)
    return str(given)


def _signed(added: float, language: Language) -> str:
    return f"{'+' if added >= 0 else '−'}{number(abs(added), language)}"


def _field(name: str, language: Language) -> str:
    return field_name(name if "." in name else f"fields.{name}", language)


def _set(name: str, new: Any, language: Language) -> str:
    called = _field(name, language)
    if new is None:
        return message(language, "step.unset", field=called)
    return message(language, "step.set", field=called, value=value(new, language))


def _more(given: Step, language: Language) -> Iterator[str]:
    if given.if_ is not None:
        yield message(language, "step.only_if", condition=condition(given.if_, language))
    if given.stop_on:
        happened = either([reason(name, language) for name in given.stop_on], language)
        yield message(language, "step.stop_on", event=happened)
    match given:
        case SendStep():
            yield from _mail(given, language)
        case SplitStep():
            yield message(language, "step.measure", event=reason(given.measure, language))
            yield message(language, "step.runs_for", span=span(given.runs_for, language))
        case TagStep(lasts=lasts) if lasts is not None:
            yield message(language, "step.lasts", span=span(lasts, language))
        case NotifyStep():
            yield from _notice(given, language)
        case CallStep(wait_for_end=True):
            yield message(language, "step.wait_for_end")
        case _:
            pass
    late = lateness(given.late, language)
    if late:
        yield late


def _mail(given: SendStep, language: Language) -> Iterator[str]:
    if given.products is not None:
        yield from products(given.products, language)
    if given.basis == "soft_opt_in":
        yield message(language, "step.soft_opt_in")
    if given.expires is not None:
        yield message(language, "step.expires", span=span(given.expires, language))
    if given.tracking is not None:
        mode = message(language, f"tracking.{given.tracking}")
        yield message(language, "step.tracking", mode=mode)


def _notice(given: NotifyStep, language: Language) -> Iterator[str]:
    if given.message:
        yield given.message.get(language) or next(iter(given.message.values()))
    elif not given.notify.startswith("http"):
        yield message(language, "step.template", template=given.template)
