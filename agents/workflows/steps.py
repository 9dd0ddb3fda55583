"""Steps: what each verb does when its time has come. `_VERBS`, at the end, has a row for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agents.commerce import coupons, loyalty
from agents.context import Context, DomainEvent, Handler
from agents.customer import consent, custom_fields, derived_state, profile, scores, statements, tags
from agents.definitions.program import Instruction
from agents.definitions.published import WorkflowVersion
from agents.links import confirmations
from agents.rules import conditions
from agents.rules.values import to_number
from agents.sending import recipient, send_commands
from agents.workflows import enrollment, lifecycle, notifications, variants
from agents.workflows.audit import decide
from agents.workflows.exits import end
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.person import TAG_BYTES
from schemas.customer.runs import Run
from schemas.customer_parts import CustomerPart
from schemas.decisions import Reason
from schemas.definitions.step import StepCommon
from schemas.definitions.steps import (
    BranchStep,
    CallStep,
    CouponStep,
    ExitStep,
    GoalStep,
    IncreaseStep,
    ListStep,
    NotifyStep,
    PointsStep,
    ScoreStep,
    SendStep,
    SetStep,
    SplitStep,
    TagStep,
    UntagStep,
    WaitStep,
)
from schemas.events import Event
from schemas.events.own import ConfirmationAnswered, CouponIssued
from schemas.time_units import DAY_MS

STAY = -1
"""The run goes nowhere: it has ended, or waits here."""
CALL_LASTS = 365 * DAY_MS
"""How long a run waits for the end of one that it has called: no conversation takes a year."""


class StepAtHand(NamedTuple):
    """A step whose time has come, and whose."""

    customer: Customer
    run: Run
    published: WorkflowVersion
    instruction: Instruction
    context: Context


Act = Callable[[StepAtHand, Any], int]
"""Does a step and returns the position at which the run goes on, or STAY. The second argument is
the step; its type is that of the row."""
Change = Callable[[Customer, Run, Any, Context], str]
"""Changes the customer, or tells the shop; returns what was done in a few words, none if nothing
was."""


class Verb(NamedTuple):
    """What a verb does."""

    act: Act
    changes: frozenset[CustomerPart] = frozenset()
    """Which parts of what is known of the customer it may change."""


def act(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    instruction: Instruction,
    context: Context,
) -> int:
    """Do a step; return the position at which the run goes on, or STAY."""
    step = instruction.step
    if run.holdout and step.is_withheld():
        decide(customer, run, "skipped", "holdout", context, step=step)
        return instruction.after
    verb = _VERBS[type(step)]
    position = verb.act(StepAtHand(customer, run, published, instruction, context), step)
    if verb.changes:
        derived_state.changed(customer, verb.changes, context)
    return position


def _then_on(change: Change) -> Act:
    """Return what makes a change, records it, and goes on."""

    def act(at_hand: StepAtHand, step: Any) -> int:
        customer, run, _, instruction, context = at_hand
        detail = change(customer, run, step, context)
        if detail:
            decide(customer, run, "acted", "step", context, step=step, detail=detail)
        return instruction.after

    return act


def _only_wait(at_hand: StepAtHand, step: WaitStep) -> int:
    return at_hand.instruction.after


def _confirm(at_hand: StepAtHand, step: SendStep) -> int:
    """Send a transactional mail. Marketing never comes here: see `send_queue.py`."""
    customer, run, published, instruction, context = at_hand
    address = recipient.recipient(customer, run, step.mail_class)
    refused = recipient.refusal(customer, address)
    if refused is None and recipient.asks_to_confirm(run):
        if run.held_for != lifecycle.ASKING:
            confirmations.request(customer, run, step.id, address, context)
            lifecycle.asked(run, context.now + confirmations.ANSWER_LASTS, context.now)
            return STAY
        refused = _answer(run)
    if refused is not None:
        decide(customer, run, "skipped", refused, context, step=step)
    else:
        sent = send_commands.send(customer, run, published, step, context)
        decide(customer, run, "sent", "due", context, step=step, command_id=sent.id)
    return instruction.after


def _answer(run: Run) -> Reason | None:
    """Return why a mail that asks to confirm may not go; None when its address's actor has said
    that it may."""
    answer = run.results.get(lifecycle.ANSWER)
    lifecycle.unresulted(run, lifecycle.ANSWER)
    if answer == confirmations.ALLOWED:
        return None
    return "asked_enough" if answer == confirmations.REFUSED else "late"


def confirmation_answered(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """An address's actor says whether it may be asked to confirm: the run that waits for it goes
    on, if it still is at the step that has asked."""
    data: ConfirmationAnswered = event.data
    run = next((each for each in customer.runs if each.id == data.run), None)
    if run is not None and run.held_for == lifecycle.ASKING and _is_at(run, data.step, context):
        answer = confirmations.ALLOWED if data.allowed else confirmations.REFUSED
        lifecycle.resulted(run, lifecycle.ANSWER, answer)
        lifecycle.answered(run, context.now)
        context.moving.append(run)
    return []


def _is_at(run: Run, step: str, context: Context) -> bool:
    published = context.live.definitions.find(run.workflow, run.version)
    if published is None or run.step >= len(published.program.instructions):
        return False
    return published.program.instructions[run.step].step.id == step


def _reach(at_hand: StepAtHand, step: GoalStep) -> int:
    end(at_hand.customer, at_hand.run, "converted", "goal", at_hand.context, detail=step.goal)
    return STAY


def _leave(at_hand: StepAtHand, step: ExitStep) -> int:
    end(at_hand.customer, at_hand.run, "exited", "exit_step", at_hand.context, detail=step.exit)
    return STAY


def _branch(at_hand: StepAtHand, step: BranchStep) -> int:
    """Take the first arm that is open, by its condition or by the last result before it."""
    customer, run, _, instruction, context = at_hand
    context.missing_rates.clear()
    evaluation = context.evaluation(customer, run)
    last = next(reversed(run.results.values()), "")
    *arms, otherwise = instruction.arms
    for arm in arms:
        if arm.check(evaluation) if arm.check is not None else arm.result == last:
            decide(customer, run, "branched", "condition_holds", context,
                   step=step, detail=arm.name)  # fmt: skip
            return arm.position
    decide(customer, run, "branched", "otherwise", context,
           step=step, detail=context.without_rates())  # fmt: skip
    return otherwise.position


def _split(at_hand: StepAtHand, step: SplitStep) -> int:
    customer, run, _, instruction, context = at_hand
    variant = variants.assign(customer, step)
    lifecycle.assigned(run, step.id, variant.name, holdout=variant.holdout)
    decide(customer, run, "assigned", "hash", context, step=step, detail=variant.name)
    return next(arm.position for arm in instruction.arms if arm.name == variant.name)


def _call(at_hand: StepAtHand, step: CallStep) -> int:
    """Begin another workflow for the same subject; wait for its end if the step says so."""
    customer, run, _, instruction, context = at_hand
    if run.held_for == lifecycle.CALLING:  # it has been called, and is over or takes too long
        going_on = any(other.caller == run.id for other in customer.runs)
        lifecycle.resulted(run, step.id, "timeout" if going_on else "ended")
        return instruction.after
    called = enrollment.call(customer, run, step, context)
    if called is None or not step.wait_for_end:
        lifecycle.resulted(run, step.id, "none" if called is None else "begun")
        return instruction.after
    lifecycle.called(run, context.now + CALL_LASTS, context.now)
    return STAY


def _issue(at_hand: StepAtHand, step: CouponStep) -> int:
    """Give a code; one of a pool comes with the answer of the pool's actor."""
    customer, run, _, instruction, context = at_hand
    if run.held_for == lifecycle.ASKING:  # it has answered, or takes too long
        if run.results.get(step.id) == coupons.ASKED:
            lifecycle.resulted(run, step.id, "none")
    else:
        code = coupons.issue(customer, run, step, context)
        if code == coupons.ASKED:
            lifecycle.resulted(run, step.id, coupons.ASKED)
            lifecycle.asked(run, context.now + coupons.ANSWER_LASTS, context.now)
            return STAY
        lifecycle.issued(run, step.id, code)
    if run.results[step.id] == "none":
        decide(customer, run, "skipped", "no_coupon", context, step=step, detail=step.coupon)
    else:
        detail = f"coupon {step.coupon}"
        decide(customer, run, "acted", "step", context, step=step, detail=detail)
    return instruction.after


