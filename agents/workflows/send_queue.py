"""A customer's send queue: marketing mails that are due or held, before the arbitration.

A mail that may not go now stays its run's current step. It is looked at again when time may have
changed the verdict, at the latest when it expires, and whenever another mail of the customer is
due, since the two compete for the next free place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agents.context import Context, DomainEvent, Handler
from agents.definitions.program import Instruction
from agents.definitions.published import WorkflowVersion
from agents.links import places
from agents.sending import arbitration, send_commands
from agents.sending.arbitration import Candidate, PolicyDecision
from agents.workflows import execution, lifecycle
from agents.workflows.audit import decide
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions.steps import SendStep
from schemas.events import Event
from schemas.events.own import MarketingAnswered


class _Mail(NamedTuple):
    """A run that has come to a marketing mail."""

    run: Run
    published: WorkflowVersion
    instruction: Instruction


def judge(customer: Customer, context: Context, until: int) -> bool:
    """Send, hold or leave out the marketing mails if one is due by `until`; return whether any run
    has moved on."""
    mails = [mail for run in customer.runs if (mail := _mail(run, context)) is not None]
    if not any(mail.run.due <= until for mail in mails):
        return False
    moved: list[_Mail] = []
    waiting: dict[str, _Mail] = {}
    candidates: list[Candidate] = []
    reserved = {mail.run.id for mail in mails if _has_place(mail.run)}
    for mail in mails:
        if _is_asking(mail.run, context):
            continue
        passed = execution.passes(customer, mail.run, mail.instruction, context)
        if passed:
            waiting[mail.run.id] = mail
            candidates.append(_candidate(mail, context))
        elif passed is not None:
            moved.append(mail)

    def send(candidate: Candidate, verdict: PolicyDecision) -> None:
        mail = waiting[candidate.run.id]
        if places.are_shared(customer) and mail.run.id not in reserved:
            places.request(customer, mail.run, candidate.step.id, context)
            lifecycle.reserving(mail.run, candidate.since, context.now + places.ANSWER_LASTS)
            return
        basis = verdict.basis or "consent"
        sent = send_commands.send(
            customer, mail.run, mail.published, candidate.step, context, basis=basis
        )
        decide(customer, mail.run, "sent", "due", context,
               step=candidate.step, command_id=sent.id)  # fmt: skip
        moved.append(mail)

    policy = context.live.policy
    others = arbitration.arbitrate(customer, candidates, context.now, policy, send)
    for candidate, verdict in others:
        if verdict.action == "hold":
            _hold(customer, candidate, verdict, context)
        else:
            decide(customer, candidate.run, "skipped", verdict.reason, context,
                   step=candidate.step, detail=verdict.detail)  # fmt: skip
            moved.append(waiting[candidate.run.id])
    for mail in moved:
        lifecycle.moved(mail.run, mail.instruction.after, context.now)
        execution.advance(customer, mail.run, mail.published, until, context)
    return bool(moved)


def _is_asking(run: Run, context: Context) -> bool:
    """Whether its mail waits for a place at the address still."""
    return run.held_for == lifecycle.ASKING and run.due > context.now


def _has_place(run: Run) -> bool:
    """Whether its mail was given a place at the address; it is asked for again, if it can't go."""
    if lifecycle.ANSWER not in run.results:
        return False
    lifecycle.unresulted(run, lifecycle.ANSWER)
    return True


def answered(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The actor of the customer's address has a place for a mail, or says when there may be one."""
    data: MarketingAnswered = event.data
    run = next((each for each in customer.runs if each.id == data.run), None)
    mail = None if run is None or run.held_for != lifecycle.ASKING else _mail(run, context)
    if run is None or mail is None or mail.instruction.step.id != data.step:
        return []
    if data.until:
        verdict = PolicyDecision("hold", "frequency_cap", data.until, "together with other ids")
        _hold(customer, _candidate(mail, context), verdict, context)
    else:
        lifecycle.resulted(run, lifecycle.ANSWER, "allowed")
        lifecycle.answered(run, context.now)
    return []


def _mail(run: Run, context: Context) -> _Mail | None:
    """Return the marketing mail that the run has come to, if it is due or held.

    One that waits for its window competes with nobody.
    """
    if run.due > context.now and (not run.held or run.held_for == lifecycle.OUTSIDE_WINDOW):
        return None
    published = context.live.definitions.find(run.workflow, run.version)
    if published is None or run.step >= len(published.program.instructions) or run.holdout:
        return None
    instruction = published.program.instructions[run.step]
    return _Mail(run, published, instruction) if instruction.marketing else None


def _candidate(mail: _Mail, context: Context) -> Candidate:
    run, step = mail.run, mail.instruction.step
    assert isinstance(step, SendStep)
    since = run.held or context.now
    expires = arbitration.expiry(step, since, context.live.policy)
    return Candidate(run, step, mail.published.workflow, since, expires)


def _hold(
    customer: Customer, candidate: Candidate, verdict: PolicyDecision, context: Context
) -> None:
    run = candidate.run
    until = max(min(verdict.again, candidate.expires), context.now + 1)
    told = run.held_for == verdict.reason
    lifecycle.held(run, candidate.since, until, verdict.reason)
    if not told:
        decide(customer, run, "held", verdict.reason, context,
               step=candidate.step, detail=verdict.detail)  # fmt: skip


HANDLERS: Mapping[str, Handler] = {
    "marketing.answered": answered,
}
