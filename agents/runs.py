"""Runs: a customer's ways through workflows. The engine that enters, waits, sends and ends.

A run waits for one step at a time, and that wait is its timer: `run.due` is counted from an
occurrence (its anchor), so a cart that changes again moves the reminder, and a parcel that arrives
moves the review request. Everything happens within the state change of one record: an order that
arrives ends the cart run, takes back a mail that still waits at the mailer, and begins its own run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agents import sending, windows
from agents.context import Context, Occurred
from agents.definitions import Published, UnknownVersion
from agents.effects import command, decided
from schemas.commands import CancelCommand
from schemas.customer import Customer, Entered, Run
from schemas.decisions import Decision, DecisionKind, Reason
from schemas.stored import NEVER
from schemas.definitions import Step

_ENDS_MARKETING: Mapping[str, Reason] = {
    "consent.withdrawn": "consent.withdrawn",
    "address.bounced": "address.bounced",
}
"""Occurrences that no workflow has to name: they end whatever is marketing."""


def react(
    customer: Customer, occurred: Iterable[Occurred], context: Context, *, begin: bool
) -> None:
    """Tell the runs what has happened, then begin those that it triggers.

    `begin` is False for history that is loaded afterwards: it ends runs and begins none.
    """
    for occurrence in occurred:
        if occurrence.name in _ENDS_MARKETING:
            _end_marketing(customer, _ENDS_MARKETING[occurrence.name], context)
            continue
        for run in list(customer.runs):
            if _concerns(customer, run, occurrence):
                _tell(customer, run, occurrence, context)
        if begin and occurrence.begins:
            for published in context.live.by_trigger.get(occurrence.name, ()):
                _enter(customer, published, occurrence, context)


def wake(customer: Customer, context: Context) -> None:
    """Let the runs go on whose timer is the earliest one, which is due."""
    due = customer.due()
    for run in [run for run in customer.runs if run.due == due]:
        published = _definition(customer, run, context)
        if published is not None:
            _advance(customer, run, published, due, context)


def give_up(customer: Customer, context: Context) -> None:
    """End the runs whose timer is the earliest one: doing their step has failed."""
    due = customer.due()
    for run in [run for run in customer.runs if run.due == due]:
        _end(customer, run, "exited", "internal_error", context)


def end_all(customer: Customer, reason: Reason, context: Context) -> None:
    """End every run and take back every mail that may still wait."""
    for run in list(customer.runs):
        _end(customer, run, "exited", reason, context)
    _take_back(customer, [mail.command_id for mail in customer.pending], reason, context)


def leave(customer: Customer, context: Context) -> None:
    """End the runs here, since they go on (or begin again) under the customer's own id."""
    for run in list(customer.runs):
        _end(customer, run, "exited", "merged", context)


def adopt(customer: Customer, visitor: Customer, context: Context, *, with_cart: bool) -> None:
    """Go on with the runs of a visitor who turned out to be this customer.

    Nobody is told the same twice: in a conversation that both are in, the further one counts, and
    one that the customer has had is over. `with_cart`: the visitor's cart is the customer's now.
    """
    number = customer.cart.number
    for run in visitor.runs:
        if run.cart >= 0:
            if not with_cart or run.cart != visitor.cart.number:
                continue
            run.cart, run.id = number, f"{run.workflow}/{number}/{run.begun}"
        mine = next((own for own in customer.runs if _same_subject(own, run)), None)
        if mine is not None:
            _catch_up(customer, mine, run, context)
        elif not _had(customer, run):
            customer.runs.append(run)
    for name, entered in visitor.entered.items():
        if "/" in name or not entered.subject:
            customer.entered.setdefault(name, entered)
        elif with_cart and entered.subject == str(visitor.cart.number):
            own = customer.entered.get(name)
            if own is None or own.subject != str(number):
                customer.entered[name] = Entered(str(number), entered.time)


def _same_subject(run: Run, other: Run) -> bool:
    mine = (run.workflow, run.order_id, run.cart, run.list)
    return mine == (other.workflow, other.order_id, other.cart, other.list)


def _had(customer: Customer, run: Run) -> bool:
    """Whether the customer has been in this conversation, which isn't going on any more."""
    if run.order_id:
        return customer.order(run.order_id) is not None
    entries = (
        customer.entered.get(f"{run.workflow}/{run.list}"),
        customer.entered.get(run.workflow),
    )
    subject = _run_subject(run)
    return any(entered is not None and entered.subject == subject for entered in entries)