def code_issued(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A pool's answer: the code is the customer's, and the run that has asked goes on."""
    data: CouponIssued = event.data
    run = next((each for each in customer.runs if each.id == data.run), None)
    if run is None or run.results.get(data.step) != coupons.ASKED:
        return []  # it is over; the code goes unused, as nobody has been told of it
    lifecycle.issued(run, data.step, coupons.receive(customer, data, run, context))
    lifecycle.answered(run, context.now)
    context.moving.append(run)
    return []


def _tag(customer: Customer, run: Run, step: TagStep, context: Context) -> str:
    evaluation = context.evaluation(customer, run)
    tag = cut(conditions.fill(step.tag, evaluation, whole=True), TAG_BYTES)
    if tag:
        tags.add(customer, tag, step.lasts, context)
    return f"tag {tag or 'none: what it names is not known'}"


def _untag(customer: Customer, run: Run, step: UntagStep, context: Context) -> str:
    evaluation = context.evaluation(customer, run)
    pattern = cut(conditions.fill(step.untag, evaluation, whole=True), TAG_BYTES)
    removed = tags.remove(customer, pattern, context) if pattern else []
    return f"untag {', '.join(removed)}" if removed else ""


def _list(customer: Customer, run: Run, step: ListStep, context: Context) -> str:
    change = consent.put_on if step.action == "subscribe" else consent.take_off
    context.caused += change(customer, step.list_, context.now)
    return f"{step.action} {step.list_}"


def _set(customer: Customer, run: Run, step: SetStep, context: Context) -> str:
    evaluation = context.evaluation(customer, run)
    for name, value in step.set.items():
        filled = conditions.fill(value, evaluation) if isinstance(value, str) else value
        profile.set_field(customer, name, filled, context)
    return f"set {', '.join(step.set)}"


def _increase(customer: Customer, run: Run, step: IncreaseStep, context: Context) -> str:
    for name, added in step.increase.items():
        field = name.removeprefix("fields.")
        before = to_number(customer.fields.get(field)) or 0
        custom_fields.put(customer, field, before + added, statements.of_step(context), context)
    return f"increase {', '.join(f'{name} {by:+g}' for name, by in step.increase.items())}"


def _score(customer: Customer, run: Run, step: ScoreStep, context: Context) -> str:
    cause = send_commands.command_id(customer, run, step)
    scores.give(customer, step.score, step.add, cause, context)
    return f"score {step.score} {step.add:+g}"


def _points(customer: Customer, run: Run, step: PointsStep, context: Context) -> str:
    loyalty.add(customer, step.points, context.now, context)
    return f"points {step.points:+d}"


def _notify(customer: Customer, run: Run, step: NotifyStep, context: Context) -> str:
    return f"notify {notifications.notify(customer, run, step, context)}"


_VERBS: Mapping[type[StepCommon], Verb] = {
    SendStep: Verb(_confirm),
    BranchStep: Verb(_branch),
    SplitStep: Verb(_split),
    TagStep: Verb(_then_on(_tag), frozenset({"tags"})),
    UntagStep: Verb(_then_on(_untag), frozenset({"tags"})),
    ListStep: Verb(_then_on(_list), frozenset({"lists", "consents"})),
    SetStep: Verb(_then_on(_set), frozenset({"profile", "fields"})),
    IncreaseStep: Verb(_then_on(_increase), frozenset({"fields"})),
    ScoreStep: Verb(_then_on(_score), frozenset({"scores"})),
    CouponStep: Verb(_issue, frozenset({"coupons"})),
    PointsStep: Verb(_then_on(_points), frozenset({"points", "tier"})),
    NotifyStep: Verb(_then_on(_notify)),
    CallStep: Verb(_call),
    GoalStep: Verb(_reach),
    ExitStep: Verb(_leave),
    WaitStep: Verb(_only_wait),
}


HANDLERS: Mapping[str, Handler] = {
    "coupon.issued": code_issued,
    "confirmation.answered": confirmation_answered,
}
