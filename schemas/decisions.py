"""Decisions: what was decided for a customer and why, also when it was not to send."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.commands import MailClass
from schemas.instant import Instant

DecisionKind = Literal[
    "entered", "not_entered", "sent", "skipped", "postponed", "exited", "completed", "cancelled"
]

Reason = Literal[
    # entered, sent
    "triggered",
    "due",
    # not entered
    "already_entered",
    # not sent, not entered
    "no_consent",
    "no_address",
    "suppressed",
    "late",
    "condition",
    "stopped",
    # postponed
    "outside_window",
    # completed
    "last_step",
    # exited, cancelled: every occurrence that `exit_on` may name
    "cart.changed",
    "cart.emptied",
    "order.completed",
    "order.shipped",
    "order.delivered",
    "order.cancelled",
    "order.refunded",
    "product.reviewed",
    "list.joined",
    "list.left",
    "consent.withdrawn",
    "address.bounced",
    "customer.erased",
    "merged",
    "definition_gone",
    "internal_error",
]
"""Closed, so that it can be a label in metrics and a sentence in either language."""


class Decision(BaseModel):
    """One decision. `time` is the time of the log."""

    model_config = ConfigDict(frozen=True)

    time: Instant
    customer: str
    workflow: str
    version: str
    run: str
    step: str = ""
    decision: DecisionKind
    reason: Reason
    template: str = ""
    mail_class: MailClass | None = Field(default=None, serialization_alias="class")
    command_id: str = ""
    due: Instant | None = None


DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)
