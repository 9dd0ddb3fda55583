"""What the customer agent asks of the mailer, on the topic `send-commands`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from schemas.instant import Instant

MailClass = Literal["transactional", "marketing"]
"""Decides what is promised: marketing is sent at most once, transactional at least once."""

MailKind = Literal["informative", "promotional", "transactional"]
"""What the mail is about, for the mix of informative and promotional mails (rule R01)."""

LegalBasis = Literal["contract", "consent"]
"""GDPR art. 6(1): (b) performance of a contract, (a) consent."""


class SendCommand(BaseModel):
    """One decided mail. Its id derives from (customer, run, step): twice produced is harmless."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

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
    """Why this mail, in a few words of a closed vocabulary."""


class CancelCommand(BaseModel):
    """Take back a mail that may still wait at the mailer: its cause has disappeared."""

    model_config = ConfigDict(frozen=True)

    action: Literal["cancel"] = "cancel"
    id: str
    """The id of the SendCommand."""
    time: Instant
    customer: str
    reason: str


Command = Annotated[SendCommand | CancelCommand, Field(discriminator="action")]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
