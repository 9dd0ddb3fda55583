"""The customer actor: the only code that changes a customer.

`receive` takes one event, `wake` one due timer. Both change the customer and leave what is to be
sent in `context.effects`. They read no clock and use no chance, so the same log gives the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agents.commerce import cart, coupons, orders
from agents.context import Context, DomainEvent, Handler
from agents.customer import (
    activity,
    consent,
    custom_events,
    custom_fields,
    deduplication,
    deliverability,
    derived_state,
    domain_events,
    hints,
    identity,
    interests,
    mail_outcomes,
    profile,
    scores,
    speaker,
    stated_addresses,
    statements,
    tracking,
    unlinking,
)
from agents.effects import signal
from agents.links import (
    address_statements,
    link_actor,
    orders_elsewhere,
    registration,
    statements_elsewhere,
)
from agents.products.catalogue import concerns
from agents.refusals import Ignored, Repeated
from agents.rules.fields import Part
from agents.sending import arbitration
from agents.workflows import engine, send_queue, steps
from schemas.customer import Customer
from schemas.definitions.triggers import OnProduct
from schemas.events import EVENT_TYPES, TOLD_TO_LINKS, Event
from schemas.pending_work import CatalogueChange
from schemas.retry import Retry
from schemas.signals import CustomerErased, DataRequested

REEVALUATED = "customer.reviewed"


def receive(customer: Customer, event: Event, context: Context) -> bool:
    """Apply one event. Returns False when the customer has seen it before.

    What our own actors have told was heard by its origin (`agents/partition/origins.py`). Raises
    Refused, having changed nothing, when the event makes no sense or could not be remembered.
    """
    wanted = deduplication.digest(event, context)
    is_known = deduplication.is_known(customer, event, wanted, context)
    if is_known or speaker.is_passed_over(customer, event):
        return False
    speaker.check(customer, event)
    if customer.became and event.type not in _STAY_WITH_VISITOR:
        identity.forward(customer, event, context)
    elif event.type in ERASES:
        _erase(customer, event, context)
        return True  # neither a time nor the hash of an id is left
    elif event.type == REEVALUATED:
        _reevaluate(customer, event, context)
    elif event.type in TOLD_TO_LINKS:
        link_actor.receive(customer, event, context)
        return True
    elif _is_answer(event) and _is_nobody(customer):
        mail_outcomes.of_nobody(customer, event, context)
        return True  # an answer to somebody erased is no reason to know them again
    elif event.type in orders_elsewhere.HANDLERS:
        orders_elsewhere.receive(customer, event, context)
    elif event.type in statements_elsewhere.HANDLERS:
        statements_elsewhere.receive(customer, event, context)
    else:
        try:
            _apply(customer, event, context)
        except (Repeated, Ignored):
            return False
    if not (customer.is_customer or customer.became) and speaker.of_customer(event):
        customer.is_customer = True
    deduplication.remember(customer, event, wanted, context)
    return True


def wake(customer: Customer, context: Context) -> None:
    """Fire the timers that are due earliest: what follows from time, then those of runs."""
    due = customer.due()
    context.begin_change()
    if customer.watches:
        derived_state.wake(customer, due, context)
    engine.wake(customer, due, context)


def follow(customer: Customer, context: Context) -> bool:
    """Move the runs that go by the live version; return whether there was any."""
    context.begin_change()
    return engine.follow(customer, context)


def products_changed(
    customer: Customer, changes: Iterable[CatalogueChange], time: int, context: Context
) -> bool:
    """Tell the customer of changes that the feed brought at `time` (ms); return whether any is the
    customer's business."""
    occurred = []
    for change in changes:
        triggers = context.live.by_trigger.get(f"product:{change.kind}", ())
        if any(
            isinstance(trigger := published.workflow.trigger, OnProduct)
            and concerns(customer, change.about, change.category, trigger.of)
            for published in triggers
        ):
            data = {
                "about": change.about,
                "about_name": _name_of(customer, change.about, context),
                "category": change.category,
                "name": change.name,
            }
            cause = f"{change.kind}/{change.product_id}/{time}"
            occurred.append(
                DomainEvent(f"product:{change.kind}", context.now, product_ids=(change.product_id,),
                            data=data, id=cause)
            )  # fmt: skip
    if occurred:
        context.begin_change()
        engine.react(customer, occurred, context)
    return bool(occurred)


