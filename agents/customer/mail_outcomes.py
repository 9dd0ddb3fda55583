"""What became of the mails: outcomes end the wait for them, bounces and complaints end mailing.

What comes back of a mail counts only for the address that it was commanded to (`mailed.py`): what
is said of an order's own address says nothing of the profile's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agents.context import Context, DomainEvent, Handler
from agents.customer import deliverability, list_addresses, mailed
from agents.customer.consent import leave, withdraw
from agents.customer.evidence import ON_LIST
from agents.digests import address_digest, derived_id, is_digest_of
from agents.effects import command
from agents.links import address_statements
from agents.sending import arbitration
from schemas.addresses import same_address
from schemas.bounds import cut
from schemas.commands import FeedbackCommand
from schemas.customer import Customer
from schemas.customer.consent import EVIDENCE_TEXT, IP_BYTES, Evidence
from schemas.events import Event
from schemas.outcomes import MAILER, MailBounced, MailObjected, MailOutcome
from schemas.time_units import DAY_MS


def finished(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Failed, rejected or skipped: it can't be taken back any more."""
    data: MailOutcome = event.data
    customer.pending = [mail for mail in customer.pending if mail.command_id != data.command_id]
    if event.type == "mail.sent":
        customer.mail.sent = max(customer.mail.sent, context.when(event.time))
    return []


def sent(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The relay has it."""
    data: MailOutcome = event.data
    deliverability.accepted(customer, data.command_id, context)
    return finished(customer, event, context)


def delivered(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """It has arrived."""
    address = mailed.require(customer, event, "delivered", context)
    if address == customer.profile.email:
        deliverability.delivered(customer)
    return []


def skipped(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """It never left the house: its place is free for another one."""
    data: MailOutcome = event.data
    finished(customer, event, context)
    arbitration.give_back(customer, data.command_id, context.now)
    return []


def bounced(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Refused for good: it can't be taken back any more, and may be the address's end."""
    if event.source == MAILER:  # whom it was for is another matter; it has counted its own
        finished(customer, event, context)
        address = mailed.concerned(customer, event, "bounced", context)
        if address is None:
            return []
    else:
        address = mailed.require(customer, event, "bounced", context)
        finished(customer, event, context)
        _report_to_mailer(customer, event, "bounced", address, context)
    data: MailBounced = event.data
    if data.kind == "hard" and address != customer.profile.email:
        ended = context.when(event.time)
        address_statements.heard(customer, address, event.id, context, ended=ended)
    return deliverability.bounced(customer, event, address, context)


def of_nobody(customer: Customer, event: Event, context: Context) -> None:
    """Of whom nothing is known another mailer may tell all the same that an address it names takes
    no mail; nothing of it is kept here."""
    if event.type != "mail.bounced" or not (mailed.is_foreign(event) and mailed.is_shops(event)):
        return
    data: MailBounced = event.data
    if data.email:
        bounced(customer, event, context)


def complained(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Somebody called it spam: no marketing to that address from now on, and a mark against the
    sender, one a day: who empties a mailbox calls everything spam in one go. It is the customer's
    objection where the address is the profile's."""
    address = mailed.require(customer, event, "complained", context)
    if customer.complained // DAY_MS != context.now // DAY_MS:
        _report_to_mailer(customer, event, "complained", address, context)
    deliverability.complained(customer, event, address, context)
    if address == customer.profile.email:
        return objected(customer, event, context)
    time = context.when(event.time)
    address_statements.heard(customer, address, event.id, context, objected=time)
    return list_addresses.leave(customer, address_digest(address), time)


def unsubscribed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Said no to mails like that one. Another mailer's list that isn't one of ours is all of them:
    who leaves it has no other word for ours. Which address it names makes no difference, unless
    only a form has put that one on a list: a person has said it, and no server of that address."""
    data: MailObjected = event.data
    if not mailed.is_foreign(event):
        return objected(customer, event, context)
    if data.email and not same_address(data.email, customer.profile.email):
        hashed = address_digest(data.email)
        if left := list_addresses.leave(customer, hashed, context.when(event.time)):
            return left
    for name in (data.list, data.list_name):
        if name in customer.lists:
            return leave(customer, name, _evidence(event, context, ON_LIST, name), context)
    return objected(customer, event, context)


def objected(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Unsubscribed, or complained: no marketing from now on. Who has got the mail at an address
    that only a form has put on a list speaks for that address and not for the customer."""
    data: MailObjected = event.data
    hashed = mailed.address_of(customer, data.command_id)
    if hashed is not None and not is_digest_of(hashed, customer.profile.email):
        left = list_addresses.leave(customer, hashed, context.when(event.time))
        if left:
            return left
        time = context.when(event.time)
        address_statements.objected_at(customer, hashed, time, event.id, context)
    return withdraw(customer, _evidence(event, context, "marketing"))


def _evidence(event: Event, context: Context, purpose: str, list_: str = "") -> Evidence:
    data: MailObjected = event.data
    reason = f", {data.reason}" if data.reason else ""
    told_by = f", {event.source}" if mailed.is_foreign(event) else ""
    return Evidence(
        purpose=purpose,
        given=False,
        time=context.when(event.time),
        source=cut(event.type.removeprefix("mail.") + reason + told_by, EVIDENCE_TEXT),
        event_id=event.id,
        list=list_,
        wording=cut(data.wording, EVIDENCE_TEXT),
        mail=cut(data.command_id, EVIDENCE_TEXT),
        ip=cut(data.ip, IP_BYTES),
    )


def _report_to_mailer(
    customer: Customer,
    event: Event,
    verdict: Literal["bounced", "complained"],
    address: str,
    context: Context,
) -> None:
    """What came back counts for the reputation, which the mailer guards; not that of another one's
    mails."""
    data: MailOutcome = event.data
    if event.backfill or not data.command_id:
        return
    if verdict == "complained":
        customer.complained = context.now
    context.effects.append(
        command(
            FeedbackCommand(
                id=derived_id("feedback", data.command_id, verdict),
                time=context.now,
                customer=event.customer,
                command_id=data.command_id,
                verdict=verdict,
                address=address_digest(address),
            )
        )
    )


HANDLERS: Mapping[str, Handler] = {
    "mail.sent": sent,
    "mail.delivered": delivered,
    "mail.bounced": bounced,
    "mail.failed": finished,
    "mail.rejected": finished,
    "mail.skipped": skipped,
    "mail.complained": complained,
    "mail.unsubscribed": unsubscribed,
}
