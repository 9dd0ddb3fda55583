"""Places for marketing at an address that several customers have: each mail is reserved at the
address's actor before it is decided, so that all of them together keep to the shop's caps.

Who has an address alone decides alone. A place that was given is taken, also when its mail is not
sent in the end; what can't go is told when there may be a place again.
"""

from __future__ import annotations

from agents.context import Context, DomainEvent
from agents.digests import derived_id
from agents.effects import tell
from agents.links import address_statements, names
from agents.links.registration import SOURCE
from agents.sending import limits
from schemas.customer import Customer
from schemas.customer.links import SENT_KEPT, AddressStatements
from schemas.customer.runs import Run
from schemas.events import Event
from schemas.events.own import MarketingAnswered, MarketingRequested
from schemas.time_units import HOUR_MS

ANSWER_LASTS = HOUR_MS
"""ms that a mail waits for the answer, which comes with the log's next records; then it is judged
and reserved anew."""


def are_shared(customer: Customer) -> bool:
    """Return whether others have the customer's address, too."""
    return bool(customer.links.address)


def request(customer: Customer, run: Run, step: str, context: Context) -> None:
    """Ask for a place; the answer is an event `marketing.answered`."""
    data = MarketingRequested(
        customer_id=customer.key, run=run.id, step=step, zone=customer.profile.zone
    )
    link = names.PREFIX + customer.links.address
    cause = derived_id(customer.key, run.id, step, str(context.now), context.cause)
    _send(link, "marketing.requested", data, cause, context)


def requested(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """As an address's actor: give a place, if the caps leave one, and tell the others of it. One of
    many is told what was said instead, if that forbids marketing: it leaves its mail out then."""
    data: MarketingRequested = event.data
    said = link.links.said or AddressStatements()
    if data.customer_id not in link.links.holders:
        address_statements.tell_what_was_said(link, data.customer_id, event, context)
        if address_statements.forbid_marketing(said):
            return []
    until = limits.place_from(context.live.policy, said.sent, data.zone, context.now)
    if until <= context.now:
        until = 0
        said.sent = [*said.sent, context.now][-SENT_KEPT:]
        link.links.said = said
        address_statements.tell_sent(link, data.customer_id, event, context)
    answer = MarketingAnswered(run=data.run, step=data.step, until=until)
    _send(data.customer_id, "marketing.answered", answer, event.id, context)
    return []


def _send(
    receiver: str,
    type_: str,
    data: MarketingRequested | MarketingAnswered,
    cause: str,
    context: Context,
) -> None:
    id_ = derived_id(type_, cause)
    message = tell(receiver, type_, data, id_=id_, source=SOURCE, time=context.now)
    context.effects.append(message)