def _catch_up(customer: Customer, run: Run, other: Run, context: Context) -> None:
    """Pass over the steps that the visitor's run has done."""
    published = _definition(customer, run, context)
    if published is None or (other.workflow, other.version) not in context.live.definitions:
        return
    theirs = context.live.definitions.workflow(other.workflow, other.version)
    done = {step.id for step in theirs.workflow.steps[: other.step]}
    steps, before = published.workflow.steps, run.step
    while run.step < len(steps) and steps[run.step].id in done:
        run.step += 1
    if run.step != before:
        _advance(customer, run, published, 0, context)  # what is due fires at the next record


def _concerns(customer: Customer, run: Run, occurrence: Occurred) -> bool:
    """Two things that both name an order, a cart or a list have to name the same one."""
    if run.order_id and occurrence.order_id and run.order_id != occurrence.order_id:
        return False
    if run.order_id and occurrence.product_ids and not occurrence.order_id:
        order = customer.order(run.order_id)
        if order is None:
            return False
        if not any(line.product_id in occurrence.product_ids for line in order.lines):
            return False
    if run.list and occurrence.list and run.list != occurrence.list:
        return False
    return (
        not (run.cart >= 0 and occurrence.name.startswith("cart.")) or run.cart == occurrence.cart
    )


def _tell(customer: Customer, run: Run, occurrence: Occurred, context: Context) -> None:
    published = _definition(customer, run, context)
    if published is None or occurrence.name not in published.listens_to:
        return
    known = run.anchors.get(occurrence.name)
    bought = run.cart >= 0 and run.cart != customer.cart.number
    if occurrence.time < run.begun and not (bought and occurrence.name == "order.completed"):
        return  # older than the run; but an order that took the cart ends it whatever clocks say
    if known is not None and known >= occurrence.time:
        return
    if occurrence.name in published.workflow.exit_on:
        reason: Reason = occurrence.name  # each occurrence is a reason, says mypy
        _end(customer, run, "exited", reason, context)
        _take_back_marketing(customer, run, reason, context)
        return
    run.anchors[occurrence.name] = occurrence.time
    _advance(customer, run, published, context.now, context)


def _enter(
    customer: Customer, published: Published, occurrence: Occurred, context: Context
) -> None:
    workflow = published.workflow
    subject = _subject(workflow.entry.once_per, occurrence)
    if any(run.workflow == workflow.id and _run_subject(run) == subject for run in customer.runs):
        return  # it is in this very conversation already
    entry_key = (
        f"{workflow.id}/{occurrence.list}" if workflow.entry.once_per == "list" else workflow.id
    )
    run = Run(
        id=f"{workflow.id}/{subject}/{occurrence.time}",
        workflow=workflow.id,
        version=published.version,
        begun=occurrence.time,
        step=0,
        due=NEVER,
        anchors={occurrence.name: occurrence.time},
        order_id=occurrence.order_id if workflow.entry.once_per == "order" else "",
        cart=occurrence.cart if workflow.entry.once_per == "cart" else -1,
        list=occurrence.list,
    )
    last = customer.entered.get(entry_key)
    if last is not None and last.subject == subject and not _may_again(published, last, context):
        _decide(customer, run, "not_entered", "already_entered", context)
        return
    if workflow.entry.once_per != "order":  # an order occurs once, so there is nothing to remember
        customer.entered[entry_key] = Entered(subject, context.now)
    _decide(customer, run, "entered", "triggered", context)
    customer.runs.append(run)
    _advance(customer, run, published, context.now, context)


def _may_again(published: Published, last: Entered, context: Context) -> bool:
    again_after = published.workflow.entry.again_after
    return again_after is not None and context.now - last.time >= again_after


def _subject(once_per: str, occurrence: Occurred) -> str:
    if once_per == "order":
        return occurrence.order_id
    if once_per == "cart":
        return str(occurrence.cart)
    return occurrence.list if once_per == "list" else ""


def _run_subject(run: Run) -> str:
    return run.id.removeprefix(f"{run.workflow}/").rsplit("/", 1)[0]


