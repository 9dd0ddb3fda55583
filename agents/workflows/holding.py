"""Holding: marketing mails that are due, all of a customer's, before the arbitration.

A mail that may not go now stays its run's current step. It is looked at again when time may have
changed the verdict, at the latest when it expires, and whenever another mail of the customer is
due, since the two compete for the next free place.
"""

from __future__ import annotations

from agents import arbitration, sending
from agents.arbitration import Candidate, Verdict
from agents.context import Context
from agents.definitions import Published
from agents.workflows import advancing
from agents.workflows.program import Instruction
from agents.workflows.recording import decide
from schemas.customer import Customer, Run
from schemas.definitions.steps import SendStep


def judge(customer: Customer, context: Context, until: int) -> bool:
    """Send, hold or leave out the marketing mails if one is due by `until`; return whether any run
    has moved on."""
    if not any(run.due <= until and _mail(run, context) for run in customer.runs):
        return False
    moved: list[tuple[Run, Published, Instruction]] = []
    candidates: list[Candidate] = []
    found: dict[str, tuple[Run, Published, Instruction]] = {}
    for run in list(customer.runs):
        mail = _mail(run, context)
        if mail is None or not _is_ready(run, context):
            continue
        passed = advancing.passes(customer, run, mail[1], context)
        if passed is None:
            continue
        found[run.id] = (run, *mail)
        if passed:
            candidates.append(_candidate(run, *mail, context))
        else:
            moved.append(found[run.id])

    def send(candidate: Candidate, verdict: Verdict) -> None:
        run, published, _ = found[candidate.run.id]
        basis = verdict.basis or "consent"
        sent = sending.send(customer, run, published, candidate.step, context, basis=basis)
        decide(customer, run, "sent", "due", context, step=candidate.step, command_id=sent.id)
        moved.append(found[run.id])

    policy = context.live.policy
    others = arbitration.arbitrate(customer, candidates, context.now, policy, send)
    for candidate, verdict in others:
        if verdict.action == "hold":
            _hold(customer, candidate, verdict, context)
        else:
            decide(customer, candidate.run, "skipped", verdict.reason, context,
                   step=candidate.step, detail=verdict.detail)  # fmt: skip
            moved.append(found[candidate.run.id])
    for run, published, instruction in moved:
        advancing.come_to(run, instruction.after, context)
        advancing.advance(customer, run, published, until, context)
    return bool(moved)


def _mail(run: Run, context: Context) -> tuple[Published, Instruction] | None:
    """Return the marketing mail that the run has come to, None when it is something else."""
    published = context.live.definitions.find(run.workflow, run.version)
    if published is None or run.step >= len(published.program.instructions) or run.holdout:
        return None
    instruction = published.program.instructions[run.step]
    return (published, instruction) if instruction.marketing else None


def _is_ready(run: Run, context: Context) -> bool:
    """Due, or held by the arbitration; one that waits for its window competes with nobody."""
    return run.due <= context.now or bool(run.held and run.held_for != advancing.OUTSIDE_WINDOW)


def _candidate(
    run: Run, published: Published, instruction: Instruction, context: Context
) -> Candidate:
    step = instruction.step
    assert isinstance(step, SendStep)
    since = run.held or context.now
    expires = arbitration.expiry(step, since, context.live.policy)
    return Candidate(run, step, published.workflow, since, expires)


def _hold(customer: Customer, candidate: Candidate, verdict: Verdict, context: Context) -> None:
    run = candidate.run
    run.held = candidate.since
    run.due = max(min(verdict.again, candidate.expires), context.now + 1)
    if run.held_for != verdict.reason:
        run.held_for = verdict.reason
        decide(customer, run, "held", verdict.reason, context,
               step=candidate.step, detail=verdict.detail)  # fmt: skip
