"""Steps: what each verb does when its time has come."""

from __future__ import annotations

from collections.abc import Mapping

from agents.commerce import coupons, loyalty
from agents.context import Context
from agents.customer import consent, derived_state, profile, tags
from agents.rules import conditions, scores
from agents.rules.fields import Part
from agents.sending import arbitration, send_commands
from agents.workflows import enrollment, notifications, variants
from agents.workflows.audit import decide
from agents.workflows.definitions import WorkflowVersion
from agents.workflows.exits import ASKING, CALLING, end
from agents.workflows.program import Instruction
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.person import TAG_BYTES
from schemas.customer.runs import Run
from schemas.definitions.steps import (
    BranchStep,
    CallStep,
    CouponStep,
    ExitStep,
    GoalStep,
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

STAY = -1
"""The run goes nowhere: it has ended, or waits here."""
CALL_LASTS = 365 * 86_400_000
"""How long a run waits for the end of one that it has called: no conversation takes a year."""
_Changes = TagStep | UntagStep | ListStep | SetStep | ScoreStep | PointsStep | NotifyStep
_PARTS: Mapping[type, frozenset[Part]] = {
    TagStep: frozenset({"tags"}),
    UntagStep: frozenset({"tags"}),
    ListStep: frozenset({"lists", "consents"}),
    SetStep: frozenset({"profile", "fields"}),
    ScoreStep: frozenset({"scores"}),
    PointsStep: frozenset({"points", "tier"}),
    CouponStep: frozenset({"coupons"}),
}
"""What a step changes of what is known of the customer."""
_Withheld = SendStep | CouponStep | PointsStep | NotifyStep
"""What the control group of an experiment does not get."""


def act(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    instruction: Instruction,
    context: Context,
) -> int:
    """Do a step; return the place at which the run goes on, or STAY."""
    step = instruction.step
    withheld = isinstance(step, _Withheld) and not _is_confirmation(step)
    if run.holdout and withheld:
        decide(customer, run, "skipped", "holdout", context, step=step)
        return instruction.after
    place = instruction.after
    match step:
        case SendStep():
            _confirm(customer, run, published, step, context)
        case BranchStep():
            place = _branch(customer, run, instruction, context)
        case SplitStep():
            place = _split(customer, run, step, instruction, context)
        case CallStep():
            place = _call(customer, run, step, instruction, context)
        case GoalStep():
            end(customer, run, "converted", "goal", context, detail=step.goal)
            place = STAY
        case ExitStep():
            end(customer, run, "exited", "exit_step", context, detail=step.exit)
            place = STAY
        case CouponStep():
            place = _issue(customer, run, step, instruction, context)
        case WaitStep():
            pass
        case _:
            detail = _change(customer, run, step, context)
            if detail:
                decide(customer, run, "acted", "step", context, step=step, detail=detail)
    if type(step) in _PARTS:
        derived_state.changed(customer, _PARTS[type(step)], context)
    return place


def _is_confirmation(step: object) -> bool:
    return isinstance(step, SendStep) and step.mail_class == "transactional"


def _confirm(
    customer: Customer, run: Run, published: WorkflowVersion, step: SendStep, context: Context
) -> None:
    """Send a transactional mail. Marketing never comes here: see `holding`."""
    refused = arbitration.refusal(customer)
    if refused is not None:
        decide(customer, run, "skipped", refused, context, step=step)
        return
    sent = send_commands.send(customer, run, published, step, context)
    decide(customer, run, "sent", "due", context, step=step, command_id=sent.id)


def _branch(customer: Customer, run: Run, instruction: Instruction, context: Context) -> int:
    """Go the first way that is open, by its condition or by the last result before it."""
    subject = context.subject(customer, run)
    last = next(reversed(run.results.values()), "")
    *ways, otherwise = instruction.ways
    for way in ways:
        if way.check(subject) if way.check is not None else way.result == last:
            decide(customer, run, "branched", "condition_holds", context,
                   step=instruction.step, detail=way.name)  # fmt: skip
            return way.target
    decide(customer, run, "branched", "otherwise", context, step=instruction.step)
    return otherwise.target


def _split(
    customer: Customer, run: Run, step: SplitStep, instruction: Instruction, context: Context
) -> int:
    variant = variants.assign(customer, step)
    run.results[step.id] = variant.name
    run.holdout = run.holdout or variant.holdout
    decide(customer, run, "assigned", "hash", context, step=step, detail=variant.name)
    return next(way.target for way in instruction.ways if way.name == variant.name)


def _call(
    customer: Customer, run: Run, step: CallStep, instruction: Instruction, context: Context
) -> int:
    """Begin another workflow for the same subject; wait for its end if the step says so."""
    if run.held_for == CALLING:  # it has been called, and is over or takes too long
        going_on = any(other.caller == run.id for other in customer.runs)
        run.results[step.id] = "timeout" if going_on else "ended"
        return instruction.after
    called = enrollment.call(customer, run, step, context)
    if called is None or not step.wait_for_end:
        run.results[step.id] = "none" if called is None else "begun"
        return instruction.after
    run.due, run.held, run.held_for = context.now + CALL_LASTS, context.now, CALLING
    return STAY


def _issue(
    customer: Customer, run: Run, step: CouponStep, instruction: Instruction, context: Context
) -> int:
    """Give a code; one of a pool comes with the answer of the pool's actor."""
    if run.held_for == ASKING:  # it has answered, or takes too long
        if run.results.get(step.id) == coupons.ASKED:
            run.results[step.id] = "none"
    else:
        code = coupons.issue(customer, run, step, context)
        if code == coupons.ASKED:
            run.results[step.id] = coupons.ASKED
            run.due, run.held = context.now + coupons.ANSWER_LASTS, context.now
            run.held_for = ASKING
            return STAY
        run.results[step.id] = "none" if code is None else "issued"
        run.coupon = code or run.coupon
    if run.results[step.id] == "none":
        decide(customer, run, "skipped", "no_coupon", context, step=step, detail=step.coupon)
    else:
        detail = f"coupon {step.coupon}"
        decide(customer, run, "acted", "step", context, step=step, detail=detail)
    return instruction.after


def _change(customer: Customer, run: Run, step: _Changes, context: Context) -> str:
    """Change the customer, or tell the shop; return what was done in a few words, none if nothing
    was."""
    subject = context.subject(customer, run)
    match step:
        case TagStep():
            tag = cut(conditions.fill(step.tag, subject, whole=True), TAG_BYTES)
            if tag:
                tags.add(customer, tag, step.lasts, context)
            done = f"tag {tag or 'none: what it names is not known'}"
        case UntagStep():
            pattern = cut(conditions.fill(step.untag, subject, whole=True), TAG_BYTES)
            removed = tags.remove(customer, pattern, context) if pattern else []
            done = f"untag {', '.join(removed)}" if removed else ""
        case ListStep():
            change = consent.put_on if step.action == "subscribe" else consent.take_off
            context.caused += change(customer, step.list_, context.now)
            done = f"{step.action} {step.list_}"
        case SetStep():
            for name, value in step.set.items():
                filled = conditions.fill(value, subject) if isinstance(value, str) else value
                profile.set_field(customer, name, filled, context)
            done = f"set {', '.join(step.set)}"
        case ScoreStep():
            cause = send_commands.command_id(customer, run, step)
            scores.give(customer, step.score, step.add, cause, context)
            done = f"score {step.score} {step.add:+g}"
        case PointsStep():
            loyalty.add(customer, step.points, context.now, context)
            done = f"points {step.points:+d}"
        case NotifyStep():
            done = f"notify {notifications.notify(customer, run, step, context)}"
    return done