def _name_of(customer: Customer, product_id: str, context: Context) -> str:
    """What the feed calls a product; what the customer's orders do, when it has left the feed."""
    product = context.catalogue.get(product_id)
    if product is not None:
        return product.name
    lines = (line for order in reversed(customer.orders) for line in order.lines)
    return next((line.name for line in lines if line.product_id == product_id), "")


def give_up(customer: Customer, context: Context) -> Retry:
    """End the runs whose timers are due earliest: their step can't be done, by a defect of ours.

    Returns what `take_up` needs to have them tried again.
    """
    due = customer.due()
    context.begin_change()
    watches = derived_state.give_up(customer, due)
    runs = engine.give_up(customer, due, context)
    return Retry(customer=customer.key, runs=runs, watches=watches)


def take_up(customer: Customer, retry: Retry, context: Context) -> bool:
    """Let go on what was given up, from the next record on; return whether there is anything.

    Nothing is taken up again of somebody who was erased or has become another.
    """
    if customer.became or _is_nobody(customer):
        return False
    context.begin_change()
    watches = {key: due for key, due in retry.watches.items() if key not in customer.watches}
    customer.watches = customer.watches | watches
    runs = engine.take_up(customer, retry.runs)
    return bool(watches) or runs


def _apply(customer: Customer, event: Event, context: Context) -> None:
    plan, time = context.live.plans[event.type], context.when(event.time)
    number = customer.cart.number
    waits = customer.runs and arbitration.is_waiting(customer)
    held = arbitration.situation(customer) if waits else None
    context.begin_change(event.id, begins=not event.backfill, traceparent=event.traceparent)
    held_address = address_statements.held(customer)
    former = held_address.email
    occurred = _HANDLERS.get(event.type, custom_events.occurred)(customer, event, context)
    acquired = event.type not in _OF_OPERATORS and _see(customer, time)
    counts = plan.counts or tracking.counts(customer, event)
    if plan.active and counts:
        activity.note(customer, time)
    told = event.hints if not customer.became else None
    if plan.tells_source or told is not None:
        acquired |= activity.note_source(customer, event)
    hinted = told is not None and hints.take(customer, event, told, context)
    if held is not None and held != arbitration.situation(customer):
        arbitration.look_again(customer, context.now)
    scored = counts and plan.scored != ()
    if scored:
        scores.score(customer, event, plan.scored, time, context)
    derived_state.look(customer, plan.looks[scored][acquired], context)
    if hinted:
        derived_state.look(customer, context.live.derived_state.reading(_HINTED), context)
    if event.anonymous_id is not None and not customer.became and not speaker.by_visitor(event):
        identity.link(customer, event.anonymous_id, event, context)
    if event.type in registration.NAMING or (hinted and customer.profile.email != former):
        registration.follow(customer, event, former, occurred, context)
    if former and customer.profile.email != former:
        address_statements.leave(customer, held_address, context)
    if customer.links.address and event.type in _CONCERN_ADDRESSES:
        address_statements.follow(customer, context)
    runs = customer.runs or customer.finished
    listens_to = context.live.definitions.listens_to
    heard = runs and (event.type in listens_to or (plan.active and "customer.active" in listens_to))
    if occurred or plan.begins or heard:
        occurred = domain_events.of(customer, event, occurred, number, context)
        engine.react(customer, occurred, context)
    elif context.caused or context.moving or (customer.runs and _may_move(customer, context)):
        engine.react(customer, (), context)


def _may_move(customer: Customer, context: Context) -> bool:
    """Whether runs may go on although they are told of nothing."""
    return context.live.definitions.checks_conditions or customer.due() <= context.now


def _reevaluate(customer: Customer, event: Event, context: Context) -> None:
    """Nothing has happened but that other definitions are live."""
    context.begin_change(event.id)
    derived_state.reevaluate(customer, context)
    engine.react(customer, (), context)


