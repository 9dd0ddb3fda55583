"""The command to send: what a decided mail carries, and that it is remembered.

Whether a marketing mail may go is for `agents/sending/arbitration.py` to say; a confirmation may as
soon as there is an address that takes mail.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from agents.commerce import loyalty
from agents.context import Context
from agents.customer import derived_state, mailed, profile, tracking
from agents.definitions import template_variables, triggers
from agents.definitions.published import WorkflowVersion
from agents.digests import derived_id
from agents.effects import command
from agents.products import recommendations
from agents.rules import conditions
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import Part
from agents.sending import arbitration
from agents.sending.recipient import recipient
from schemas.addresses import same_address
from schemas.bounds import kept_bytes, largest
from schemas.commands import LegalBasis, MailClass, NotifyCommand, QuietHours, SendCommand
from schemas.customer import Customer
from schemas.customer.mail import PENDING_TOTAL_BYTES, Pending, Sent
from schemas.customer.runs import Run
from schemas.customer.shopping import LineItem, Order
from schemas.definitions.shop import Loyalty
from schemas.definitions.steps import SendStep, Step
from schemas.instant import to_rfc3339
from schemas.money import amount_text
from schemas.notation import DEFAULT_ZONE
from schemas.stored import NEVER
from schemas.time_units import HOUR_MS

EXPIRES_AFTER: dict[MailClass, int] = {"transactional": 48 * HOUR_MS, "marketing": 24 * HOUR_MS}
"""How long a mail may wait at the mailer, ms; the spans of the retry budget."""

_ADDRESSES = frozenset({"url", "links"})
"""Variables, or keys of them, that are addresses."""

_LARGEST = largest(Pending)

_IGNORED: frozenset[Part] = frozenset({"activity"})
"""What a sent mail changes of what is known: how many were ignored."""


def command_id(customer: Customer, run: Run, step: Step) -> str:
    """Return the command's id: the same decision has the same id, however often it is taken."""
    return derived_id(customer.key, run.id, step.id)


def trace_of(run: Run, context: Context) -> str | None:
    """Return the trace of what a run does now: of the event at hand, or of that which began it."""
    return context.traceparent or run.traceparent or None


def send(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    step: SendStep,
    context: Context,
    *,
    basis: LegalBasis = "contract",
) -> SendCommand:
    """Command one mail, and remember that it was."""
    sent = _command(customer, run, published, step, basis, context)
    context.effects.append(command(sent))
    mailed.remember(customer, sent.id, sent.email, context.now)
    remembered = Sent(context.now, sent.workflow, sent.step, sent.mail_class, sent.kind, sent.id)
    arbitration.remember(customer, remembered, context.live.policy)
    derived_state.changed(customer, _IGNORED, context)
    wait_for(customer, sent, context)
    return sent


def wait_for(customer: Customer, sent: SendCommand | NotifyCommand, context: Context) -> None:
    """Remember what can still be taken back."""
    mail_class = sent.mail_class if isinstance(sent, SendCommand) else "transactional"
    under = "" if sent.customer == customer.key else sent.customer
    customer.pending = [mail for mail in customer.pending if mail.expires > context.now]
    customer.pending.append(
        Pending(sent.id, sent.run, sent.workflow, sent.step, mail_class, sent.expires, under)
    )
    fit_pending(customer)


def fit_pending(customer: Customer) -> None:
    """Give up taking mails back for which there is no room: confirmations first, which are true
    whatever comes after them, and of those that are alike the one that expires first."""
    pending = customer.pending
    if len(pending) * _LARGEST > PENDING_TOTAL_BYTES:
        while kept_bytes(pending) > PENDING_TOTAL_BYTES:
            pending.remove(
                min(
                    pending,
                    key=lambda mail: (
                        mail.mail_class == "marketing",
                        mail.expires,
                        mail.command_id,
                    ),
                )
            )


def _command(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    step: SendStep,
    basis: LegalBasis,
    context: Context,
) -> SendCommand:
    address = recipient(customer, run, step.mail_class)
    elsewhere = not same_address(address, customer.profile.email)
    stranger = elsewhere and not run.order_id
    return SendCommand(
        id=command_id(customer, run, step),
        time=context.now,
        expires=_expires(run, step, context.now),
        customer=customer.key,
        email=address,
        name="" if stranger else profile.full_name(customer.profile),
        locale=customer.profile.language,
        zone=customer.profile.zone or DEFAULT_ZONE,
        workflow=run.workflow,
        version=published.version,
        run=run.id,
        step=step.id,
        mail_class=step.mail_class,
        kind=step.kind,
        template=step.send,
        variables=_variables(customer, run, step, context, stranger=stranger),
        legal_basis=basis,
        reason=triggers.cause(published.workflow.trigger),
        bulk=step.bulk,
        quiet=_quiet(step, context),
        tracking=tracking.most_allowed(customer, step.tracking),
        elsewhere=elsewhere or None,
        traceparent=trace_of(run, context),
    )


