"""What was sent to the customer, and what came of it."""

from __future__ import annotations

import msgspec

from schemas.commands import MailClass, MailKind

SENT_HISTORY = 60
"""Marketing mails remembered for caps and mix: two a day for a month, more than anybody may get."""


class Sent(msgspec.Struct, array_like=True):
    """A mail that was commanded."""

    time: int
    workflow: str
    step: str
    mail_class: MailClass
    kind: MailKind
    command_id: str = ""


class Pending(msgspec.Struct, array_like=True):
    """A commanded mail whose outcome is not known yet: it can still be taken back."""

    command_id: str
    run: str
    workflow: str
    step: str
    mail_class: MailClass
    expires: int
    customer: str = ""
    """Under which id it was commanded, when that was not the customer's own: the visitor's, or the
    shop's, whose people are told. A cancel has to follow it."""


class MailHabits(msgspec.Struct, array_like=True):
    """What the customer does with mails, as far as that may be known."""

    sent: int = 0
    """When the last one was sent."""
    opened: int = 0
    clicked: int = 0
    opens: int = 0
    """How often."""
    clicks: int = 0
    offer_clicks: int = 0
    """Clicks in promotional mails."""


class Accepted(msgspec.Struct, array_like=True):
    """A mail that a relay has taken, of which nobody has said yet that it failed."""

    digest: bytes
    """Of the command's id."""
    time: int


class Bounces(msgspec.Struct, array_like=True):
    """Soft bounces since the last delivery."""

    soft: int = 0
    digests: bytes = b""
    """Of the ids of the commands that were counted, `SEEN_BYTES` each."""
    accepted: list[Accepted] = []
    former: str = ""
    """Digest of the address before this one: reports about it may still come."""
