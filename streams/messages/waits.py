"""Waits, and what comes too late, in words: `1 hour after the cart has changed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.definitions.waits import (
    Lateness,
    Wait,
    WaitFor,
    WaitForCondition,
    WaitForEvent,
    WaitUntilDate,
    WaitUntilTime,
)
from streams.messages.conditions import condition
from streams.messages.decisions import REASONS, Language
from streams.messages.fields import field_name
from streams.messages.spans import span, weekdays

_PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "at_once": "at once",
        "step": "after {span}",
        "entry": "{span} after the beginning",
        "since": "{span} after {event}",
        "as_soon_as": "as soon as {event}",
        "from_entry": "from the beginning on",
        "then_at": "{before}, then at {at} in the customer's zone",
        "then_on": "{before}, then on {days}",
        "then_at_on": "{before}, then on {days} at {at} in the customer's zone",
        "at": "at {at} in the customer's zone",
        "at_on": "on {days} at {at} in the customer's zone",
        "before": "{date}, {span} before, at {at} in the customer's zone",
        "after": "{date}, {span} after, at {at} in the customer's zone",
        "day": "{date}, at {at} in the customer's zone",
        "event": "until {event}, at most {span}",
        "event_where": "until {event} ({where}), at most {span}",
        "condition": "until {condition}, at most {span}",
        "else": "{first}; while that is not known, {rest}",
        "late_skip": "left out when more than {span} late",
        "late_skip_now": "left out when late",
        "late_window": "when more than {span} late, then from {opens} to {closes}",
        "late_window_now": "when late, then from {opens} to {closes}",
    },
    "it": {
        "at_once": "subito",
        "step": "dopo {span}",
        "entry": "{span} dopo l'inizio",
        "since": "{span} dopo che {event}",
        "as_soon_as": "appena {event}",
        "from_entry": "fin dall'inizio",
        "then_at": "{before}, poi alle {at}, ora del cliente",
        "then_on": "{before}, poi {days}",
        "then_at_on": "{before}, poi {days} alle {at}, ora del cliente",
        "at": "alle {at}, ora del cliente",
        "at_on": "{days} alle {at}, ora del cliente",
        "before": "{date}, {span} prima, alle {at}, ora del cliente",
        "after": "{date}, {span} dopo, alle {at}, ora del cliente",
        "day": "{date}, alle {at}, ora del cliente",
        "event": "fino a quando {event}, al massimo {span}",
        "event_where": "fino a quando {event} ({where}), al massimo {span}",
        "condition": "fino a quando {condition}, al massimo {span}",
        "else": "{first}; finché non si sa, {rest}",
        "late_skip": "si tralascia con più di {span} di ritardo",
        "late_skip_now": "si tralascia se in ritardo",
        "late_window": "con più di {span} di ritardo, solo dalle {opens} alle {closes}",
        "late_window_now": "se in ritardo, solo dalle {opens} alle {closes}",
    },
}


def waits(given: Sequence[Wait], language: Language) -> str:
    """Return when a step is due; its alternatives in their order."""
    if not given:
        return _PHRASES[language]["at_once"]
    first, *others = [wait(each, language) for each in given]
    for other in others:
        first = _PHRASES[language]["else"].format(first=first, rest=other)
    return first


def wait(given: Wait, language: Language) -> str:
    """Return what one wait is for."""
    say = _PHRASES[language]
    match given:
        case WaitFor():
            return _counted(given, language)
        case WaitUntilTime(until=at, on=days):
            return say["at_on" if days else "at"].format(at=at, days=weekdays(days, language))
        case WaitUntilDate():
            return beside(given.date, given.before, given.after, given.at, language)
        case WaitForEvent(event=name, where=where, timeout=timeout):
            said = "" if where is None else condition(where, language)
            return say["event" if where is None else "event_where"].format(
                event=occurrence(name, language), where=said, span=span(timeout, language)
            )
        case WaitForCondition(condition=wanted, timeout=timeout):
            return say["condition"].format(
                condition=condition(wanted, language), span=span(timeout, language)
            )


def beside(date: str, before: int, after: int, at: str, language: Language) -> str:
    """Return a local time so many ms before or after a date field."""
    distance = after - before
    kind = "day" if not distance else "after" if distance > 0 else "before"
    return _PHRASES[language][kind].format(
        span=span(abs(distance), language), date=field_name(date, language), at=at
    )


def lateness(given: Lateness, language: Language) -> str:
    """Return what becomes of a step that comes too late; empty when it is done all the same."""
    if given.then == "fire":
        return ""
    name = f"late_{given.then}" + ("" if given.after else "_now")
    window = given.window
    return _PHRASES[language][name].format(
        span=span(given.after, language),
        opens=window.opens if window else "",
        closes=window.closes if window else "",
    )


def occurrence(name: str, language: Language) -> str:
    """Return that something happens, as a clause: `the customer has bought`."""
    return REASONS[language].get(name, name)


def _counted(given: WaitFor, language: Language) -> str:
    say = _PHRASES[language]
    length = span(given.duration, language)
    if given.since == "step":
        before = say["step"].format(span=length) if given.duration else ""
    elif given.since == "entry":
        before = say["entry" if given.duration else "from_entry"].format(span=length)
    else:
        before = say["since" if given.duration else "as_soon_as"].format(
            span=length, event=occurrence(given.since, language)
        )
    days = weekdays(given.on, language)
    if given.at is None and not days:
        return before or say["at_once"]
    if not before and given.at is not None:
        return say["at_on" if days else "at"].format(at=given.at, days=days)
    name = "then_at_on" if given.at and days else "then_at" if given.at else "then_on"
    return say[name].format(before=before or say["at_once"], at=given.at, days=days)