def _quiet(step: SendStep, context: Context) -> QuietHours | None:
    """Whatever keeps a mail at the mailer, it is not to arrive at night either."""
    policy = context.live.policy
    if step.mail_class != "marketing" or policy is None or policy.quiet is None:
        return None
    return QuietHours(begins=policy.quiet.begins, ends=policy.quiet.ends)


def _expires(run: Run, step: SendStep, now: int) -> int:
    """`expires` counts from when the mail was due first: being held has used up some of it."""
    if step.expires is None:
        return now + EXPIRES_AFTER[step.mail_class]
    return (run.held or now) + step.expires


def _variables(
    customer: Customer, run: Run, step: SendStep, context: Context, *, stranger: bool
) -> dict[str, JsonValue]:
    """What a template may name. Every key is always there; what isn't known is null or empty. A
    stranger is not told the customer's name."""
    order = customer.order(run.order_id, run.shop or None) if run.order_id else None
    lines = [] if order is None else template_variables.lines_shown(order, step.mail_class)
    given: dict[str, JsonValue] = {
        "customer": {"first_name": "" if stranger else profile.first_name(customer.profile)},
        "cart": template_variables.cart(customer.cart, context.catalogue)
        if customer.cart.lines
        else None,
        "order": _order(order, lines, run, context),
        "product": None
        if order is None
        else template_variables.favourite(lines, order.currency, context.catalogue),
        "coupon": _coupon(customer, run, context),
        "list": run.list,
        "reason": run.workflow,
    }
    if run.event:
        given["event"] = run.event
    if step.products is not None:
        shown = recommendations.choose(step.products, customer, run, context.catalogue) or []
        given["products"] = [recommendations.describe(product) for product in shown]
    if context.live.loyalty is not None:
        given["points"] = _points(customer, context.live.loyalty)
    evaluation = context.evaluation(customer, run)
    own: dict[str, JsonValue] = _filled(step.variables, evaluation)
    return given | own


def _order(order: Order | None, lines: list[LineItem], run: Run, context: Context) -> JsonValue:
    if order is not None:
        return template_variables.order(order, lines, context.catalogue)
    return template_variables.unknown_order(run.order_id, run.event) if run.order_id else None


def _filled(value: JsonValue, evaluation: EvaluationContext, *, link: bool = False) -> Any:
    """Texts may name fields, `{event.topic}`, wherever they stand; in an address as parts of it."""
    if isinstance(value, str):
        return conditions.fill(value, evaluation, link=link) if "{" in value else value
    if isinstance(value, list):
        return [_filled(each, evaluation, link=link) for each in value]
    if isinstance(value, dict):
        return {
            name: _filled(each, evaluation, link=link or name in _ADDRESSES)
            for name, each in value.items()
        }
    return value


def _coupon(customer: Customer, run: Run, context: Context) -> JsonValue:
    """The last code that the run has issued, as far as it can still be used."""
    issued = next(
        (each for each in customer.coupons if run.coupon and each.code == run.coupon), None
    )
    if issued is None or issued.expires <= context.now:
        return None
    campaign = context.live.campaigns.get(issued.campaign)
    if campaign is None:
        return None
    return {
        "code": issued.code,
        "description": dict(campaign.description),
        "kind": campaign.kind,
        "minimum": None if campaign.minimum is None else amount_text(campaign.minimum),
        "currency": campaign.currency,
        "expires": None if issued.expires == NEVER else to_rfc3339(issued.expires),
    }


def _points(customer: Customer, programme: Loyalty) -> JsonValue:
    titles: dict[str, JsonValue] = {tier.name: {**tier.title} for tier in programme.tiers}
    ahead = loyalty.missing(customer, programme)
    return {
        "balance": customer.points_balance,
        "tier": titles.get(customer.tier),
        "next_tier": None if ahead is None else titles[ahead[0]],
        "missing": None if ahead is None else ahead[1],
    }
