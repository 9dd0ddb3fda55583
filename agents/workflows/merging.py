"""Merging: the runs of a visitor who turned out to be this customer go on here."""

from __future__ import annotations

from agents.context import Context
from agents.workflows import (
    capacity,
    enrollment,
    execution,
    exits,
    lifecycle,
    occurrence_counts,
    versioning,
)
from agents.workflows.enrollment import conversation_of
from agents.workflows.exits import definition, end
from schemas.customer import Customer
from schemas.customer.runs import Entered, Run


def adopt(customer: Customer, visitor: Customer, context: Context, *, with_cart: bool) -> None:
    """Go on with the runs of a visitor who turned out to be this customer.

    Nobody is told the same twice: in a conversation that both are in, the further one counts, and
    one that the customer has had is over. `with_cart`: the visitor's cart is the customer's now.
    """
    number = customer.cart.number
    renamed: dict[str, str] = {}
    for run in visitor.runs:
        if run.cart >= 0:
            if not with_cart or run.cart != visitor.cart.number:
                continue
            was = run.id
            lifecycle.renumbered(run, number)
            renamed[was] = run.id
        mine = next((own for own in customer.runs if _same_conversation(own, run)), None)
        if mine is not None:
            _catch_up(customer, mine, run, context)
        elif not _had(customer, run, context):
            _go_on_here(customer, run, context)
    for run in customer.runs:
        if run.caller in renamed:
            lifecycle.reattached(run, renamed[run.caller])
    for name, entered in visitor.entered.items():
        if "/" in name or not entered.subject:
            customer.entered.setdefault(name, entered)
        elif with_cart and entered.subject == str(visitor.cart.number):
            own = customer.entered.get(name)
            if own is None or own.subject != str(number):
                customer.entered[name] = Entered(str(number), entered.time)
    occurrence_counts.adopt(customer, visitor)
    enrollment.fit_entered(customer)
    exits.fit_finished(customer, [*customer.finished, *visitor.finished], context)


def _go_on_here(customer: Customer, run: Run, context: Context) -> None:
    published = context.live.definitions.find(run.workflow, run.version)
    lifecycle.adopted(customer, run)
    if published is not None and not capacity.fits(customer, published, context):
        end(customer, run, "exited", "too_many_runs", context)


def _same_conversation(run: Run, other: Run) -> bool:
    return run.workflow == other.workflow and conversation_of(run) == conversation_of(other)


def _had(customer: Customer, run: Run, context: Context) -> bool:
    """Whether the customer has been in this conversation, which isn't going on any more."""
    published = context.live.definitions.find(run.workflow, run.version)
    once_per = "" if published is None else published.workflow.entry.once_per
    if once_per == "event":
        return False  # each is a conversation of its own
    if once_per == "order":
        return customer.order(run.order_id, run.shop or None) is not None
    conversation = conversation_of(run)
    entries = (
        customer.entered.get(f"{run.workflow}/{conversation}"),
        customer.entered.get(run.workflow),
    )
    return any(entered is not None and entered.subject == conversation for entered in entries)


def _catch_up(customer: Customer, run: Run, other: Run, context: Context) -> None:
    """Pass over the steps that the visitor's run has done. What is due fires at the next record."""
    published = definition(customer, run, context)
    theirs = context.live.definitions.find(other.workflow, other.version)
    if published is None or theirs is None:
        return
    found = versioning.position(other.step, theirs, published)
    mine = len(published.program.instructions) if found is None else found
    if mine > run.step:
        lifecycle.caught_up(run, other, mine)
        execution.recount(customer, run, published.program, context)
