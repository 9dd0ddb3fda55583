"""The engine's entry points: all that follows within one state change of a customer.

Something has occurred, or a timer is due, or the customer is simply another than before. Runs are
told, begin, do what is due, which may cause more; what they wait for may be true now; and marketing
mails that are due are judged at last, together. So an order that arrives ends the cart run, takes
back a mail that still waits at the mailer, and begins its own run, all at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agents.context import Context, DomainEvent
from agents.workflows import (
    dispatch,
    enrollment,
    execution,
    exits,
    lifecycle,
    send_queue,
    versioning,
)
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.decisions import Reason

ENDS_MARKETING: Mapping[str, Reason] = {
    "consent.withdrawn": "consent.withdrawn",
    "address.bounced": "address.bounced",
}
"""Occurrences that no workflow has to name: they end whatever is marketing."""


def react(customer: Customer, occurred: Iterable[DomainEvent], context: Context) -> None:
    """Tell the runs what has happened, begin those that it triggers, do all that follows."""
    for occurrence in occurred:
        _happen(customer, occurrence, context)
    _run_until_idle(customer, context, context.now)


def wake(customer: Customer, due: int, context: Context) -> None:
    """Let the runs go on whose timer is the earliest one, which is due at `due` (ms).

    Mails that are due later wait for their own timers, since another customer's may come first.
    """
    if customer.watches.get(dispatch.CONDITIONS, due + 1) <= due:
        del customer.watches[dispatch.CONDITIONS]  # looked at below, and then awaited again
    for run in [run for run in customer.runs if run.due == due]:
        published = versioning.follow(customer, run, context)
        if published is not None and run.due <= context.now:
            execution.advance(customer, run, published, due, context)
    _run_until_idle(customer, context, due)


def follow(customer: Customer, context: Context) -> bool:
    """Move the runs that go by the live version; return whether there was any.

    What is due by the new one fires at the next record.
    """
    before = [run.version for run in customer.runs]
    for run in list(customer.runs):
        versioning.follow(customer, run, context)
    if before == [run.version for run in customer.runs]:
        return False
    _run_until_idle(customer, context, 0)
    return True


def give_up(customer: Customer, due: int, context: Context) -> list[Run]:
    """End the runs whose timer is due at `due` (ms): doing their step has failed.

    Returns them as they were.
    """
    ended = [run for run in customer.runs if run.due == due]
    before = [msgspec.structs.replace(run) for run in ended]
    for run in ended:
        exits.end(customer, run, "exited", "internal_error", context)
    context.moving.clear()
    return before


def take_up(customer: Customer, runs: Iterable[Run]) -> bool:
    """Let runs go on that were given up; return whether there is one that doesn't go on already."""
    known = {run.id for run in customer.runs}
    again = [run for run in runs if run.id not in known]
    for run in again:
        lifecycle.taken_up(customer, run)
    return bool(again)


def end_all(customer: Customer, reason: Reason, context: Context) -> None:
    """End every run and take back every mail that may still wait."""
    for run in list(customer.runs):
        exits.end(customer, run, "exited", reason, context)
    exits.take_back(customer.pending, customer, reason, context)
    context.moving.clear()


def leave(customer: Customer, context: Context) -> None:
    """End the runs here, since they go on (or begin again) under the customer's own id."""
    for run in list(customer.runs):
        exits.end(customer, run, "exited", "merged", context)
    context.moving.clear()


def _run_until_idle(customer: Customer, context: Context, until: int) -> None:
    """Do what follows from what has been done, until nothing moves any more."""
    checks_conditions = context.live.definitions.checks_conditions
    while True:
        if context.moving:
            execution.go_on(customer, context)
        if context.caused:
            caused, context.caused = context.caused, []
            for occurrence in caused:
                _happen(customer, occurrence, context)
        elif not customer.runs:
            dispatch.await_nothing(customer)
            return
        elif checks_conditions and dispatch.check_conditions(customer, context):
            continue
        elif customer.due() > until or not send_queue.judge(customer, context, until):
            return


def _happen(customer: Customer, occurrence: DomainEvent, context: Context) -> None:
    ends = ENDS_MARKETING.get(occurrence.name)
    if ends is not None and occurrence.data.get("purpose", "marketing") == "marketing":
        exits.end_marketing(customer, ends, context)
    if occurrence.name in context.live.definitions.listens_to:
        for run in customer.runs.copy():
            dispatch.to_run(customer, run, occurrence, context)
        if customer.finished and not occurrence.elsewhere:
            dispatch.count_goals(customer, occurrence, context)
    if context.begins and occurrence.begins:
        for published in context.live.by_trigger.get(occurrence.name, ()):
            enrollment.enter(customer, published, occurrence, context)
            if context.moving:
                execution.go_on(customer, context)
