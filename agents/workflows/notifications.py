"""Notifications of the shop: a webhook or a mail to the people who sell, and always a signal."""

from __future__ import annotations

from typing import Any

from agents.context import Context
from agents.customer import profile
from agents.digests import derived_id
from agents.effects import command, signal
from agents.rules import conditions
from agents.sending import send_commands
from schemas.commands import NotifyCommand, SendCommand
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions.steps import NotifyStep
from schemas.reference import id_of, is_visitors
from schemas.signals import SalesAlert
from schemas.time_units import HOUR_MS

SHOP = "ritorno:shop"
"""Whom mails to the shop are about: what becomes of them is no news of a customer."""
EXPIRES_AFTER = 48 * HOUR_MS


def notify(customer: Customer, run: Run, step: NotifyStep, context: Context) -> str:
    """Tell the shop of a customer; return where it was told."""
    policy = context.live.policy
    target = step.notify
    if target == "sales":
        target = policy.sales if policy is not None else ""
    evaluation = context.evaluation(customer, run)
    message = {
        language: conditions.fill(text, evaluation, language=language)
        for language, text in step.message.items()
    }
    id_ = derived_id(customer.key, run.id, step.id)
    alert = SalesAlert(
        id=id_,
        time=context.now,
        customer=customer.key,
        workflow=run.workflow,
        step=step.id,
        message=message,
    )
    context.effects.append(signal(alert))
    if not target:
        return "signal"
    webhook = target.startswith(("http://", "https://"))
    make = _webhook if webhook else _mail
    alert_command = make(customer, run, step, target, message, context)
    context.effects.append(command(alert_command))
    send_commands.wait_for(
        customer, alert_command, context
    )  # who is forgotten is not told of any more
    return "webhook" if webhook else "mail"


def _webhook(
    customer: Customer,
    run: Run,
    step: NotifyStep,
    url: str,
    message: dict[str, str],
    context: Context,
) -> NotifyCommand:
    return NotifyCommand(
        id=derived_id(customer.key, run.id, step.id),
        time=context.now,
        expires=context.now + EXPIRES_AFTER,
        customer=customer.key,
        workflow=run.workflow,
        version=run.version,
        run=run.id,
        step=step.id,
        url=url,
        body=_about(customer, run, message),
        traceparent=send_commands.trace_of(run, context),
    )


def _mail(
    customer: Customer,
    run: Run,
    step: NotifyStep,
    target: str,
    message: dict[str, str],
    context: Context,
) -> SendCommand:
    return SendCommand(
        id=derived_id(customer.key, run.id, step.id),
        time=context.now,
        expires=context.now + EXPIRES_AFTER,
        customer=SHOP,
        email=target.removeprefix("mailto:"),
        workflow=run.workflow,
        version=run.version,
        run=run.id,
        step=step.id,
        mail_class="transactional",
        kind="transactional",
        template=step.template,
        variables=_about(customer, run, message),
        legal_basis="contract",
        reason="sales.alert",
        traceparent=send_commands.trace_of(run, context),
    )


def _about(customer: Customer, run: Run, message: dict[str, str]) -> dict[str, Any]:
    visitor = {"visitor": True} if is_visitors(customer.key) else {}
    return {
        "customer": {
            "id": id_of(customer.key),
            **visitor,
            "name": profile.full_name(customer.profile),
            "first_name": profile.first_name(customer.profile),
            "email": customer.profile.email,
        },
        "workflow": run.workflow,
        "order_id": run.order_id,
        "order_number": _number(customer, run),
        "message": message,
        "event": run.event,
    }


def _number(customer: Customer, run: Run) -> str:
    """Return the number by which the customer knows the order of a run, else its id."""
    order = customer.order(run.order_id, run.shop or None) if run.order_id else None
    return run.order_id if order is None else order.number or order.id
