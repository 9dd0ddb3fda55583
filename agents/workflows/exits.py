"""The end of a run: what it leaves behind, and taking back mails whose cause has disappeared."""

from __future__ import annotations

from collections.abc import Iterable

from agents.context import Context
from agents.definitions.published import WorkflowVersion
from agents.effects import command
from agents.workflows import capacity, lifecycle
from agents.workflows.audit import decide
from schemas.commands import CancelCommand
from schemas.customer import Customer
from schemas.customer.mail import Pending
from schemas.customer.runs import FINISHED_KEPT, Run
from schemas.decisions import DecisionKind, Reason


def end(
    customer: Customer,
    run: Run,
    kind: DecisionKind,
    reason: Reason,
    context: Context,
    *,
    detail: str = "",
) -> None:
    """End a run; let the one that waits for it go on."""
    lifecycle.ended(customer, run)
    decide(customer, run, kind, reason, context, detail=detail)
    if kind != "converted":
        _keep_for_its_goal(customer, run, context)
    if run.caller:
        _let_go_on(customer, run.caller, context)


def end_marketing(customer: Customer, reason: Reason, context: Context) -> None:
    """No marketing any more: end every run that has only that left, take its mails back."""
    for run in list(customer.runs):
        published = definition(customer, run, context)
        if published is not None and _is_marketing(run, published):
            end(customer, run, "exited", reason, context)
    waiting = [mail for mail in customer.pending if mail.mail_class == "marketing"]
    take_back(waiting, customer, reason, context)


def take_back_marketing(customer: Customer, run: Run, reason: Reason, context: Context) -> None:
    """A confirmation is true whatever came after it; a reminder is not."""
    waiting = [
        mail for mail in customer.pending if mail.run == run.id and mail.mail_class == "marketing"
    ]
    take_back(waiting, customer, reason, context)


def take_back(
    mails: Iterable[Pending], customer: Customer, reason: Reason, context: Context
) -> None:
    """Ask the mailer not to send. The mail stays pending until it says what became of it."""
    for mail in mails:
        if mail.expires > context.now:
            cancel = CancelCommand(
                id=mail.command_id,
                time=context.now,
                customer=mail.customer or customer.key,
                reason=reason,
            )
            context.effects.append(command(cancel))


def definition(customer: Customer, run: Run, context: Context) -> WorkflowVersion | None:
    """Return the version that the run goes by. A run whose version is lost can only end."""
    published = context.live.definitions.find(run.workflow, run.version)
    if published is None:
        end(customer, run, "exited", "definition_gone", context)
    return published


def forget_finished(customer: Customer, context: Context) -> None:
    """Let go of the finished runs whose goal can't be reached any more."""
    kept = [run for run in customer.finished if run.due > context.now]
    lifecycle.remembered(customer, kept)


def fit_finished(customer: Customer, finished: list[Run], context: Context) -> None:
    """Keep the latest of the finished runs, as many as may be and as there is room for."""
    lifecycle.remembered(customer, capacity.fit_finished(finished[-FINISHED_KEPT:], context))


def _is_marketing(run: Run, published: WorkflowVersion) -> bool:
    instructions = published.program.instructions
    return run.step < len(instructions) and instructions[run.step].last_marketing


def _keep_for_its_goal(customer: Customer, run: Run, context: Context) -> None:
    """A goal counts within its window also when the run is over. `due`: when that closes."""
    published = context.live.definitions.find(run.workflow, run.version)
    goal = None if published is None else published.workflow.goal
    if goal is None or run.begun + goal.within <= context.now:
        return
    lifecycle.finished(customer, run, run.begun + goal.within)
    forget_finished(customer, context)
    fit_finished(customer, customer.finished, context)


def _let_go_on(customer: Customer, caller: str, context: Context) -> None:
    for run in customer.runs:
        if run.id == caller and run.held_for == lifecycle.CALLING:
            lifecycle.answered(run, context.now)
            context.moving.append(run)