def _see(customer: Customer, time: int) -> bool:
    """Note when the customer was there; return whether it was never seen before that."""
    customer.last_seen = max(customer.last_seen, time)
    if customer.first_seen and customer.first_seen <= time:
        return False
    customer.first_seen = time
    return True


# The handlers. Each changes the customer and returns what its runs may be waiting for.


def _page_viewed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    if event.data.screen and "screen" in context.live.ignored_calls:
        raise Ignored
    return _viewed(customer, event, context)


def _grouped(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    if "group" in context.live.ignored_calls:
        raise Ignored
    said = statements.of(event, context)
    custom_fields.apply_traits(customer, event.data, said, context)
    return []


def _viewed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    customer.views += 1
    return []


def _noted(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Counted and scored; whether a workflow waits for it is for its file to say."""
    return []


def _asked_for_data(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The shop has a month to answer; its other systems hold data too."""
    asked = DataRequested(id=f"{event.id}:asked", time=context.now, customer=customer.key)
    context.effects.append(signal(asked))
    return []


def _is_nobody(customer: Customer) -> bool:
    """Whether nothing is known: never heard of, or erased."""
    return customer == Customer(key=customer.key, applied=customer.applied)


def _is_answer(event: Event) -> bool:
    """Whether it is an answer to something that the actor has asked for itself."""
    on_page = event.type in _PAGE_ANSWERS and event.source == tracking.SOURCE
    return on_page or event.type in _ANSWERS


def _erase(customer: Customer, event: Event, context: Context) -> None:
    """Forget everything. What is left is the offset, so that the past can't come back."""
    if event.type == "visitor.forgotten" and not identity.is_forgotten_with(
        customer, event.data.customer_id
    ):
        return
    engine.end_all(customer, "customer.erased", context)
    identity.forget_visitors(customer, event, context)
    registration.leave_all(customer, event, context)
    erased = CustomerErased(id=f"{event.id}:erased", time=context.now, customer=customer.key)
    context.effects.append(signal(erased))
    customer.become(Customer(key=customer.key, applied=customer.applied))


def forget(customer: Customer, context: Context) -> None:
    """Forget everything that waits for somebody's erasure, of which others are told at its own
    event."""
    engine.end_all(customer, "customer.erased", context)
    customer.become(Customer(key=customer.key, applied=customer.applied))


_HINTED: frozenset[Part] = frozenset({"profile"})
"""What hints may change, beside where the customer came from."""

_OF_OPERATORS = frozenset(each.name for each in EVENT_TYPES.values() if each.of_operators)

ERASES = frozenset(each.name for each in EVENT_TYPES.values() if each.erases)

_CONCERN_ADDRESSES = frozenset(
    each.name
    for each in EVENT_TYPES.values()
    if {"consents", "mails", "profile"}.intersection(each.changes)
)
"""The types of events that may change what is said of the customer's address."""

_ANSWERS = frozenset(each.name for each in EVENT_TYPES.values() if each.is_answer)

_PAGE_ANSWERS = frozenset(each.name for each in EVENT_TYPES.values() if each.is_page_answer)

_STAY_WITH_VISITOR = frozenset(
    each.name for each in EVENT_TYPES.values() if each.stays_with_visitor
)

_HANDLED_HERE: Mapping[str, Handler] = {
    "product_list.viewed": _viewed,
    "products.searched": _viewed,
    "page.viewed": _page_viewed,
    "customer.grouped": _grouped,
    "coupon.applied": _noted,
    "customer.data_requested": _asked_for_data,
    "support.requested": _noted,
    "survey.answered": _noted,
    "call.logged": _noted,
    "deal.stage_changed": _noted,
    "mail.deferred": _noted,
    "mail.held": _noted,
}
_HANDLERS: Mapping[str, Handler] = {
    **_HANDLED_HERE,
    **interests.HANDLERS,
    **cart.HANDLERS,
    **orders.HANDLERS,
    **stated_addresses.HANDLERS,
    **profile.HANDLERS,
    **identity.HANDLERS,
    **consent.HANDLERS,
    **unlinking.HANDLERS,
    **mail_outcomes.HANDLERS,
    **tracking.HANDLERS,
    **deliverability.HANDLERS,
    **coupons.HANDLERS,
    **steps.HANDLERS,
    **send_queue.HANDLERS,
}
