"""Addresses that forms put on lists and that aren't the customer's.

A form under a customer's id may name anybody's address. It moves nothing of the customer's: the
subscription is of *that* address, which is asked to confirm and gets nothing else before. Whoever
confirms has said yes for that address and that list. The customer's own address, consent and
lists stay what they were also then: the yes is a stranger's as far as anybody knows. A shop that
knows better says so, by `customer.updated` or an event of whom the address belongs to.
"""

from __future__ import annotations

from agents.context import Context, DomainEvent
from agents.customer import mailed
from agents.customer.tracking import SOURCE as PAGES
from agents.digests import is_digest_of
from schemas.addresses import same_address
from schemas.bounds import ADDRESS_BYTES, fits, largest, shed
from schemas.customer import Customer
from schemas.customer.consent import LIST_ADDRESSES_BYTES, ListAddress
from schemas.customer.runs import Run
from schemas.events import Event
from schemas.events.person import ListChange

_LARGEST = largest(ListAddress) + 105
"""Bytes of one, with the name of its list."""


def subscribed(
    customer: Customer, data: ListChange, time: int, *, confirmed: bool, asks: bool
) -> list[DomainEvent]:
    """Put the event's address on its list at `time` (ms), apart from the customer.

    `confirmed`: it is proven upstream. `asks`: it is to be asked to confirm.
    """
    address = data.email or ""
    if not fits(address, ADDRESS_BYTES):
        return []
    known = customer.list_addresses.get(data.list)
    if known is not None and (known.time > time or same_address(known.email, address)):
        if confirmed and same_address(known.email, address):
            return _confirm(customer, data.list, time)
        if known.confirmed or known.time > time:
            return []
    going_on = known is not None and any(is_of(run, known) for run in customer.runs)
    asked = known.time if known is not None and going_on else time
    customer.list_addresses.pop(data.list, None)
    customer.list_addresses[data.list] = ListAddress(address, asked, confirmed)
    shed(customer.list_addresses, LIST_ADDRESSES_BYTES, _LARGEST)
    if confirmed or not asks:
        return []
    return [DomainEvent("list.pending", time, list=data.list, data={"list": data.list})]


def has(customer: Customer, name: str, address: str) -> bool:
    """Return whether an address that isn't the profile's is on a list."""
    known = customer.list_addresses.get(name)
    return known is not None and same_address(known.email, address)


def is_of(run: Run, address: ListAddress) -> bool:
    """Return whether a run asks this address to confirm."""
    return run.begun == address.time and "list.pending" in run.anchors


def asked_by(customer: Customer, run: Run) -> str | None:
    """Return the address that a run asks to confirm, where it is a list's and not the profile's;
    empty when it is known no more, None of all other runs."""
    if not run.list or "list.pending" not in run.anchors:
        return None
    address = customer.list_addresses.get(run.list)
    if address is not None and is_of(run, address):
        return address.email
    return None if run.list in customer.lists else ""


def confirmed_by(customer: Customer, event: Event, context: Context) -> list[DomainEvent] | None:
    """Take a confirmation that the page of a mail has led to, unless it is of the profile's
    address, or the shop's own word: then None. Where a mail of ours went to that is known no more,
    it proves no address."""
    data: ListChange = event.data
    if not data.mail:
        return None
    mailed.bring_up(customer, context.now)
    hashed = mailed.address_of(customer, data.mail)
    if hashed is None:
        return [] if event.source == PAGES else None
    if is_digest_of(hashed, customer.profile.email):
        return None
    address = customer.list_addresses.get(data.list)
    if address is None or not is_digest_of(hashed, address.email):
        return []  # an address that has been another one's since proves nothing of this one
    return _confirm(customer, data.list, context.when(event.time))


def leave(customer: Customer, hashed: str, time: int) -> list[DomainEvent]:
    """Take an address, by its hash, off all the lists that it alone is on: it has objected."""
    left = [
        name
        for name, address in customer.list_addresses.items()
        if is_digest_of(hashed, address.email)
    ]
    for name in left:
        del customer.list_addresses[name]
    return [
        DomainEvent("list.left", time, list=name, begins=False, data={"list": name})
        for name in left
    ]


def adopt(customer: Customer, visitor: Customer) -> set[str]:
    """Take over the lists that a visitor who turned out to be this customer has put another address
    on, as that address's; return which of the visitor's own lists those are."""
    theirs = visitor.profile.email
    apart: dict[str, ListAddress] = {}
    if theirs and customer.profile.email and not same_address(theirs, customer.profile.email):
        apart = {
            name: ListAddress(theirs, each.time)
            for name, each in visitor.lists.items()
            if each.subscribed and each.pending
        }
    for name, address in (*visitor.list_addresses.items(), *apart.items()):
        known = customer.list_addresses.get(name)
        if known is None or known.time < address.time:
            customer.list_addresses.pop(name, None)
            customer.list_addresses[name] = address
    shed(customer.list_addresses, LIST_ADDRESSES_BYTES, _LARGEST)
    return set(apart)


def _confirm(customer: Customer, name: str, time: int) -> list[DomainEvent]:
    """The runs that ask for it are over; none begins, since nobody knows whose the address is."""
    customer.list_addresses[name].confirmed = True
    return [DomainEvent("list.joined", time, list=name, begins=False, data={"list": name})]
