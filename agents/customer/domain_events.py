"""Domain events: what an event means for workflow runs, beside what the actor concludes from it.

Every event that was applied is one, named like its type, so that any can begin, end or move a run.
Most concern nobody: they are made only when a live workflow or a run of the customer listens. An
opened or clicked mail is one only when a person did it.
"""

from __future__ import annotations

from agents.context import Context, DomainEvent
from agents.customer import tracking
from agents.rules.event_properties import Properties
from schemas.customer import Customer
from schemas.definitions.triggers import DERIVED
from schemas.events import EVENT_TYPES, Event
from schemas.events.custom import CustomProperties

_CONCLUDED = frozenset(each.name for each in EVENT_TYPES.values() if each.handler_tells)


def of(
    customer: Customer, event: Event, concluded: list[DomainEvent], cart: int, context: Context
) -> list[DomainEvent]:
    """Return what has occurred: the event itself, then what its handler has `concluded`.

    `cart`: the number of the cart that lay there before the event.
    """
    if event.type in _CONCLUDED:
        properties = Properties(event.data)
        concluded = [
            each._replace(data=properties) if each.name == event.type else each
            for each in concluded
        ]
    if concluded:
        concluded = [_with_properties(each, event) for each in concluded]
    listened = event.type not in _CONCLUDED and context.listens(customer, event.type)
    if listened and _is_told(customer, event):
        concluded = [_as_it_is(event, cart, context), *concluded]
    active = context.live.plans[event.type].active
    if active and context.listens(customer, "customer.active") and tracking.counts(customer, event):
        concluded = [*concluded, DomainEvent("customer.active", context.when(event.time))]
    return concluded


def _with_properties(occurred: DomainEvent, event: Event) -> DomainEvent:
    """What was concluded from an event has its properties, as far as it is about the same list."""
    if event.type not in DERIVED.get(occurred.name, ()):
        return occurred
    if occurred.list and occurred.list != event.data.list:
        return occurred
    return occurred._replace(data=Properties(event.data))


def _is_told(customer: Customer, event: Event) -> bool:
    if event.type == "consent.withdrawn":  # concluded for marketing, whatever event ended that
        return bool(event.data.purpose != "marketing")
    return tracking.counts(customer, event)


def _as_it_is(event: Event, cart: int, context: Context) -> DomainEvent:
    said = vars(event.data)  # a model asked for what it hasn't takes its time to say so
    if isinstance(event.data, CustomProperties):
        said = event.data.model_extra or {}
    product_id = said.get("product_id")
    products = said.get("products") or ()
    order_id = str(said.get("order_id") or "")
    about_cart = event.type.startswith(("cart.", "checkout."))
    return DomainEvent(
        event.type,
        context.when(event.time),
        order_id=order_id,
        cart=cart if about_cart else 0,
        list=said.get("list") or "",
        product_ids=(str(product_id),)
        if product_id
        else tuple(each.product_id for each in products),
        data=Properties(event.data),
        shop=context.live.definitions.deduplication_rules.sources.shop(event.source)
        if order_id
        else "",
    )
