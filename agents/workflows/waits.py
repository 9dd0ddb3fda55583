"""Waits: when the step is due that a run has come to.

Of its alternatives the first counts whose occurrence or date is known. A time that was counted from
something may lie in the past when that becomes known; the step is due at once then, and late as far
as its `late` says. A calendar wait is counted again whenever the customer's zone or the date has
changed, so it fires at the local time that holds when it fires.
"""

from __future__ import annotations

from datetime import date, timedelta

from agents.definitions.program import Instruction
from agents.rules import local_time
from agents.rules.conditions import read_field
from agents.rules.evaluation import EvaluationContext
from agents.rules.local_time import instant_of
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions.waits import (
    Wait,
    WaitFor,
    WaitForCondition,
    WaitForEvent,
    WaitUntilDate,
    WaitUntilTime,
)
from schemas.time_units import DAY_MS

CAME = frozenset({"event", "condition"})
"""Results of a wait for something that has come before its timeout."""


def due(customer: Customer, run: Run, instruction: Instruction, now: int) -> int:
    """Return when (ms) the run's step is due; when it came to it, if the step doesn't wait.

    A run that followed its workflow to a version with another trigger may know nothing to count
    from: then its step counts from when the run came to it.
    """
    if run.results and run.results.get(instruction.step.id) in CAME:
        return run.held or run.due  # since then, whatever it was put off for afterwards
    for since, duration in instruction.counts:
        anchor = _anchor(run, since)
        if anchor is not None:
            return anchor + duration
    for wait in instruction.step.wait:
        instant = _instant(customer, run, wait, now)
        if instant is not None:
            return instant
    last = instruction.step.wait[-1:]
    return came(run) + sum(wait.duration for wait in last if isinstance(wait, WaitFor))


def came(run: Run) -> int:
    """Return when (ms) the run came to its step."""
    return run.entered or run.begun


def _instant(customer: Customer, run: Run, wait: Wait, now: int) -> int | None:
    zone = customer.profile.zone
    match wait:
        case WaitFor():
            return _since(run, wait, zone)
        case WaitUntilTime():
            return local_time.next_time(came(run), wait.until, zone, wait.on)
        case WaitUntilDate():
            return _date(customer, run, wait, now)
        case WaitForEvent() | WaitForCondition():
            return came(run) + wait.timeout


def _since(run: Run, wait: WaitFor, zone: str) -> int | None:
    anchor = _anchor(run, wait.since)
    if anchor is None:
        return None
    if wait.at is None and not wait.on:
        return anchor + wait.duration
    instant = local_time.after_days(anchor, wait.duration, zone)
    if wait.at is None:
        return local_time.next_weekday(instant, zone, wait.on)
    return local_time.next_time(instant, wait.at, zone, wait.on)


def _anchor(run: Run, since: str) -> int | None:
    if since == "step":
        return came(run)
    return run.begun if since == "entry" else run.anchors.get(since)


def _date(customer: Customer, run: Run, wait: WaitUntilDate, now: int) -> int | None:
    zone = customer.profile.zone
    day = local_time.day_named(
        read_field(wait.date, EvaluationContext(customer, now, run, run.event)), zone
    )
    if day is None:
        return None
    if day.year is not None and wait.date != "profile.birthday":
        return _beside(day.in_year(day.year), wait, zone)
    year = local_time.local_date(came(run), zone).year - 1 - wait.after // (365 * DAY_MS)
    while True:  # the next one
        instant = _beside(day.in_year(year), wait, zone)
        if instant >= came(run):
            return instant
        year += 1


def _beside(day: date, wait: WaitUntilDate, zone: str) -> int:
    """Return the instant before or after a day: whole days by the calendar, then by the clock."""
    days, rest = divmod(abs(wait.after - wait.before), DAY_MS)
    sign = 1 if wait.after >= wait.before else -1
    shifted = day + sign * timedelta(days=days)
    return instant_of(shifted, wait.at, zone) + sign * rest
