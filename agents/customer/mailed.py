"""To which address each mail was commanded, and what was heard of it since.

Whoever gets a mail can give the world's verdict on it, a bounce, a complaint or a receipt: its
return address is all that it takes. So a verdict is about the address that the mail was commanded
to, the profile's or an order's own, and about no other that the customer may have by then; and of
each mail each counts once. What is said of a mail that was never commanded, or too long ago, or to
an address that is nowhere in the record any more, changes nothing.

For each address there is a row of bytes, MAILED_BYTES for each mail. Of the address a hash is kept.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from agents.context import Context
from agents.customer import speaker
from agents.digests import address_digest, digest, is_digest_of
from agents.refusals import Ignored
from schemas.addresses import same_address
from schemas.bounds import shed
from schemas.customer import Customer
from schemas.customer.mail import MAILED_BYTES, MAILED_KEPT, MAILED_MS, MAILED_TOTAL_BYTES
from schemas.events import Event
from schemas.outcomes import MailOutcome, MailVerdict, WhyIgnored
from schemas.reserved import IMPORTED, SOURCES
from schemas.time_units import DAY_MS

_ENTRY = Struct(">8sHB")
"""Hash of the command's id, day of the decision, and a bit for each verdict that was heard."""

_BITS: dict[MailVerdict, int] = {"bounced": 1, "complained": 2, "delivered": 4}

_ENDED = 8
"""With a verdict that was the end of the address: of one that isn't the profile's nothing else
says so."""

_LAST_DAY = 0xFFFF
"""In 2149; what is commanded later counts as of then."""

_LARGEST = MAILED_KEPT * MAILED_BYTES + 40
"""Bytes of one address with its mails."""


class _Place(NamedTuple):
    """Where a command is kept."""

    address: str
    """The hash."""
    at: int
    """Where in its row."""
    heard: int


def remember(customer: Customer, command_id: str, address: str, now: int) -> None:
    """A mail is commanded to `address` at `now` (ms). Commanded again, it stays where it was: the
    mailer sends it once."""
    bring_up(customer, now)
    if _find(customer, command_id) is None:
        hashed = _hash(customer, address)
        row = customer.mailed.pop(hashed, b"")  # the address that was mailed last is the last one
        _keep(customer, hashed, row + _ENTRY.pack(digest(command_id), _day(now), 0))


def bring_up(customer: Customer, now: int) -> None:
    """Forget what is too old by `now` (ms).

    A record of before this was kept says which mails were commanded, and not where to: to the
    address there is, if it has never been another one. So call it also before that changes.
    """
    first = _day(now - MAILED_MS)
    for address, row in list(customer.mailed.items()):
        if int.from_bytes(row[8:10], "big") < first:  # the oldest
            _keep(customer, address, _since(first, row))
    if customer.mailed or not customer.sent:
        return
    if customer.profile.email and not customer.bounces.former:
        row = b"".join(
            _ENTRY.pack(digest(mail.command_id), _day(mail.time), 0)
            for mail in customer.sent
            if mail.command_id
        )
        _keep(customer, address_digest(customer.profile.email), _since(first, row))


def adopt(customer: Customer, visitor: Customer, now: int) -> None:
    """Take over what was commanded to a visitor who turned out to be this customer."""
    for each in (customer, visitor):
        bring_up(each, now)
    for address, row in visitor.mailed.items():
        own = customer.mailed.pop(address, b"")
        both = sorted(_ENTRY.iter_unpack(own + row), key=lambda entry: entry[1])
        _keep(customer, address, b"".join(_ENTRY.pack(*entry) for entry in both))


def require(customer: Customer, event: Event, verdict: MailVerdict, context: Context) -> str:
    """Note a verdict on a mail; return the address that it is about. Raises Ignored, having changed
    nothing, when it doesn't count."""
    address = concerned(customer, event, verdict, context)
    if address is None:
        raise Ignored
    return address


def concerned(
    customer: Customer, event: Event, verdict: MailVerdict, context: Context
) -> str | None:
    """Return which of the customer's addresses a verdict is about, and note it; None, and it is
    counted as ignored, when it is about none. Of its own mails another mailer tells for the shop,
    which names the customer and may name the address; else they went to the profile's. A visitor,
    or the public, tells nothing of them."""
    data: MailOutcome = event.data
    why: WhyIgnored
    if is_foreign(event):
        if not is_shops(event):
            context.ignored.append((verdict, "visitor"))
            return None
        named = data.email or customer.profile.email
        own = same_address(named, customer.profile.email)
        return customer.profile.email if own else named
    bring_up(customer, context.now)
    place, bit = _find(customer, data.command_id), _BITS[verdict]
    address = None if place is None else _spelled(customer, place.address)
    if place is None:
        why = "unknown_mail"
    elif address is None:
        why = "another_address"
    elif place.heard & bit:
        why = "repeated"
    else:
        _mark(customer, place.address, place.at, bit)
        return address
    context.ignored.append((verdict, why))
    return None


