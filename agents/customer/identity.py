"""Visitors who become customers.

A visitor is an actor under an anonymous id, in a namespace of its own (`schemas/reference.py`), and
only visitors become somebody. Whoever learns first who it is, the visitor's actor or the
customer's, makes sure that the visitor's actor knows: it then sends what it knows to the customer's
actor, once, and forwards everything from then on. All of it by events in the one log, with ids
derived from what caused them, so a crash in between repeats and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.commerce import cart, coupons, loyalty, order_merging
from agents.context import Context, DomainEvent, Handler
from agents.customer import (
    activity,
    consent,
    custom_events,
    custom_fields,
    handover_state,
    hints,
    interests,
    mailed,
    profile,
    scores,
    speaker,
    tags,
)
from agents.customer.unlinking import are_unlinked
from agents.digests import derived_id
from agents.effects import event_effect, tell
from agents.links import registration
from agents.refusals import EventRefused
from agents.sending import arbitration, send_commands
from agents.workflows import engine, merging
from schemas import stored
from schemas.customer import Customer
from schemas.customer.person import LINKED_VISITORS
from schemas.events import IDENTIFYING_TYPES, Event
from schemas.events.own import MergeGround, VisitorForgotten, VisitorLinked, VisitorMerged
from schemas.events.person import CustomerIdentified
from schemas.everybodys import is_everybodys
from schemas.reference import id_of, is_visitors, of_visitor
from schemas.wire import MAX_EVENT_BYTES, to_record

SOURCE = "/ritorno/customers"

_KEPT = frozenset({"key", "applied", "seen", "memory"})
"""What stays with a visitor's actor when it hands over: an event that comes again still comes
here."""
_UNTOLD = frozenset(
    {"applied", "heard", "seen", "memory",  # of the actor and not of the person
     "weight", "taken", "given", "is_customer",
     "became",  # it is the one who is told
     "last_seen",  # the merge itself is seen
     "segments", "watches", "reviewed", "dated", "refused"}  # found anew by whoever takes over
)  # fmt: skip
_TOLD = tuple(name for name in Customer.__struct_fields__ if name not in _UNTOLD)
"""What a visitor's actor tells of the visitor: all that is not said to stay behind, so that a field
that is new is told, too."""

_LONGER = 16
"""How much longer JSON may become as we write it: `1e15` is a number of eighteen digits here, and
`{"sku":1}` says a quantity, too."""


def forward(customer: Customer, event: Event, context: Context, receiver: str = "") -> None:
    """Pass an event on to the customer that this visitor turned out to be, with the same id, or to
    the `receiver` that it names.

    Raises EventRefused, having changed nothing, when it could not be read any more.
    """
    _see_that_it_fits(event, context)
    moved = event._replace(
        customer=receiver or customer.became,
        anonymous_id=None,
        named=False,  # that was the visitor
        forwarded=True,
        time=context.when(event.time),  # its time must not change because it took a detour
        signature=b"",  # it is signed as what it is now
    )
    context.effects.append(event_effect(moved))


def identified(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Link a visitor and a customer; this actor may be either."""
    data: CustomerIdentified = event.data
    visitor_id = data.anonymous_id or event.anonymous_id
    another = _named_another(customer, event)
    if another is None:
        if customer.became:
            _pass_on(customer, event, visitor_id, context)
            return []
        profile.apply_traits(customer, event, context)
        if visitor_id is not None:
            link(customer, visitor_id, event, context, again=True)
        return []
    _see_that_it_fits(event, context)
    if not is_visitors(customer.key):
        if another in customer.visitors:  # the wrong way round, and known already
            profile.apply_traits(customer, event, context)
            return []
        problem = f"{customer.key[:64]!r} is a customer already, and becomes nobody else"
        raise EventRefused("reserved", f"customer_id: {problem}")
    if _is_ruled_out(customer, another):
        _pass_on(customer, event, None, context, receiver=another)
        return []
    _become(customer, another, event, context, _ground(event))
    _pass_on(customer, event, None, context)
    return []


