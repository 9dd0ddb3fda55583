"""Whether a customer's address takes mail: bounces are counted, and too many of them end mailing.

That is the profile's address. Of an order's own only the end is remembered, with what was commanded
to it (`mailed.py`), and one says nothing of the other.

A hard bounce ends it at once, soft ones when there are SOFT_LIMIT without a delivery between them.
"Sent" alone is no delivery: the relay has the mail then, and a report of its failure may come for
days. A mail is delivered when a delivery receipt says so, or when no report has come for
SETTLED_MS.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.context import Context, DomainEvent, Handler
from agents.customer import mailed
from agents.digests import address_digest, contains, derived_id, digest, is_digest_of
from agents.effects import command
from schemas.commands import SuppressCommand
from schemas.customer import SEEN_BYTES, Customer
from schemas.customer.mail import ACCEPTED_KEPT, BOUNCES_COUNTED, AcceptedMail, Bounces
from schemas.events import Event
from schemas.events.own import AddressReleased
from schemas.outcomes import MailBounced
from schemas.suppressions import SuppressionReason, SuppressionScope
from schemas.time_units import DAY_MS

SOFT_LIMIT = 5

DELIVERED_AFTER_MS = 5 * DAY_MS
"""Servers try for four to five days before they give up (RFC 5321, 4.5.4.1)."""


def accepted(customer: Customer, command_id: str, context: Context) -> None:
    """A relay has taken a mail."""
    bounces = customer.bounces
    if (
        bounces.soft
        and len(bounces.accepted) < ACCEPTED_KEPT
        and mailed.is_of_profile(customer, command_id)
    ):
        bounces.accepted.append(AcceptedMail(digest(command_id), context.now))


def delivered(customer: Customer) -> None:
    """A mail has arrived."""
    customer.bounces = Bounces(former=customer.bounces.former)


def bounced(customer: Customer, event: Event, address: str, context: Context) -> list[DomainEvent]:
    """A mail to `address` was refused for good; returns that the customer's address is at an end,
    if it is."""
    data: MailBounced = event.data
    if address != customer.profile.email:
        if data.kind == "hard":
            mailed.end(customer, address)
            _suppress(customer, address, "all", "hard", event, context)
        return []
    if data.kind == "hard":
        return _end(customer, "hard", event, context)
    mail = data.command_id or event.id  # another mailer's has no name here
    if data.kind == "soft" and _count(customer, mail, context) >= SOFT_LIMIT:
        return _end(customer, "soft", event, context)
    return []


def complained(customer: Customer, event: Event, address: str, context: Context) -> None:
    """Somebody called a mail spam: no marketing to this address, whoever it belongs to."""
    _suppress(customer, address, "marketing", "complaint", event, context)


def moved(customer: Customer, former: str, address: str, now: int) -> None:
    """The customer is about to have another address; what bounced was the former one."""
    mailed.bring_up(customer, now)
    customer.suppressed = "bounced" if mailed.has_ended(customer, address) else ""
    customer.bounces = Bounces(former=address_digest(former) if former else "")


def released(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A person has decided that an address gets mails again."""
    data: AddressReleased = event.data
    release(customer, data.address or address_digest(customer.profile.email))
    return []


def release(customer: Customer, hashed: str) -> None:
    """The address with this hash gets mails again."""
    mailed.released(customer, hashed)
    if is_digest_of(hashed, customer.profile.email):
        customer.suppressed = ""
        delivered(customer)


def _count(customer: Customer, command_id: str, context: Context) -> int:
    """Count a soft bounce, once for each mail."""
    bounces, mail = customer.bounces, digest(command_id)
    if contains(bounces.digests, mail):
        return bounces.soft
    bounces.accepted = [each for each in bounces.accepted if each.digest != mail]
    if any(each.time <= context.now - DELIVERED_AFTER_MS for each in bounces.accepted):
        delivered(customer)
        bounces = customer.bounces
    bounces.soft += 1
    bounces.digests = (bounces.digests + mail)[-BOUNCES_COUNTED * SEEN_BYTES :]
    return bounces.soft


def _end(
    customer: Customer, reason: SuppressionReason, event: Event, context: Context
) -> list[DomainEvent]:
    customer.suppressed = "bounced"
    mailed.end(customer, customer.profile.email)
    _suppress(customer, customer.profile.email, "all", reason, event, context)
    return [DomainEvent("address.bounced", context.when(event.time))]


def _suppress(
    customer: Customer,
    address: str,
    scope: SuppressionScope,
    reason: SuppressionReason,
    event: Event,
    context: Context,
) -> None:
    """Let the mailer remember it, for all who have this address, and when this one is erased."""
    if not address:
        return
    suppress = SuppressCommand(
        id=derived_id("suppress", event.id),
        time=context.now,
        customer=customer.key,
        email=address,
        scope=scope,
        reason=reason,
    )
    context.effects.append(command(suppress))


HANDLERS: Mapping[str, Handler] = {
    "address.released": released,
}
