"""Decisions in words, for people who watch."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.decisions import Decision, DecisionKind, Reason

KINDS: Mapping[DecisionKind, str] = {
    "entered": "begins",
    "not_entered": "does not begin",
    "sent": "sends",
    "skipped": "leaves out",
    "postponed": "puts off",
    "exited": "ends",
    "completed": "is complete",
    "cancelled": "is cancelled",
}

REASONS: Mapping[Reason, str] = {
    "triggered": "this is what it waits for",
    "due": "its time has come",
    "already_entered": "it has run for this one not long ago",
    "no_consent": "no consent to marketing",
    "no_address": "no mail address is known",
    "suppressed": "the address no longer takes mail",
    "late": "it is too late for it now",
    "condition": "its condition does not hold",
    "stopped": "what it would ask for has happened already",
    "outside_window": "it waits for a decent hour",
    "last_step": "that was the last step",
    "cart.changed": "the cart has changed",
    "order.completed": "the customer has bought",
    "order.shipped": "the parcel is on its way",
    "order.delivered": "the parcel has arrived",
    "order.cancelled": "the order was cancelled",
    "order.refunded": "the order was refunded",
    "cart.emptied": "the cart was emptied",
    "product.reviewed": "the product was reviewed",
    "consent.withdrawn": "the consent was withdrawn",
    "address.bounced": "the address bounced",
    "list.joined": "the customer has joined a list",
    "list.left": "the customer has left the list",
    "customer.erased": "the customer asked to be forgotten",
    "merged": "the visitor turned out to be a known customer",
    "definition_gone": "the workflow's definition is gone",
    "internal_error": "a defect of ours, see the log",
}

OUTCOMES: Mapping[str, str] = {
    "cancelled": "taken back before it left",
    "expired": "too old when the relay was back",
    "invalid_address": "the address is none",
    "smtputf8_unsupported": "the relay can't write to this address",
}
"""Why a mail was skipped."""


def sentence(decision: Decision, title: str) -> str:
    """Return what was decided and why, in a line."""
    what = f" {decision.step}" if decision.step else ""
    return f"{title} {KINDS[decision.decision]}{what}: {REASONS[decision.reason]}"
