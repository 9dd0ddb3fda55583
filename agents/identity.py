"""Visitors who become customers.

A visitor is an actor under an anonymous id. Whoever learns first who it is, the visitor's actor or
the customer's, makes sure that the visitor's actor knows: it then sends what it knows to the
customer's actor, once, and forwards everything from then on. All of it by events in the one log,
with ids derived from what caused them, so a crash in between repeats and changes nothing.
"""

from __future__ import annotations

import msgspec

from agents import cart, consent, orders, profile, runs, score
from agents.context import Context, Occurred, Refused
from agents.effects import tell
from schemas.customer import LINKED_VISITORS, SENT_HISTORY, Customer
from schemas.events import CustomerIdentified, Event, VisitorLinked, VisitorMerged

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Customer)

SOURCE = "/ritorno/customers"


def forward(customer: Customer, event: Event, context: Context) -> None:
    """Pass an event on to the customer that this visitor turned out to be, with the same id."""
    moved = event._replace(
        customer=customer.became,
        anonymous_id=None,
        time=context.when(event.time),  # its time must not change because it took a detour
    )
    context.effects.append(tell(moved))


def identified(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Link a visitor and a customer; this actor may be either."""
    data: CustomerIdentified = event.data
    visitor_id = data.anonymous_id or event.anonymous_id
    customer_id = data.customer_id or (customer.key if visitor_id != customer.key else None)
    if customer_id is None or (visitor_id is None and customer_id == customer.key):
        profile.take_traits(customer, data)  # nobody else is named: it is a profile update
        return []
    profile.take_traits(customer, data)
    if customer_id == customer.key and visitor_id is not None:
        link(customer, visitor_id, event, context)
        return []
    return _become(customer, customer_id, event, context)


def link(customer: Customer, visitor_id: str, event: Event, context: Context) -> None:
    """Tell the visitor's actor who it is, the first time that this customer is seen with it."""
    if visitor_id in customer.visitors or visitor_id == customer.key:
        return
    customer.visitors.append(visitor_id)
    del customer.visitors[:-LINKED_VISITORS]
    context.effects.append(
        tell(
            Event(
                id=f"{event.id}:link",
                type="visitor.linked",
                source=SOURCE,
                time=context.when(event.time),
                customer=visitor_id,
                anonymous_id=None,
                backfill=event.backfill,
                data=VisitorLinked(customer_id=customer.key),
            )
        )
    )


def linked(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """This visitor is told who it is."""
    data: VisitorLinked = event.data
    return _become(customer, data.customer_id, event, context)


def merged(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Take over what a visitor's actor knew."""
    data: VisitorMerged = event.data
    try:
        visitor = _DECODER.decode(data.state)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Refused("invalid_event", f"state: {error}"[:200]) from None
    if data.anonymous_id not in customer.visitors:
        customer.visitors.append(data.anonymous_id)
        del customer.visitors[:-LINKED_VISITORS]
    profile.adopt(customer.profile, visitor.profile)
    orders.adopt(customer, visitor)
    if context.live.scoring is not None:
        score.adopt(customer.engagement, visitor.engagement, context.live.scoring.half_life)
    customer.views += visitor.views
    customer.sent = sorted(customer.sent + visitor.sent, key=lambda mail: mail.time)[-SENT_HISTORY:]
    customer.pending += visitor.pending
    _adopt_runs(customer, visitor)
    return consent.adopt(customer, visitor) + cart.adopt(customer.cart, visitor.cart)


def _become(customer: Customer, customer_id: str, event: Event, context: Context) -> list[Occurred]:
    if customer_id == customer.key:
        return []
    if not customer.became:
        _hand_over(customer, customer_id, event, context)
    customer.became = customer_id  # a shared device may change hands; what comes then goes there
    return []


def _hand_over(customer: Customer, customer_id: str, event: Event, context: Context) -> None:
    """Send all that is known to the customer's actor; only the way there stays here."""
    knowledge = Customer(
        key=customer.key,
        profile=customer.profile,
        consents=customer.consents,
        lists=customer.lists,
        cart=customer.cart,
        orders=customer.orders,
        order_ids=customer.order_ids,
        statistics=customer.statistics,
        engagement=customer.engagement,
        runs=[run for run in customer.runs if run.cart < 0],
        entered=customer.entered,
        sent=customer.sent,
        pending=customer.pending,
        views=customer.views,
    )
    context.effects.append(
        tell(
            Event(
                id=f"{event.id}:merge:{customer.key}",
                type="visitor.merged",
                source=SOURCE,
                time=context.when(event.time),
                customer=customer_id,
                anonymous_id=None,
                backfill=event.backfill,
                data=VisitorMerged(
                    anonymous_id=customer.key, state=_ENCODER.encode(knowledge).decode()
                ),
            )
        )
    )
    runs.leave(customer, context)
    blank = Customer(key=customer.key, applied=customer.applied, seen=customer.seen)
    for name in Customer.__struct_fields__:
        setattr(customer, name, getattr(blank, name))


def _adopt_runs(customer: Customer, visitor: Customer) -> None:
    """Go on with the visitor's runs, except in a conversation that the customer is in already."""
    going_on = {run.workflow for run in customer.runs if not run.order_id}
    for run in visitor.runs:
        if run.order_id or run.workflow not in going_on:
            customer.runs.append(run)
    for name, entered in visitor.entered.items():
        if not entered.subject.isdigit():  # carts are numbered per actor
            customer.entered.setdefault(name, entered)
