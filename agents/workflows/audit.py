"""Each decision is recorded with its reason."""

from __future__ import annotations

from agents.context import Context
from agents.effects import decided
from agents.sending.arbitration import HOLDS
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.decisions import Decision, DecisionKind, Reason
from schemas.definitions.steps import SendStep, Step
from schemas.made import made
from schemas.stored import NEVER


def decide(
    customer: Customer,
    run: Run,
    kind: DecisionKind,
    reason: Reason,
    context: Context,
    *,
    step: Step | None = None,
    command_id: str = "",
    detail: str = "",
) -> None:
    """Record what was decided about a run, or about a step of it."""
    variant = variants(run, context) if run.results else ""
    if step is None:
        decision = made(
            Decision,
            time=context.now,
            customer=customer.key,
            workflow=run.workflow,
            version=run.version,
            run=run.id,
            decision=kind,
            reason=reason,
            command_id=command_id,
            variant=variant,
            detail=detail,
        )
    else:
        mail = step if isinstance(step, SendStep) else None
        decision = made(
            Decision,
            time=context.now,
            customer=customer.key,
            workflow=run.workflow,
            version=run.version,
            run=run.id,
            step=step.id,
            decision=kind,
            reason=reason,
            template=mail.send if mail else "",
            mail_class=mail.mail_class if mail else None,
            command_id=command_id,
            due=run.due if run.due != NEVER else None,
            kind=mail.kind if mail else None,
            variant=variant,
            held_since=run.held if run.held_for in HOLDS else None,
            detail=detail,
        )
    context.effects.append(decided(decision))


def variants(run: Run, context: Context) -> str:
    """Return which variants the run has, `experiment=variant`, separated by blanks."""
    published = context.live.definitions.find(run.workflow, run.version)
    experiments = {} if published is None else published.program.experiments
    return " ".join(
        f"{experiments[step]}={result}"
        for step, result in run.results.items()
        if step in experiments
    )
