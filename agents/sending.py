"""The decision to send: may this mail go to this customer now, and what does it carry.

The one place that knows consent, address and suppression; frequency caps and quiet hours belong
here when they come.
"""

from __future__ import annotations

from pydantic import JsonValue

from agents import profile
from agents.context import Context
from agents.definitions import Published
from agents.digests import derived_id
from agents.effects import command
from agents.windows import DEFAULT_ZONE
from schemas.commands import MailClass, SendCommand
from schemas.customer import SENT_HISTORY, Cart, Customer, Line, Order, Pending, Run, Sent
from schemas.decisions import Reason
from schemas.instant import to_rfc3339
from schemas.money import amount_text
from schemas.definitions.steps import SendStep

EXPIRES_AFTER: dict[MailClass, int] = {"transactional": 48 * 3_600_000, "marketing": 24 * 3_600_000}
"""How long a mail may wait at the mailer, ms; the spans of the retry budget."""


def refusal(customer: Customer, mail_class: MailClass) -> Reason | None:
    """Return why a mail of this class may not go to this customer; None when it may."""
    if not customer.profile.email:
        return "no_address"
    if customer.suppressed:
        return "suppressed"
    if mail_class == "marketing" and not customer.consented("marketing"):
        return "no_consent"
    return None


def command_id(customer: Customer, run: Run, step: SendStep) -> str:
    """Return the command's id: the same decision has the same id, however often it is taken."""
    return derived_id(customer.key, run.id, step.id)


def send(
    customer: Customer, run: Run, published: Published, step: SendStep, context: Context
) -> SendCommand:
    """Command one mail, and remember that it was."""
    sent = _command(customer, run, published, step, context.now)
    context.effects.append(command(sent))
    customer.sent.append(Sent(context.now, sent.workflow, sent.step, sent.mail_class, sent.kind))
    del customer.sent[:-SENT_HISTORY]
    customer.pending = [mail for mail in customer.pending if mail.expires > context.now]
    customer.pending.append(
        Pending(sent.id, run.id, sent.workflow, sent.step, sent.mail_class, sent.expires)
    )
    return sent


def _command(
    customer: Customer, run: Run, published: Published, step: SendStep, now: int
) -> SendCommand:
    lifetime = EXPIRES_AFTER[step.mail_class] if step.expires is None else step.expires
    return SendCommand(
        id=command_id(customer, run, step),
        time=now,
        expires=now + lifetime,
        customer=customer.key,
        email=customer.profile.email,
        name=profile.full_name(customer.profile),
        locale=profile.language(customer.profile),
        zone=customer.profile.zone or DEFAULT_ZONE,
        workflow=run.workflow,
        version=published.version,
        run=run.id,
        step=step.id,
        mail_class=step.mail_class,
        kind=step.kind,
        template=step.send,
        variables=_variables(customer, run, step),
        legal_basis="contract" if step.mail_class == "transactional" else "consent",
        reason=published.workflow.trigger,
    )


def _variables(customer: Customer, run: Run, step: SendStep) -> dict[str, JsonValue]:
    """What a template may name. Every key is always there; what isn't known is null or empty."""
    order = customer.order(run.order_id) if run.order_id else None
    given: dict[str, JsonValue] = {
        "customer": {"first_name": profile.first_name(customer.profile)},
        "cart": _cart(customer.cart) if customer.cart.lines else None,
        "order": None if order is None else _order(order),
        "product": None if order is None else _favourite(order.lines),
        "coupon": None,
        "list": run.list,
        "reason": run.workflow,
    }
    return given | step.variables


def _cart(cart: Cart) -> JsonValue:
    return {
        "id": cart.id,
        "url": cart.url,
        "currency": cart.currency,
        "total": amount_text(cart.total()),
        "lines": [_line(line) for line in cart.lines],
    }


def _order(order: Order) -> JsonValue:
    return {
        "id": order.id,
        "time": to_rfc3339(order.time),
        "currency": order.currency,
        "total": amount_text(order.total),
        "subtotal": None if order.subtotal is None else amount_text(order.subtotal),
        "shipping": None if order.shipping is None else amount_text(order.shipping),
        "discount": None if order.discount is None else amount_text(order.discount),
        "tax": None if order.tax is None else amount_text(order.tax),
        "estimated_delivery": order.estimated_delivery,
        "tracking_number": order.tracking_number,
        "tracking_url": order.tracking_url,
        "lines": [_line(line) for line in order.lines],
    }


def _line(line: Line) -> dict[str, JsonValue]:
    return {
        "product_id": line.product_id,
        "name": line.name or line.product_id,
        "price": None if line.price is None else amount_text(line.price),
        "quantity": line.quantity,
        "url": line.url,
        "image_url": line.image_url,
    }


def _favourite(lines: list[Line]) -> JsonValue:
    """The product that a mail names when it can name only one: the dearest, the first of equals."""
    if not lines:
        return None
    return _line(max(lines, key=lambda line: line.price if line.price is not None else 0))
