"""Each decision is recorded with its reason."""

from __future__ import annotations

from agents.arbitration import HOLDS
from agents.context import Context
from agents.effects import decided
from schemas.commands import MailClass, MailKind
from schemas.customer import Customer, Run
from schemas.decisions import Decision, DecisionKind, Reason
from schemas.definitions.steps import SendStep, Step
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
    template, mail_class, mail_kind = _mail(step)
    decision = Decision(
        time=context.now,
        customer=customer.key,
        workflow=run.workflow,
        version=run.version,
        run=run.id,
        step=step.id if step else "",
        decision=kind,
        reason=reason,
        template=template,
        mail_class=mail_class,
        command_id=command_id,
        due=run.due if step and run.due != NEVER else None,
        kind=mail_kind,
        variant=variants(run, context),
        held_since=run.held if step and run.held_for in HOLDS else None,
        detail=detail,
    )
    context.effects.append(decided(decision))


def variants(run: Run, context: Context) -> str:
    """Return which variants the run has, `experiment=variant`, separated by blanks."""
    if not run.results:
        return ""
    published = context.live.definitions.find(run.workflow, run.version)
    experiments = {} if published is None else published.program.experiments
    return " ".join(
        f"{experiments[step]}={result}"
        for step, result in run.results.items()
        if step in experiments
    )


def _mail(step: Step | None) -> tuple[str, MailClass | None, MailKind | None]:
    if isinstance(step, SendStep):
        return step.send, step.mail_class, step.kind
    return "", None, None
