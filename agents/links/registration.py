"""A customer's side of its links: it registers at each address, cart id and checkout id that is
named with it, once for each ground.

Who is the only holder hears nothing more and tells nothing more, so that an address costs one
message and an order none. Once a link says that it is shared, the customer tells it of its latest
order that concerned it, and of each one from then on.

The public and visitors may say whose an address is, on the ground that is worth least; what they
are told for it is that an order was placed elsewhere, and when.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.commerce.order_changes import UNDONE
from agents.context import Context, DomainEvent
from agents.customer import grounds
from agents.customer.grounds import RANK
from agents.digests import address_digest, derived_id, digest
from agents.effects import tell
from agents.links import names
from agents.links.everybodys import stands_for_many
from schemas.addresses import same_address
from schemas.customer import Customer
from schemas.customer.links import (
    BOUGHT_KEPT,
    FORMER_KEPT,
    LINK_DAYS,
    REGISTRATIONS_KEPT,
    Registration,
)
from schemas.events import EVENT_TYPES, Event
from schemas.events.fields import is_address
from schemas.events.own import LinkLeft, LinkOrdered, LinkRegistered, LinkShared
from schemas.events.person import ListChange
from schemas.events.shopping import CartChange, CheckoutProgress, OrderCompleted
from schemas.reference import id_of, is_visitors
from schemas.time_units import DAY_MS

SOURCE = "/ritorno/links"

LINK_MS = LINK_DAYS * DAY_MS

_NO_CART = -1

MOST_ADDRESSES = 20
"""A customer with whom more are named is a till, a marketplace or whoever orders for everybody."""

NAMING = frozenset(
    each.name
    for each in EVENT_TYPES.values()
    if not each.internal and issubclass(each.data, CartChange | CheckoutProgress | OrderCompleted)
) | {"customer.identified", "customer.created", "customer.updated", "list.subscribed"}
"""The types of events that may name a link."""


def follow(
    customer: Customer,
    event: Event,
    former: str,
    occurred: Iterable[DomainEvent],
    context: Context,
) -> None:
    """Register at what an event has named, that the customer has received; `former` is the address
    that it had before, `occurred` what the event was to its runs."""
    if customer.became or stands_for_many(customer):
        return
    data = event.data
    if isinstance(data, OrderCompleted):
        is_new = any(each.name == "order.completed" for each in occurred)
        _ordered(customer, event, context, is_new=is_new)
    elif isinstance(data, CartChange | CheckoutProgress):
        _shopped(customer, event, context)
    elif isinstance(data, ListChange) and data.email:
        _register_address(customer, data.email, RANK["typed"], event, context)
    if customer.profile.email != former:
        _leave_former(customer, former, event, context)
    # A cart's event says nothing of addresses: only what an earlier release has kept is new then.
    if (customer.profile.email or "@" in customer.key) and not (
        isinstance(data, CartChange) and _has_address(customer)
    ):
        for address, ground in _own_addresses(customer):
            _register_address(customer, address, ground, event, context)


def adopt(customer: Customer, visitor: Customer, event: Event, context: Context) -> None:
    """Register at what a visitor was registered at who turned out to be this customer; where that
    is nobody in particular the visitor only leaves."""
    reference = event.data.anonymous_id
    if customer.links.customers_many or stands_for_many(customer):
        _leave_each(reference, visitor, event, context)
        return
    for link, theirs in visitor.links.registrations.items():
        own = customer.links.registrations.get(link)
        if own is None:
            own = Registration(theirs.ground, cart_number=_NO_CART)
            _keep(customer, link, own, event, context)
            if customer.links.customers_many:
                _leave_each(reference, visitor, event, context)
                return
        if theirs.cart_number == visitor.cart.number:
            own.cart_number = customer.cart.number
        own.ground = max(own.ground, theirs.ground)
        own.ordered = max(own.ordered, theirs.ordered)
        _tell_registered(customer, link, own, event, context, replaces=reference)


def take_up(customer: Customer, visitor: Customer, event: Event, context: Context) -> None:
    """Register again, as a visitor that turned out not to be somebody, at what it had."""
    for link, own in visitor.links.registrations.items():
        own.shared, own.cart_number = False, _NO_CART
        _keep(customer, link, own, event, context)
        _tell_registered(customer, link, own, event, context)


def hand_back(customer: Customer, visitor: Customer, event: Event, context: Context) -> None:
    """Leave what a visitor has brought along who turned out to be somebody else, but for what the
    customer has ordered with and its own addresses."""
    own_links = {address_link(address, context) for address, _ in _own_addresses(customer)}
    for link in visitor.links.registrations:
        own = customer.links.registrations.get(link)
        if own is not None and not own.ordered and link not in own_links:
            _leave(customer, link, event, context)
            del customer.links.registrations[link]


def shared(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The customer is told that others have a link, too; it tells of its order in return."""
    data: LinkShared = event.data
    own = customer.links.registrations.get(data.link)
    if own is None:
        return []
    own.shared = True
    if own.ordered > context.now - LINK_MS:
        _tell_ordered(customer, data.link, own.ordered, event, context)
    return []


