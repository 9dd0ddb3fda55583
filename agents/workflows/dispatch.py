"""Dispatch: what a domain event, or any change of the customer, means for the runs there are."""

from __future__ import annotations

from agents.context import Context, DomainEvent
from agents.definitions.program import Instruction
from agents.definitions.published import WorkflowVersion
from agents.rules.evaluation import EvaluationContext
from agents.workflows import execution, exits, lifecycle, versioning, waits
from agents.workflows.audit import decide
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions.waits import WaitForEvent
from schemas.events.custom import is_custom
from schemas.stored import NEVER

CONDITIONS = ":conditions"
"""Key of their timer among the customer's watches; no workflow's id has a colon."""


def to_run(customer: Customer, run: Run, occurrence: DomainEvent, context: Context) -> None:
    """Let a run know: its goal is reached, it ends, it counts from here, or it goes on."""
    published = versioning.follow(customer, run, context)
    name = occurrence.name
    if published is None or name not in published.program.listens_to:
        return
    if not _concerns(customer, run, published, occurrence):
        return
    bought = run.cart >= 0 and run.cart != customer.cart.number
    if occurrence.time < run.begun and not (bought and name == "order.completed"):
        return  # older than the run; but an order that took the cart ends it whatever clocks say
    if occurrence.elsewhere and name in (*published.program.exits, _goal_of(published)):
        exits.end(customer, run, "exited", "order.placed_elsewhere", context)
        exits.take_back_marketing(customer, run, "order.placed_elsewhere", context)
    elif _reaches_goal(customer, run, published, occurrence, context):
        exits.end(customer, run, "converted", "goal", context, detail=name)
        exits.take_back_marketing(customer, run, "goal", context)
    elif name in published.program.exits:
        if occurrence.time > run.anchors.get(name, -1):
            reason = "custom" if is_custom(name) else name
            detail = name if is_custom(name) else ""
            exits.end(customer, run, "exited", reason, context, detail=detail)
            exits.take_back_marketing(customer, run, reason, context)
    else:
        noted = _note(run, published, occurrence)
        if _is_awaited(customer, run, published, occurrence, context) or noted:
            execution.advance(customer, run, published, context.now, context)


def count_goals(customer: Customer, occurrence: DomainEvent, context: Context) -> None:
    """A run that is over reaches its goal within the window all the same."""
    for run in customer.finished:
        published = context.live.definitions.find(run.workflow, run.version)
        if (
            published is not None
            and occurrence.time >= run.begun
            and _concerns(customer, run, published, occurrence)
            and _reaches_goal(customer, run, published, occurrence, context)
        ):
            decide(customer, run, "converted", "goal", context, detail=occurrence.name)
            lifecycle.converted(run)
    exits.forget_finished(customer, context)


def check_conditions(customer: Customer, context: Context) -> bool:
    """Look whether what has changed moves a run that was told of nothing; return whether one was.

    Its exit condition or what it waits for may be true now; its calendar may count anew.
    """
    moved, next_change = False, NEVER
    for run in list(customer.runs):
        published = context.live.definitions.find(run.workflow, run.version)
        if published is None or not published.program.checks_conditions:
            continue
        evaluation = context.evaluation(customer, run)
        check = published.program.exit
        if check is not None and check.changes:
            next_change = min(next_change, check.changes_at(evaluation))
        if check is not None and check(evaluation):
            exits.end(customer, run, "exited", "exit_condition", context)
            exits.take_back_marketing(customer, run, "exit_condition", context)
            moved = True
        elif run.step < len(published.program.instructions):
            instruction = published.program.instructions[run.step]
            if instruction.calendar and not run.held_for:
                lifecycle.rescheduled(run, waits.due(customer, run, instruction, context.now))
            if _has_come_true(run, instruction, evaluation):
                execution.advance(customer, run, published, context.now, context)
                moved = True
            elif instruction.condition is not None and instruction.condition.changes:
                next_change = min(next_change, instruction.condition.changes_at(evaluation))
    _await(customer, next_change)
    return moved


