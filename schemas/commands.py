"""What the customer agent asks of the mailer, on the topic `send-commands`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from schemas.instant import Instant, LocalTime
from schemas.suppressions import SuppressionReason, SuppressionScope
from schemas.trace import TraceParent

MailClass = Literal["transactional", "marketing"]
"""Decides what is promised: marketing is sent at most once, transactional at least once."""

DeliveryClass = Literal["transactional", "automated", "bulk", "notify"]
"""How the mailer ranks what it delivers; each has a queue and a budget of its own. Marketing is
automated (one customer caused it) or bulk (a campaign); notify is a webhook."""

PausedClass = Literal["transactional", "marketing", "automated", "bulk", "notify"]
"""What a person may pause: `marketing` is both automated and bulk."""

MailKind = Literal["informative", "promotional", "transactional"]
"""What the mail is about, for the mix of informative and promotional mails (rule R01)."""

LegalBasis = Literal["contract", "consent", "soft_opt_in"]
"""GDPR art. 6(1): (b) performance of a contract, (a) consent; Codice Privacy art. 130(4): products
like those that the customer has bought (`agents/sending/legal_basis.py`)."""

TrackingMode = Literal["off", "anonymous", "pseudonymous", "identified"]
"""What may be noted of openings and clicks; see `schemas/tracking.py`."""


class QuietHours(BaseModel):
    """Hours of the customer's day in which no marketing mail is to arrive.

    `{"from": "21:00", "to": "09:00"}` goes over midnight. From and to alike: never quiet.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    begins: LocalTime = Field(alias="from")
    ends: LocalTime = Field(alias="to")


class SendCommand(BaseModel):
    """One decided mail. Its id derives from (customer, run, step): twice produced is harmless."""

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    action: Literal["send"] = "send"
    id: str
    time: Instant
    """Time of the decision, which is the time of the log."""
    expires: Instant
    """Not to be sent from then on; the mailer skips it with the reason `expired`."""
    customer: str
    email: str
    name: str = ""
    """Display name of the recipient, for the To header; may be empty."""
    locale: str = "it"
    zone: str = "Europe/Rome"
    workflow: str
    version: str
    run: str
    step: str
    mail_class: MailClass = Field(alias="class")
    kind: MailKind
    template: str
    variables: dict[str, JsonValue] = {}
    legal_basis: LegalBasis
    reason: str
    """Why this mail, in a few words of a closed set."""
    bulk: bool = False
    """Part of a campaign: a newsletter, an import. It gives way to what a customer has caused."""
    quiet: QuietHours | None = None
    """In `zone`. A marketing mail that had to wait is put off to their end, not sent in them."""
    tracking: TrackingMode = "off"
    """The most that workflow and person allow. The shop's own setting may lower it when the mail
    is made and when a hit comes in, and can never raise it."""
    elsewhere: bool | None = None
    """It goes to another address than the customer's own: an order's, or one that is to confirm a
    list. No link in it leads to the customer's preferences and data."""
    traceparent: TraceParent | None = None
    """Of the event that led to it; of a later step, of the event that began the run."""


class CancelCommand(BaseModel):
    """Take back a mail that may still wait at the mailer: its cause has disappeared."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    action: Literal["cancel"] = "cancel"
    id: str
    """The id of the SendCommand."""
    time: Instant
    customer: str
    reason: str


class NotifyCommand(BaseModel):
    """One decided webhook: another system is to hear of something, at least once.

    Its id derives from (customer, run, step) and is sent along, so that the receiver can tell a
    repetition.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    action: Literal["notify"] = "notify"
    id: str
    time: Instant
    expires: Instant
    customer: str
    workflow: str
    version: str
    run: str
    step: str
    url: str
    """`http://` or `https://`; the mailer rejects any other."""
    body: dict[str, JsonValue]
    """Sent as JSON."""
    traceparent: TraceParent | None = None
    """As in `SendCommand`."""


class FeedbackCommand(BaseModel):
    """What the world said later of a mail that was sent: it counts for the sender's reputation.

    Of each mail there is one for each verdict, and of complaints one a day for each customer.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    action: Literal["feedback"] = "feedback"
    id: str
    """Derived from mail and verdict; twice produced counts once."""
    time: Instant
    customer: str
    command_id: str
    verdict: Literal["bounced", "complained"]
    address: str = ""
    """Hash of the address that the mail went to (`agents/digests.py`): several customers may have
    the same. Workers of before this was told leave it empty."""


class SuppressCommand(BaseModel):
    """No more mail to an address, whoever has it: the mailer keeps a hash of it."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    action: Literal["suppress"] = "suppress"
    id: str
    time: Instant
    customer: str
    email: str
    scope: SuppressionScope
    reason: SuppressionReason
    ends: bool | None = None
    """Of an objection: who owns the address has said yes to marketing since."""


class PauseCommand(BaseModel):
    """Hold mails back until they are resumed. Without class and workflow: every mail there is.

    Pause, resume and release are control records: without a key, one in each partition.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    action: Literal["pause"] = "pause"
    time: Instant
    paused_class: PausedClass | None = Field(default=None, alias="class")
    workflow: str = ""
    reason: str = ""
    """For people."""


class ResumeCommand(BaseModel):
    """End the pauses that lie within class and workflow, all of them without either.

    Unless it names a workflow or leaves marketing out, it also ends what a bad reputation holds.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    action: Literal["resume"] = "resume"
    time: Instant
    paused_class: PausedClass | None = Field(default=None, alias="class")
    workflow: str = ""


class ReleaseCommand(BaseModel):
    """Let held mails go whatever holds them, except quiet hours: those of the customer's own."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    action: Literal["release"] = "release"
    time: Instant
    id: str = ""
    """Of one command. Empty: all that were commanded until now."""


Control = PauseCommand | ResumeCommand | ReleaseCommand
Command = Annotated[
    SendCommand | CancelCommand | NotifyCommand | FeedbackCommand | SuppressCommand | Control,
    Field(discriminator="action"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command, config=ConfigDict(defer_build=True))
