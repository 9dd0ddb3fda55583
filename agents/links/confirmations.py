"""How often an address is asked to confirm: once a day, three times in ninety days, until somebody
does, whoever asks under whichever id for whichever list.

A mail that asks is reserved at the address's actor before it is decided, as a code of a pool is.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.context import Context, DomainEvent
from agents.digests import derived_id
from agents.effects import tell
from agents.links import names
from agents.links.registration import SOURCE, address_link
from schemas.customer import Customer
from schemas.customer.links import ASKED_KEPT
from schemas.customer.runs import Run
from schemas.events import Event
from schemas.events.own import AddressConfirmed, ConfirmationAnswered, ConfirmationRequested
from schemas.time_units import DAY_MS, HOUR_MS

SPAN_MS = 90 * DAY_MS
ALLOWED, REFUSED = "allowed", "refused"
"""What the address's actor has answered."""
ANSWER_LASTS = HOUR_MS
"""ms that a run waits for the answer: it comes with the log's next records."""


def request(customer: Customer, run: Run, step: str, address: str, context: Context) -> None:
    """Ask an address's actor whether a step's mail may ask it to confirm; the answer is an event
    `confirmation.answered`."""
    data = ConfirmationRequested(customer_id=customer.key, run=run.id, step=step)
    cause = derived_id(customer.key, run.id, step)
    _send(_key(address, context), "confirmation.requested", data, cause, context)


def confirmed(customer: Customer, address: str, cause: str, context: Context) -> None:
    """Tell an address's actor that somebody has confirmed."""
    data = AddressConfirmed(customer_id=customer.key)
    _send(_key(address, context), "address.confirmed", data, cause, context)


def requested(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """As an address's actor: answer, and remember the mail that may go."""
    data: ConfirmationRequested = event.data
    allowed = may_ask(link.links.asked, context.now)
    if allowed:
        link.links.asked = [*link.links.asked, context.now][-ASKED_KEPT:]
    answer = ConfirmationAnswered(run=data.run, step=data.step, allowed=allowed)
    _send(data.customer_id, "confirmation.answered", answer, event.id, context)
    return []


def may_ask(asked: Sequence[int], now: int) -> bool:
    """Return whether an address may be asked again at `now` (ms) that was asked at these times."""
    if asked and asked[-1] > now - DAY_MS:
        return False
    return sum(time > now - SPAN_MS for time in asked) < ASKED_KEPT


def was_confirmed(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """As an address's actor: whoever reads its mails wants to be asked."""
    link.links.asked = []
    return []


def _key(address: str, context: Context) -> str:
    return names.PREFIX + address_link(address, context)


def _send(
    receiver: str,
    type_: str,
    data: ConfirmationRequested | ConfirmationAnswered | AddressConfirmed,
    cause: str,
    context: Context,
) -> None:
    id_ = derived_id(type_, cause)
    message = tell(receiver, type_, data, id_=id_, source=SOURCE, time=context.now)
    context.effects.append(message)