def await_nothing(customer: Customer) -> None:
    """Of somebody without runs no time makes a condition true that any waits for."""
    if CONDITIONS in customer.watches:
        del customer.watches[CONDITIONS]


def _await(customer: Customer, next_change: int) -> None:
    """Look again when time alone may have made a condition true."""
    if next_change != NEVER:
        customer.watches[CONDITIONS] = next_change
    else:
        await_nothing(customer)


def _has_come_true(run: Run, instruction: Instruction, evaluation: EvaluationContext) -> bool:
    if instruction.condition is None or instruction.step.id in run.results:
        return False
    return instruction.condition(evaluation)


def _note(run: Run, published: WorkflowVersion, occurrence: DomainEvent) -> bool:
    """Remember what waits count from and steps are left out for; return whether any was meant."""
    name, program = occurrence.name, published.program
    counts = name in program.anchors and not _is_about_another(run, occurrence)
    later = occurrence.time > run.anchors.get(name, -1)
    if name in program.stops and program.stops[name] not in run.anchors:
        lifecycle.anchored(run, program.stops[name], occurrence.time)
    if counts and later:
        lifecycle.anchored(run, name, occurrence.time)
    return name in program.stops or (counts and later)


def _is_awaited(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    occurrence: DomainEvent,
    context: Context,
) -> bool:
    """Whether this is the event that the run's step waits for; if so, note that it has come."""
    if run.step >= len(published.program.instructions):
        return False
    instruction = published.program.instructions[run.step]
    step = instruction.step
    wait = step.wait[0] if step.wait else None
    if not isinstance(wait, WaitForEvent) or wait.event != occurrence.name:
        return False
    evaluation = context.evaluation(customer, run, occurrence.data)
    if step.id in run.results or not (instruction.event is None or instruction.event(evaluation)):
        return False
    lifecycle.arrived(run, step.id, "event", context.now)
    return True


def _concerns(
    customer: Customer, run: Run, published: WorkflowVersion, occurrence: DomainEvent
) -> bool:
    """What names an order, a cart, a list or a product concerns only runs about the same one.

    Another purchase is the exception: it is no news of the run's own order but something that the
    customer does. What becomes of a mail concerns the workflow that has sent it.
    """
    once_per, name = published.workflow.entry.once_per, occurrence.name
    if run.order_id and once_per in ("order", "event") and name != "order.completed":
        if _is_about_another(run, occurrence):
            return False
        if name == "product.reviewed" and not occurrence.order_id:
            order = customer.order(run.order_id, run.shop or None)
            bought = () if order is None else (line.product_id for line in order.lines)
            return any(product_id in occurrence.product_ids for product_id in bought)
    if once_per == "product" and run.product and occurrence.product_ids:
        return run.product in occurrence.product_ids
    if run.list and occurrence.list and run.list != occurrence.list:
        return False
    if name.startswith("mail.") and occurrence.data.get("workflow", run.workflow) != run.workflow:
        return False
    about_cart = run.cart >= 0 and name.startswith(("cart.", "checkout."))
    return not about_cart or run.cart == occurrence.cart


def _is_about_another(run: Run, occurrence: DomainEvent) -> bool:
    """Whether it is about another order than the run's own: waits don't count from that. What began
    before shops were told apart is about the order of that number, whoever's it is."""
    if not (run.order_id and occurrence.order_id):
        return False
    if run.order_id != occurrence.order_id:
        return True
    return bool(run.shop and occurrence.shop and run.shop != occurrence.shop)


def _goal_of(published: WorkflowVersion) -> str:
    return "" if published.workflow.goal is None else published.workflow.goal.on


def _reaches_goal(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    occurrence: DomainEvent,
    context: Context,
) -> bool:
    goal, check = published.workflow.goal, published.program.goal
    if goal is None or goal.on != occurrence.name:
        return False
    if occurrence.time > run.begun + goal.within:
        return False
    return check is None or check(context.evaluation(customer, run, occurrence.data))