def becomes(customer: Customer, event: Event) -> str | None:
    """Return the customer that a visitor becomes by an event; None by nearly all."""
    if event.type == "visitor.linked":
        linked_: VisitorLinked = event.data
        return linked_.customer_id
    if event.type not in IDENTIFYING_TYPES or not is_visitors(customer.key):
        return None
    return _named_another(customer, event)


def link(
    customer: Customer, visitor_id: str, event: Event, context: Context, *, again: bool = False
) -> None:
    """Tell the visitor's actor who it is, the first time that this customer is seen with it.

    `again`: also later, since the device may have been somebody else's in between. A visitor is
    nobody whom another becomes, and an id that stands for nobody is no visitor's.
    """
    visitor_id = id_of(visitor_id)
    known = visitor_id in customer.visitors
    if is_visitors(customer.key) or (known and not again) or _is_ruled_out(customer, visitor_id):
        return
    _know(customer, visitor_id)
    data = VisitorLinked(customer_id=customer.key, ground=_ground(event))
    _send_event(of_visitor(visitor_id), "visitor.linked", data, event, context)


def linked(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """This visitor is told who it is."""
    data: VisitorLinked = event.data
    if not _is_ruled_out(customer, data.customer_id):
        _become(customer, data.customer_id, event, context, data.ground)
    return []


def merged(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take over what a visitor's actor knew."""
    data: VisitorMerged = event.data
    if data.format > stored.FORMAT:  # of a worker of the next release: what it knows would be lost
        raise stored.FutureFormat(data.format)
    try:
        visitor = handover_state.unpacked(data.state)
    except ValueError as error:
        raise EventRefused("invalid_event", f"state: {error}"[:200]) from None
    order_merging.require_room_for(customer, visitor)
    for visitor_id in (*visitor.visitors, id_of(data.anonymous_id)):
        _know(customer, visitor_id)
    mailed.adopt(customer, visitor, context.now)  # while each has its own address
    customer.complained = max(customer.complained, visitor.complained)
    _adopt_profile(customer, visitor, context)
    scores.adopt(customer, visitor, context)
    for mail in visitor.pending:
        mail.customer = mail.customer or data.anonymous_id
    sent = sorted(customer.sent + visitor.sent, key=lambda mail: mail.time)
    customer.sent = arbitration.worth_keeping(sent, context.live.policy)
    customer.ignored += visitor.ignored
    customer.left_list = max(customer.left_list, visitor.left_list)
    customer.pending += visitor.pending
    send_commands.fit_pending(customer)
    changed = cart.adopt(customer.cart, visitor.cart, context.when(event.time))
    merging.adopt(customer, visitor, context, with_cart=bool(changed))
    order_merging.adopt(customer, visitor, event, context)
    registration.adopt(customer, visitor, event, context)
    customer.is_customer = True  # the shop has said so, to the visitor's actor
    return consent.adopt(customer, visitor, proven=data.ground == "confirmed") + changed


def forget_visitors(customer: Customer, event: Event, context: Context) -> None:
    """Let the actors under which this customer was a visitor forget who it was, and the visitor of
    the same id: who asks for an erasure knows only the id."""
    own = [customer.key] if context.has_visitor else []
    for visitor_id in dict.fromkeys((*customer.visitors, *own)):
        forgotten = VisitorForgotten(customer_id=id_of(customer.key))
        _send_event(of_visitor(visitor_id), "visitor.forgotten", forgotten, event, context)


def is_forgotten_with(visitor: Customer, customer_id: str) -> bool:
    """Whether a visitor is to be forgotten with a customer: not when the device is somebody else's
    by now."""
    if speaker.is_customers(visitor):
        return False
    return visitor.became in ("", customer_id) or customer_id == id_of(visitor.key)


def _named_another(customer: Customer, event: Event) -> str | None:
    """Return the customer that whom the event is about is said to be; None when it stays who it is.

    A visitor of whom the shop gives its own id as the customer's becomes the customer of that id.
    The public can't say who it is.
    """
    customer_id: str | None = event.data.customer_id
    own = id_of(customer.key) if event.public else customer.key
    return None if customer_id == own else customer_id


def _is_ruled_out(customer: Customer, other: str) -> bool:
    """Whether two can't be one: one of them stands for nobody, or an operator has said so."""
    return is_everybodys(customer.key) or is_everybodys(other) or are_unlinked(customer, other)


def _ground(event: Event) -> MergeGround:
    return "identified" if event.type in IDENTIFYING_TYPES else "signed_in"


def _become(
    customer: Customer, customer_id: str, event: Event, context: Context, ground: MergeGround
) -> None:
    if not customer.became:
        _hand_over(customer, customer_id, event, context, ground)
    customer.became = customer_id  # a shared device may change hands; what comes then goes there


def _see_that_it_fits(event: Event, context: Context) -> None:
    """An event that was just small enough to be read may be larger as we write it: `1e9`."""
    if context.size * _LONGER > MAX_EVENT_BYTES:
        size = len(to_record(event).value or b"")
        if size > MAX_EVENT_BYTES:
            problem = f"{size} bytes to be passed on, at most {MAX_EVENT_BYTES} are accepted"
            raise EventRefused("too_large", problem)


def _pass_on(
    customer: Customer,
    event: Event,
    visitor_id: str | None,
    context: Context,
    receiver: str = "",
) -> None:
    """Let the customer that this actor has become know the traits, as news about itself; where the
    sender has named the customer it is the shop's."""
    visitor_id = None if visitor_id is None else id_of(visitor_id)
    receiver = receiver or customer.became
    named = None if _named_another(customer, event) is None else receiver
    data = event.data.model_copy(update={"customer_id": named, "anonymous_id": visitor_id})
    forward(customer, event._replace(data=data), context, receiver)


def _know(customer: Customer, visitor_id: str) -> None:
    if visitor_id not in customer.visitors:
        customer.visitors.append(visitor_id)
        del customer.visitors[:-LINKED_VISITORS]


def _adopt_profile(customer: Customer, visitor: Customer, context: Context) -> None:
    hints.adopt(customer, visitor)
    profile.adopt(customer, visitor, context.now)
    customer.views += visitor.views
    tags.adopt(customer, visitor)
    custom_fields.adopt(customer, visitor)
    custom_events.adopt(customer, visitor)
    activity.adopt(customer, visitor)
    interests.adopt(customer, visitor)
    coupons.adopt(customer, visitor)
    loyalty.adopt(customer, visitor, context)
    if visitor.first_seen:
        customer.first_seen = min(customer.first_seen or visitor.first_seen, visitor.first_seen)


def _hand_over(
    customer: Customer, customer_id: str, event: Event, context: Context, ground: MergeGround
) -> None:
    """Send all that is known to the customer's actor; only the way there stays here."""
    knowledge = Customer(**{name: getattr(customer, name) for name in _TOLD})
    state = handover_state.packed(knowledge)
    handover = VisitorMerged(
        anonymous_id=customer.key, state=state, format=stored.FORMAT, ground=ground
    )
    _send_event(customer_id, "visitor.merged", handover, event, context)
    engine.leave(customer, context)
    customer.become(Customer(**{name: getattr(customer, name) for name in _KEPT}))


def _send_event(
    receiver: str,
    type_: str,
    data: VisitorLinked | VisitorMerged | VisitorForgotten,
    cause: Event,
    context: Context,
) -> None:
    """Tell another actor something. The same cause gives the same id, of a length that is read."""
    id_, time = derived_id(cause.id, type_, cause.customer), context.when(cause.time)
    message = tell(
        receiver, type_, data, id_=id_, source=SOURCE, time=time, backfill=cause.backfill
    )
    context.effects.append(message)


HANDLERS: Mapping[str, Handler] = {
    "customer.identified": identified,
    "visitor.linked": linked,
    "visitor.merged": merged,
}
