"""Execution of a run: does every step that is due, then waits for the next."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from agents.commerce import worth
from agents.context import Context
from agents.definitions.program import Instruction, Program
from agents.definitions.published import WorkflowVersion
from agents.definitions.template_variables import lines_shown
from agents.products import recommendations
from agents.rules import local_time
from agents.workflows import lifecycle, steps, waits
from agents.workflows.audit import decide
from agents.workflows.exits import definition, end
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions.steps import CouponStep, SendStep, Step
from schemas.definitions.triggers import OnEvent, OnProduct, ProductChange

_ABOUT_CARTS = frozenset(
    {"cart.changed", "cart.product_added", "checkout.started", "checkout.step_completed"}
)
"""What begins runs that are about the cart, whatever their workflow is entered once per."""
_ABOUT_PRICE_OR_STOCK: AbstractSet[ProductChange] = frozenset(
    {"price_drop", "back_in_stock", "low_stock"}
)

DONE = "done"
"""Result of a step that a run has passed in a version in which it stood earlier."""


def go_on(customer: Customer, context: Context) -> None:
    """Let those runs go on that were begun or released meanwhile."""
    while context.moving:
        run = context.moving.pop(0)
        if any(other is run for other in customer.runs):
            published = definition(customer, run, context)
            if published is not None:
                advance(customer, run, published, context.now, context)


def advance(
    customer: Customer, run: Run, published: WorkflowVersion, until: int, context: Context
) -> None:
    """Do every step that is due by `until`, then wait for the next; end the run after the last.

    A timer that fires late does its own step only: the next one may come after another customer's.
    A marketing mail that is due is left to `send_queue`, which looks at all of the customer's.
    """
    instructions = published.program.instructions
    while run.step < len(instructions):
        instruction = instructions[run.step]
        if run.results and run.results.get(instruction.step.id) == DONE:
            position = instruction.after
        elif not run.anchors.keys().isdisjoint(instruction.stops):
            decide(customer, run, "skipped", "stopped", context, step=instruction.step)
            position = instruction.after
        elif _is_due(customer, run, instruction, until, context):
            position = _fire(customer, run, published, instruction, context)
        else:
            position = steps.STAY
        if position == steps.STAY:
            return
        lifecycle.moved(run, position, context.now)
    end(customer, run, "completed", "last_step", context)


def passes(customer: Customer, run: Run, instruction: Instruction, context: Context) -> bool | None:
    """Return whether a step that is due may be done; None when it was put off, False when not."""
    step = instruction.step
    if instruction.happening and step.id not in run.results:
        lifecycle.resulted(run, step.id, "timeout")
    late = context.now - run.due > step.late.after
    if late and step.late.then == "skip":
        decide(customer, run, "skipped", "late", context, step=step)
        return False
    if late and step.late.window is not None:
        opening = local_time.next_opening(context.now, step.late.window, customer.profile.zone)
        if opening > context.now:
            lifecycle.postponed(run, opening, context.now)
            decide(customer, run, "postponed", lifecycle.OUTSIDE_WINDOW, context, step=step)
            return None
    if instruction.check is not None:
        context.missing_rates.clear()
        evaluation = context.evaluation(customer, run)
        if not instruction.check(evaluation):
            decide(customer, run, "skipped", "condition", context,
                   step=step, detail=context.without_rates())  # fmt: skip
            return False
    if _lacks_products(customer, run, step, context):
        decide(customer, run, "skipped", "no_products", context, step=step)
        return False
    nothing = _urges_about_nothing(customer, run, step, context)
    if nothing is not None:
        decide(customer, run, "skipped", nothing, context, step=step)
        return False
    return True


def _lacks_products(customer: Customer, run: Run, step: Step, context: Context) -> bool:
    """Whether it is a mail that needs more products than there are to show, or advertises by an
    order of which nothing has come or is left."""
    if not isinstance(step, SendStep):
        return False
    if run.order_id and step.mail_class == "marketing":
        order = customer.order(run.order_id, run.shop or None)
        if order is not None and order.lines and not lines_shown(order, step.mail_class):
            return True
    wanted = step.products
    if wanted is None or not wanted.at_least:
        return False
    return recommendations.choose(wanted, customer, run, context.catalogue) is None


def _urges_about_nothing(
    customer: Customer, run: Run, step: Step, context: Context
) -> worth.Nothing | None:
    """Return why a mail or a code about a cart or a product is left out, None when it isn't."""
    urges = isinstance(step, CouponStep) or (
        isinstance(step, SendStep) and step.mail_class == "marketing"
    )
    if not urges:
        return None
    published = context.live.definitions.find(run.workflow, run.version)
    trigger = None if published is None else published.workflow.trigger
    begun_by = trigger.on if isinstance(trigger, OnEvent) else ""
    if begun_by in _ABOUT_CARTS or (run.cart >= 0 and begun_by != "cart.emptied"):
        return worth.of_cart(customer.cart, context.catalogue, run.begun)
    if isinstance(trigger, OnProduct) and trigger.product in _ABOUT_PRICE_OR_STOCK:
        return worth.of_product(context.catalogue.get(run.product))
    return None


def recount(customer: Customer, run: Run, program: Program, context: Context) -> None:
    """Count anew when the run's step is due, without doing anything."""
    if run.step >= len(program.instructions):
        lifecycle.rescheduled(run, context.now)
        return
    instruction = program.instructions[run.step]
    due = waits.due(customer, run, instruction, context.now)
    if not run.held_for or due > context.now:
        lifecycle.rescheduled(run, due)


def _is_due(
    customer: Customer, run: Run, instruction: Instruction, until: int, context: Context
) -> bool:
    due = waits.due(customer, run, instruction, context.now)
    if run.held_for and due <= context.now:
        return run.due <= until  # it was put off
    lifecycle.scheduled(run, due)
    if instruction.condition is not None and due > until:
        _look(customer, run, instruction, context)
    return run.due <= until or not instruction.step.wait


def _look(customer: Customer, run: Run, instruction: Instruction, context: Context) -> None:
    """See whether what the run waits for is true."""
    evaluation = context.evaluation(customer, run)
    if instruction.condition is not None and instruction.condition(evaluation):
        lifecycle.arrived(run, instruction.step.id, "condition", context.now)


def _fire(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    instruction: Instruction,
    context: Context,
) -> int:
    """Do a step that is due; return where the run goes on, STAY when it doesn't."""
    if instruction.marketing and not run.holdout:
        return steps.STAY  # `send_queue` goes on from here
    if run.held_for not in lifecycle.AWAITED:
        passed = passes(customer, run, instruction, context)
        if not passed:
            return steps.STAY if passed is None else instruction.after
    return steps.act(customer, run, published, instruction, context)