def leave_all(customer: Customer, event: Event, context: Context) -> None:
    """Leave every link: the customer is erased."""
    for link in customer.links.registrations:
        _leave(customer, link, event, context)


def address_link(address: str, context: Context) -> str:
    """Return the name of an address's link."""
    return names.of_address(address, context.live.definitions.link_key)


def _leave_each(reference: str, visitor: Customer, event: Event, context: Context) -> None:
    for link in visitor.links.registrations:
        _tell(link, "link.left", LinkLeft(customer_id=reference), event, context)


def _ordered(customer: Customer, event: Event, context: Context, *, is_new: bool) -> None:
    """An order concerns its cart and checkout, its own address and the customer's: as it is kept,
    with what came before it. Others are told of it once, and not if it won't be; told again with
    something else in it, it is no other order."""
    data: OrderCompleted = event.data
    shop = context.live.definitions.deduplication_rules.sources.shop(event.source)
    order = customer.order(data.order_id, shop)
    time = order.time if order is not None and order.status not in UNDONE else 0
    if not is_new or time <= context.now - LINK_MS:
        time = 0
    else:
        checkout = data.checkout_id or data.order_id  # a checkout may be named by its order
        for link in _of_ids(data.cart_id, checkout, event, context):
            _register(customer, link, 0, event, context, ordered=time)
    concerned = _own_addresses(customer)
    if address := data.address():
        concerned.append((address, RANK["typed"] if event.public else RANK["ordered"]))
    for address, ground in concerned:
        _register_address(customer, address, ground, event, context, ordered=time)


def _shopped(customer: Customer, event: Event, context: Context) -> None:
    """A cart or a checkout, as far as it isn't over already."""
    data: CartChange | CheckoutProgress = event.data
    checkout = data if isinstance(data, CheckoutProgress) else None
    if not event.backfill and context.when(event.time) > customer.cart.cleared:
        checkout_id = checkout.checkout_id if checkout else None
        for link in _of_ids(data.cart_id, checkout_id, event, context):
            _register(customer, link, 0, event, context)
    if checkout and checkout.email and is_address(checkout.email):
        _register_address(customer, checkout.email, RANK["typed"], event, context)


def _of_ids(
    cart_id: str | None, checkout_id: str | None, event: Event, context: Context
) -> list[str]:
    definitions = context.live.definitions
    shop = definitions.deduplication_rules.sources.shop(event.source)
    found = []
    if cart_id:
        found.append(names.of_id("cart", cart_id, shop, definitions.link_key))
    if checkout_id:
        found.append(names.of_id("checkout", checkout_id, shop, definitions.link_key))
    return [each for each in found if each]


def _leave_former(customer: Customer, former: str, event: Event, context: Context) -> None:
    """Of an address that the customer has no more it stays a holder only if it has ordered with
    it."""
    if not former:
        return
    link, known = address_link(former, context), customer.links.former
    known.pop(address_digest(former), None)
    known[address_digest(former)] = link  # mails are still there
    for oldest in list(known)[:-FORMER_KEPT]:
        del known[oldest]
    own = customer.links.registrations.get(link)
    if own is not None and not own.ordered and not same_address(former, customer.profile.email):
        _leave(customer, link, event, context)
        del customer.links.registrations[link]


def _has_address(customer: Customer) -> bool:
    return any(link.startswith("address/") for link in customer.links.registrations)


def _own_addresses(customer: Customer) -> list[tuple[str, int]]:
    """Return the addresses that the customer has, each with its ground: that of the profile, and
    the id, where that is one."""
    found = []
    if customer.profile.email:
        found.append((customer.profile.email, RANK[grounds.ground_of(customer)]))
    if "@" in customer.key and is_address(id_of(customer.key)):
        found.append(
            (id_of(customer.key), RANK["typed"] if is_visitors(customer.key) else RANK["account"])
        )
    return found