def _advance(
    customer: Customer, run: Run, published: Published, until: int, context: Context
) -> None:
    """Do every step that is due by `until`, then wait for the next; end the run after the last.

    A timer that fires late does its own step only: the next one may come after another customer's.
    """
    steps = published.workflow.steps
    while run.step < len(steps):
        step = steps[run.step]
        if any(name in run.anchors for name in step.stop_on):
            _decide(customer, run, "skipped", "stopped", context, step=step)
        else:
            run.due = _due(run, step)
            if run.due > until or not _fire(customer, run, published, step, context):
                return
        run.step += 1
    _end(customer, run, "completed", "last_step", context)


def _due(run: Run, step: Step) -> int:
    """Return when the step is due: by the first of its waits whose occurrence is known."""
    for wait in step.wait:
        anchor = run.anchors.get(wait.since)
        if anchor is not None:
            return anchor + wait.duration
    return NEVER


def _fire(customer: Customer, run: Run, published: Published, step: Step, context: Context) -> bool:
    """Do a step that is due. Returns False when it was put off instead."""
    late = context.now - run.due > step.late.after
    if late and step.late.then == "skip":
        _decide(customer, run, "skipped", "late", context, step=step)
        return True
    if late and step.late.window is not None:
        opening = windows.next_opening(context.now, step.late.window, customer.profile.zone)
        if opening > context.now:
            run.due = opening
            _decide(customer, run, "postponed", "outside_window", context, step=step)
            return False
    if "has_ordered" in step.skip_if and customer.statistics.count:
        _decide(customer, run, "skipped", "condition", context, step=step)
        return True
    reason = sending.refusal(customer, step.mail_class)
    if reason is not None:
        _decide(customer, run, "skipped", reason, context, step=step)
        return True
    sent = sending.send(customer, run, published, step, context)
    _decide(customer, run, "sent", "due", context, step=step, command_id=sent.id)
    return True


def _end(
    customer: Customer, run: Run, kind: DecisionKind, reason: Reason, context: Context
) -> None:
    customer.runs.remove(run)
    _decide(customer, run, kind, reason, context)


def _end_marketing(customer: Customer, reason: Reason, context: Context) -> None:
    """No marketing any more: end every run that has only that left, take its mails back."""
    for run in list(customer.runs):
        published = _definition(customer, run, context)
        if published is None:
            continue
        rest = published.workflow.steps[run.step :]
        if all(step.mail_class == "marketing" for step in rest):
            _end(customer, run, "exited", reason, context)
    waiting = [mail.command_id for mail in customer.pending if mail.mail_class == "marketing"]
    _take_back(customer, waiting, reason, context)


def _take_back_marketing(customer: Customer, run: Run, reason: Reason, context: Context) -> None:
    """A confirmation is true whatever came after it; a reminder is not."""
    waiting = [
        mail.command_id
        for mail in customer.pending
        if mail.run == run.id and mail.mail_class == "marketing"
    ]
    _take_back(customer, waiting, reason, context)


def _take_back(
    customer: Customer, command_ids: Sequence[str], reason: Reason, context: Context
) -> None:
    """Ask the mailer not to send. The mail stays pending until it says what became of it."""
    for mail in customer.pending:
        if mail.command_id in command_ids and mail.expires > context.now:
            context.effects.append(
                command(
                    CancelCommand(
                        id=mail.command_id,
                        time=context.now,
                        customer=mail.customer or customer.key,
                        reason=reason,
                    )
                )
            )


def _definition(customer: Customer, run: Run, context: Context) -> Published | None:
    """Return the version that the run began with. A run whose version is lost can only end."""
    try:
        return context.live.definitions.workflow(run.workflow, run.version)
    except UnknownVersion:
        _end(customer, run, "exited", "definition_gone", context)
        return None


def _decide(
    customer: Customer,
    run: Run,
    kind: DecisionKind,
    reason: Reason,
    context: Context,
    *,
    step: Step | None = None,
    command_id: str = "",
) -> None:
    decision = Decision(
        time=context.now,
        customer=customer.key,
        workflow=run.workflow,
        version=run.version,
        run=run.id,
        step=step.id if step else "",
        decision=kind,
        reason=reason,
        template=step.send if step else "",
        mail_class=step.mail_class if step else None,
        command_id=command_id,
        due=run.due if step and run.due != NEVER else None,
    )
    context.effects.append(decided(decision))
