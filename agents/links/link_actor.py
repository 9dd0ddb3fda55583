"""A link's own actor: who is registered at it, and what they are told.

It is kept as a customer's record is, under a key that nobody can publish to. What one tells it of
an order, the others are told: that an order was placed, when, and hashes of what it holds; never
whose. What many have is nobody's: past MOST_HOLDERS it links none of them any more, and stays so,
since one order would end everybody's carts else.

An address of many still keeps what was said of it, its limits and when it was asked to confirm.
None of the many is listed for that: who registers is told that there are others, asks what was
said, and is answered that again with each mail it reserves.

Of an address customers and visitors are counted apart, so that no visitors, however many type it,
keep the address's customers from being linked; visitors are then none of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.context import Context, DomainEvent, Handler
from agents.customer.grounds import RANK
from agents.digests import derived_id
from agents.effects import tell
from agents.links import address_statements, confirmations, names, places
from agents.links.registration import LINK_MS, SOURCE
from schemas.bounds import kept_bytes
from schemas.customer import Customer
from schemas.customer.links import HOLDERS_BYTES, LastOrder, Links
from schemas.events import Event
from schemas.events.own import (
    LinkLeft,
    LinkOrdered,
    LinkRegistered,
    LinkShared,
    OrderPlacedElsewhere,
    VisitorLinked,
)
from schemas.reference import is_visitors

_ACCOUNT, _CONFIRMED = RANK["account"], RANK["confirmed"]

MOST_HOLDERS = 20
"""An address or an id that more than these have is a till's, a marketplace's or a test's."""


def receive(link: Customer, event: Event, context: Context) -> None:
    """Apply what a customer or a visitor has told; to others than links it says nothing."""
    if not names.is_link(link.key):
        return
    link.first_seen = link.first_seen or context.now
    HANDLERS[event.type](link, event, context)
    if is_empty(link):
        link.become(Customer(key=link.key, applied=link.applied))


def is_empty(link: Customer) -> bool:
    """Whether nothing is left that would be missed."""
    links = link.links
    many = links.visitors_many or links.customers_many
    return not (links.holders or many or links.asked or links.said)