def _register_address(
    customer: Customer,
    address: str,
    ground: int,
    event: Event,
    context: Context,
    *,
    ordered: int = 0,
) -> None:
    link = address_link(address, context)
    _register(customer, link, ground, event, context, ordered=ordered)


def _register(
    customer: Customer,
    link: str,
    ground: int,
    event: Event,
    context: Context,
    *,
    ordered: int = 0,
) -> None:
    """Register at a link, unless the customer is on as good a ground; tell it of an order, if it
    has to be told."""
    if customer.links.customers_many:
        return
    own = customer.links.registrations.get(link)
    known = own is not None and own.ground >= ground and not _is_forgotten(link, own, context)
    if own is None:
        own = Registration(ground)
        _keep(customer, link, own, event, context)
        if customer.links.customers_many:
            return
    own.ground = max(own.ground, ground)
    if own.cart_number != customer.cart.number and not ordered:
        own.cart_number = customer.cart.number
    own.ordered = max(own.ordered, ordered)
    if not known:
        _tell_registered(customer, link, own, event, context)
    elif ordered and own.shared:
        _tell_ordered(customer, link, ordered, event, context)


def _is_forgotten(link: str, own: Registration, context: Context) -> bool:
    """Whether the link's actor has forgotten what it was told. It has kept it for some time longer
    than the customer takes it for kept."""
    return own.time <= context.now - LINK_MS // 2 and names.is_short_lived(names.PREFIX + link)


def _keep(customer: Customer, link: str, own: Registration, event: Event, context: Context) -> None:
    """Put a link to those that the customer is registered at; of carts and checkouts the oldest
    gives way first, of addresses none as long as there is another. With too many of those the
    customer is nobody in particular, and is registered nowhere."""
    registrations = customer.links.registrations
    if len(registrations) >= REGISTRATIONS_KEPT:
        short_lived = (each for each in registrations if names.kind_of(each) != "address")
        dropped = next(short_lived, next(iter(registrations)))
        _leave(customer, dropped, event, context)
        del registrations[dropped]
    registrations[link] = own
    addresses = sum(names.kind_of(each) == "address" for each in registrations)
    if addresses > MOST_ADDRESSES:
        leave_all(customer, event, context)
        customer.links.registrations, customer.links.customers_many = {}, True
        context.shared_by_many.append("customer")


def _tell_registered(
    customer: Customer,
    link: str,
    own: Registration,
    event: Event,
    context: Context,
    *,
    replaces: str | None = None,
) -> None:
    own.time = context.now
    time, bought = _told_of(customer, own.ordered)
    data = LinkRegistered(
        customer_id=customer.key,
        ground=grounds.GROUNDS[own.ground],
        replaces=replaces,
        ordered=time,
        bought=bought,
    )
    _tell(link, "link.registered", data, event, context)


def _tell_ordered(
    customer: Customer, link: str, ordered: int, event: Event, context: Context
) -> None:
    time, bought = _told_of(customer, ordered)
    if time:
        data = LinkOrdered(customer_id=customer.key, ordered=time, bought=bought)
        _tell(link, "link.ordered", data, event, context)


def _leave(customer: Customer, link: str, event: Event, context: Context) -> None:
    _tell(link, "link.left", LinkLeft(customer_id=customer.key), event, context)


def _told_of(customer: Customer, time: int) -> tuple[int, str]:
    """Return what others are told of the customer's order of that time: when it was, and what it
    holds, nothing where that isn't kept any more; 0 when it won't be, or was at another time."""
    orders = [each for each in reversed(customer.orders) if each.time == time]
    if not orders:
        is_older = not customer.orders or time <= customer.orders[0].time
        return (time if is_older else 0), ""
    order = next((each for each in orders if each.status not in UNDONE), None)
    if order is None:
        return 0, ""
    return time, b"".join(digest(line.product_id) for line in order.lines[:BOUGHT_KEPT]).hex()


def _tell(
    link: str,
    type_: str,
    data: LinkRegistered | LinkOrdered | LinkLeft,
    cause: Event,
    context: Context,
) -> None:
    id_ = derived_id(cause.id, type_, link, data.customer_id)
    message = tell(
        names.PREFIX + link,
        type_,
        data,
        id_=id_,
        source=SOURCE,
        time=context.now,
        backfill=cause.backfill,
    )
    context.effects.append(message)