def is_foreign(event: Event) -> bool:
    """Return whether what became of a mail is told of one that isn't ours."""
    data: MailOutcome = event.data
    ours = event.source.startswith(SOURCES) and event.source != IMPORTED
    return not (data.command_id or ours)


def is_shops(event: Event) -> bool:
    """Return whether the shop tells it; neither a visitor nor the public knows of mails."""
    return not (event.forwarded or speaker.by_visitor(event))


def end(customer: Customer, address: str) -> None:
    """An address to which something was commanded takes no mail any more."""
    for hashed, row in customer.mailed.items():
        if is_digest_of(hashed, address):
            _mark(customer, hashed, len(row) - MAILED_BYTES, _ENDED)  # the last one stays longest


def has_ended(customer: Customer, address: str) -> bool:
    """Return whether an address has come to its end, as far as that is remembered here; the
    mailer's list has it for good."""
    return any(
        any(heard & _ENDED for heard in row[MAILED_BYTES - 1 :: MAILED_BYTES])
        for hashed, row in customer.mailed.items()
        if is_digest_of(hashed, address)
    )


def ended_since(customer: Customer, address: str) -> int:
    """Return the day (ms) of the last mail to an address that was the end of it, 0 when none is
    known."""
    days = [
        day
        for hashed, row in customer.mailed.items()
        if is_digest_of(hashed, address)
        for _, day, heard in _ENTRY.iter_unpack(row)
        if heard & _ENDED
    ]
    return max(days, default=0) * DAY_MS


def released(customer: Customer, hashed: str) -> None:
    """A person has decided that the address with this hash gets mails again."""
    row = customer.mailed.get(hashed, b"")
    for at in range(0, len(row), MAILED_BYTES):
        if row[at + MAILED_BYTES - 1] & _ENDED:
            _mark(customer, hashed, at, 0)


def is_of_profile(customer: Customer, command_id: str) -> bool:
    """Return whether a mail was commanded to the profile's address, or none knows where to."""
    place = _find(customer, command_id)
    return place is None or is_digest_of(place.address, customer.profile.email)


def _spelled(customer: Customer, hashed: str) -> str | None:
    """Return the customer's address that has a hash: the profile's, else an order's or a list's."""
    if is_digest_of(hashed, customer.profile.email):
        return customer.profile.email
    own = {order.email: None for order in reversed(customer.orders) if order.email}
    own |= {each.email: None for each in customer.list_addresses.values()}
    return next((address for address in own if is_digest_of(hashed, address)), None)


def _mark(customer: Customer, hashed: str, at: int, bit: int) -> None:
    """Set a bit of a mail in an address's row; 0 takes away that the address has ended."""
    row = bytearray(customer.mailed[hashed])
    heard = row[at + MAILED_BYTES - 1]
    row[at + MAILED_BYTES - 1] = heard | bit if bit else heard & ~_ENDED
    customer.mailed[hashed] = bytes(row)


def _hash(customer: Customer, address: str) -> str:
    """Return the hash under which an address is kept, or is to be."""
    if address.isascii():
        return address_digest(address)
    kept = (hashed for hashed in customer.mailed if is_digest_of(hashed, address))
    return next(kept, address_digest(address))


def address_of(customer: Customer, command_id: str) -> str | None:
    """Return the hash of the address that a mail was commanded to, None when it is not known."""
    place = _find(customer, command_id)
    return None if place is None else place.address


def _keep(customer: Customer, address: str, row: bytes) -> None:
    """Keep an address with its mails; without any, nothing is left of it."""
    if row:
        customer.mailed[address] = row[-MAILED_KEPT * MAILED_BYTES :]
        shed(customer.mailed, MAILED_TOTAL_BYTES, _LARGEST)
    else:
        customer.mailed.pop(address, None)


def _since(first: int, row: bytes) -> bytes:
    """Return the mails of a row that are of the day `first` or later."""
    kept = (entry for entry in _ENTRY.iter_unpack(row) if entry[1] >= first)
    return b"".join(_ENTRY.pack(*entry) for entry in kept)


def _find(customer: Customer, command_id: str) -> _Place | None:
    wanted = digest(command_id)
    for address, row in customer.mailed.items():
        for at in range(0, len(row), MAILED_BYTES):
            if row.startswith(wanted, at):
                return _Place(address, at, row[at + MAILED_BYTES - 1])
    return None


def _day(time: int) -> int:
    return min(max(time, 0) // DAY_MS, _LAST_DAY)