def registered(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Somebody has it, too; each of several is told so once, and who comes to an address of which
    something was said or that many have."""
    data: LinkRegistered = event.data
    links, who = link.links, data.customer_id
    if data.replaces is not None:
        links.holders.pop(data.replaces, None)
        if links.order is not None and links.order.customer == data.replaces:
            links.order.customer = who
    others = _linked(links, who)
    ground = max(links.holders.pop(who, 0), RANK[data.ground])
    if not _is_many(links, who):
        links.holders[who] = ground
        _count(link, context)
        if who in links.holders:
            _link(link, who, data, event, context)
    is_linked = who in links.holders
    if len(others) == 1 and (is_linked or _is_address(link)):
        _tell_shared(link, others[0], event, context)
    if (others and is_linked) or (_is_address(link) and _concerns_more(links)):
        _tell_shared(link, who, event, context)
    return []


def _is_address(link: Customer) -> bool:
    return names.kind_of(link.key.removeprefix(names.PREFIX)) == "address"


def _concerns_more(links: Links) -> bool:
    """Whether an address is more than its listed holders' matter."""
    return links.customers_many or links.visitors_many or links.said is not None


def _link(link: Customer, who: str, data: LinkRegistered, event: Event, context: Context) -> None:
    """Tell others of an order of who has registered, or that one of an order of theirs."""
    links = link.links
    if data.ordered:
        _ordered(link, who, data.ordered, data.bought, event, context)
    elif links.order is not None and _is_news_to(links.order, who, context):
        _tell_order(link, who, links.order, event, context)
    _merge_confirmed(link, who, event, context)


def _merge_confirmed(link: Customer, who: str, event: Event, context: Context) -> None:
    """A visitor who has confirmed an address that one account has is that account's customer."""
    holders = link.links.holders
    accounts = [
        each for each, ground in holders.items() if ground >= _ACCOUNT and not is_visitors(each)
    ]
    if len(accounts) != 1:
        return
    for each, ground in holders.items():
        if is_visitors(each) and ground == _CONFIRMED and who in (each, accounts[0]):
            data = VisitorLinked(customer_id=accounts[0], ground="confirmed")
            _tell(each, "visitor.linked", data, context.now, event, context)


def ordered(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """One of several has placed an order: the others are told."""
    data: LinkOrdered = event.data
    if data.customer_id in link.links.holders:
        _ordered(link, data.customer_id, data.ordered, data.bought, event, context)
    return []


def left(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Somebody does not have it any more."""
    data: LinkLeft = event.data
    link.links.holders.pop(data.customer_id, None)
    if link.links.order is not None and link.links.order.customer == data.customer_id:
        link.links.order = None
    return []


def _linked(links: Links, who: str) -> list[str]:
    """Return those of whom an order of `who`'s is news."""
    if links.customers_many:
        return []
    return [
        each
        for each in links.holders
        if each != who and not (links.visitors_many and is_visitors(each))
    ]


def _is_many(links: Links, who: str) -> bool:
    return links.customers_many or (links.visitors_many and is_visitors(who))


def _count(link: Customer, context: Context) -> None:
    """See whether there are so many holders by now that the link is nobody's."""
    links, kind = link.links, names.kind_of(link.key.removeprefix(names.PREFIX))
    visitors = [each for each in links.holders if is_visitors(each)]
    customers = len(links.holders) - len(visitors)
    together = 0 if kind == "address" else len(visitors)
    many = customers + together > MOST_HOLDERS
    if not many and visitors and (len(visitors) > MOST_HOLDERS or _are_large(links)):
        links.visitors_many = True
        for each in visitors:
            del links.holders[each]
        context.shared_by_many.append(kind)
    if many or _are_large(links):
        links.customers_many, links.holders, links.order = True, {}, None
        context.shared_by_many.append(kind)


def _are_large(links: Links) -> bool:
    """Whether the holders' ids are so long that fewer of them are too many already."""
    return len(links.holders) > 1 and kept_bytes(links.holders) > HOLDERS_BYTES


def _ordered(
    link: Customer, who: str, time: int, bought: str, event: Event, context: Context
) -> None:
    links = link.links
    if time <= context.now - LINK_MS:
        return
    order = LastOrder(who, time, bytes.fromhex(bought))
    if links.order is None or links.order.time <= time:
        links.order = order
    for each in _linked(links, who):
        _tell_order(link, each, order, event, context)


def _is_news_to(order: LastOrder, who: str, context: Context) -> bool:
    return order.customer != who and order.time > context.now - LINK_MS


def _tell_order(
    link: Customer, receiver: str, order: LastOrder, event: Event, context: Context
) -> None:
    name = link.key.removeprefix(names.PREFIX)
    data = OrderPlacedElsewhere(link=name, bought=order.bought.hex())
    _tell(receiver, "order.placed_elsewhere", data, order.time, event, context)


def _tell_shared(link: Customer, receiver: str, event: Event, context: Context) -> None:
    data = LinkShared(link=link.key.removeprefix(names.PREFIX))
    _tell(receiver, "link.shared", data, context.now, event, context)


def _tell(
    receiver: str,
    type_: str,
    data: LinkShared | OrderPlacedElsewhere | VisitorLinked,
    time: int,
    cause: Event,
    context: Context,
) -> None:
    id_ = derived_id(cause.id, type_, cause.customer, receiver)
    message = tell(
        receiver, type_, data, id_=id_, source=SOURCE, time=time, backfill=cause.backfill
    )
    context.effects.append(message)


HANDLERS: Mapping[str, Handler] = {
    "link.registered": registered,
    "link.ordered": ordered,
    "link.left": left,
    "address.said": address_statements.said,
    "address.confirmed": confirmations.was_confirmed,
    "confirmation.requested": confirmations.requested,
    "marketing.requested": places.requested,
}
