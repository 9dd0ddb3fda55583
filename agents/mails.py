"""What became of the mails: outcomes end the wait for them, bounces and complaints end mailing."""

from __future__ import annotations

from agents.consent import withdraw
from agents.context import Context, Occurred
from schemas.customer import Customer, Evidence
from schemas.events import Event
from schemas.outcomes import MailBounced, MailEngaged, MailOutcome


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
    data: MailEngaged = event.data
    said = Evidence(
        purpose="marketing",
        given=False,
        time=context.when(event.time),
        source=event.type.removeprefix("mail.") + (f", {data.reason}"[:100] if data.reason else ""),
        event_id=event.id,
        wording=data.wording[:100],
        mail=data.command_id[:200],
        ip=data.ip[:100],
    )
    return withdraw(customer, said)
