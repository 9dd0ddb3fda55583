"""Waits, and what comes too late, in words: `1 hour after the cart has changed`."""

from __future__ import annotations

from collections.abc import Sequence

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
from streams.messages.decisions import reason
from streams.messages.fields import field_name
from streams.messages.spans import span, weekdays
from streams.messages.translations import Language, message


def waits(given: Sequence[Wait], language: Language) -> str:
    """Return when a step is due; its alternatives in their order."""
    if not given:
        return message(language, "wait.at_once")
    first, *others = [wait(each, language) for each in given]
    for other in others:
        first = message(language, "wait.else", first=first, rest=other)
    return first


def wait(given: Wait, language: Language) -> str:
    """Return what one wait is for."""
    match given:
        case WaitFor():
            return _counted(given, language)
        case WaitUntilTime(until=at, on=days):
            return _at(at, weekdays(days, language), language)
        case WaitUntilDate():
            return beside(given.date, given.before, given.after, given.at, language)
        case WaitForEvent(event=name, where=where, timeout=timeout):
            event, longest = reason(name, language), span(timeout, language)
            if where is None:
                return message(language, "wait.event", event=event, span=longest)
            said = condition(where, language)
            return message(language, "wait.event_where", event=event, where=said, span=longest)
        case WaitForCondition(condition=wanted, timeout=timeout):
            said, longest = condition(wanted, language), span(timeout, language)
            return message(language, "wait.condition", condition=said, span=longest)


def beside(date: str, before: int, after: int, at: str, language: Language) -> str:
    """Return a local time so many ms before or after a date field."""
    distance = after - before
    said = field_name(date, language)
    if not distance:
        return message(language, "wait.date.day", date=said, at=at)
    kind, length = ("after" if distance > 0 else "before"), span(abs(distance), language)
    return message(language, f"wait.date.{kind}", span=length, date=said, at=at)


def lateness(given: Lateness, language: Language) -> str:
    """Return what becomes of a step that comes too late; empty when it is done all the same."""
    if given.then == "fire":
        return ""
    late, window = span(given.after, language), given.window
    if window is None:
        return message(language, "late.skip" if given.after else "late.skip_now", span=late)
    name = "late.window" if given.after else "late.window_now"
    return message(language, name, span=late, opens=window.opens, closes=window.closes)


def _counted(given: WaitFor, language: Language) -> str:
    length = span(given.duration, language)
    if given.since == "step":
        before = message(language, "wait.step", span=length) if given.duration else ""
    elif given.since == "entry":
        name = "wait.entry" if given.duration else "wait.from_entry"
        before = message(language, name, span=length)
    else:
        name, event = "wait.since" if given.duration else "wait.as_soon_as", given.since
        before = message(language, name, span=length, event=reason(event, language))
    days = weekdays(given.on, language)
    if not before and given.at is not None:
        return _at(given.at, days, language)
    before = before or message(language, "wait.at_once")
    if given.at is None:
        return message(language, "wait.then_on", before=before, days=days) if days else before
    if not days:
        return message(language, "wait.then_at", before=before, at=given.at)
    return message(language, "wait.then_at_on", before=before, days=days, at=given.at)


def _at(at: str, days: str, language: Language) -> str:
    return message(language, "wait.at_on" if days else "wait.at", at=at, days=days)
