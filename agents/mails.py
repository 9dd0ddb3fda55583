"""What became of the mails: outcomes end the wait for them, bounces and complaints end mailing."""

from __future__ import annotations

from agents.consent import withdraw
from agents.context import Context, Occurred
from schemas.customer import Customer
from schemas.events import Event
from schemas.outcomes import MailBounced, MailOutcome


def finished(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Sent, failed or skipped: it can't be taken back any more."""
    data: MailOutcome = event.data
    customer.pending = [mail for mail in customer.pending if mail.command_id != data.command_id]
    return []


def bounced(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """A hard bounce says that the address is no good; the other kinds say nothing of it."""
    data: MailBounced = event.data
    finished(customer, event, context)
    if data.kind != "hard":
        return []
    customer.suppressed = "bounced"
    return [Occurred("address.bounced", context.when(event.time))]


def objected(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Unsubscribed or complained: no marketing from now on."""
    reason = event.type.removeprefix("mail.")
    return withdraw(customer, "marketing", context.when(event.time), reason, event.id)
