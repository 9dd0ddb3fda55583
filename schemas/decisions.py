"""Decisions: what was decided for a customer and why, also when it was not to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.commands import MailClass, MailKind
from schemas.definitions.triggers import OCCURRENCES
from schemas.instant import Instant

DecisionKind = Literal[
    "entered",
    "not_entered",
    "sent",
    "held",  # a mail that may not go now waits with the others
    "skipped",
    "postponed",
    "branched",  # went one way of a branch
    "assigned",  # got a variant of an experiment
    "acted",  # tagged, listed, scored, notified, gave a coupon…
    "exited",
    "completed",
    "converted",  # reached the goal
    "cancelled",
]

OWN_REASONS = (
    # entered, sent
    "triggered",
    "due",
    # not entered
    "already_entered",
    "cooling_down",
    "other_of_group",
    "out_of_season",
    "too_many_runs",
    "chain_too_long",
    # not sent, not entered
    "no_consent",
    "no_address",
    "suppressed",
    "unproven_address",
    "everybodys_id",
    "objected",
    "asked_enough",
    "late",
    "condition",
    "stopped",
    "holdout",
    "expired",
    # held, and why that ended
    "quiet_hours",
    "frequency_cap",
    "fatigue",
    "mix",
    "outranked",
    "order_hinted",
    # branched, assigned, acted
    "condition_holds",
    "otherwise",
    "hash",
    "step",
    "no_coupon",
    "no_products",
    # a reminder, a code or a product's mail with nothing behind it
    "empty_cart",
    "sold_out",
    "no_value",
    "not_live",
    # postponed
    "outside_window",
    "calling",
    # completed
    "last_step",
    # converted
    "goal",
    # exited, cancelled
    "custom",  # an event of the shop's own, which the detail names
    "exit_condition",
    "exit_step",
    "address.bounced",
    "customer.erased",
    "merged",
    "order.placed_elsewhere",
    "definition_gone",
    "internal_error",
)
REASONS = frozenset(OWN_REASONS) | OCCURRENCES
"""And every occurrence, since `exit_on` and `stop_on` may name any."""

if TYPE_CHECKING:
    Reason = str
else:
    Reason = Literal[*sorted(REASONS)]
"""Closed, so that it can be a label in metrics and a sentence in either language."""


class Decision(BaseModel):
    """One decision. `time` is the time of the log."""

    model_config = ConfigDict(defer_build=True, frozen=True)

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
    kind: MailKind | None = None
    variant: str = ""
    """The variants that the run has, `experiment=variant`, separated by blanks."""
    held_since: Instant | None = None
    """Of a mail that was held: when it was judged first."""
    detail: str = ""
    """What was done, which cap held it, which way was gone: a few words, no personal data."""


DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)
