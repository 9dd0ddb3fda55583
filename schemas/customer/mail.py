"""What was sent to the customer, and what came of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.bounds import InBytes, InNumber, Name, Reference, Word
from schemas.commands import MailClass, MailKind
from schemas.time_units import DAY_MS

SENT_HISTORY = 60
"""Marketing mails remembered for caps and mix: two a day for a month, more than anybody may get."""
SENT_TOTAL_BYTES = 14_000
"""Bytes of all mails remembered, those too that are remembered for a workflow's own cap: over a
hundred of the usual size."""
PENDING_TOTAL_BYTES = 8_000
"""Bytes of the mails that can still be taken back: some fifty of the usual size, and a day's mails
are a handful."""
RUN_ID_BYTES = 300
"""Of a run's id: workflow, subject, and when it began."""
ACCEPTED_KEPT = 20
"""The oldest are kept: they are the first to be settled."""
BOUNCES_COUNTED = 32
"""Soft bounces whose mails are remembered: mailing ends long before."""
MAILED_MS = 90 * DAY_MS
"""How long it is known to which address a mail was commanded: reports come within a week, and
complaints may come with the holidays' end."""
MAILED_KEPT = 1_000
"""Mails to one address of which that is known: eleven a day."""
MAILED_BYTES = 11
"""Of each: eight of the hash of the command's id, two of its day, one of what was heard of it."""
MAILED_TOTAL_BYTES = 16_000
"""Bytes of all of them, with the hashes of a few addresses."""

MailedCommands = Annotated[bytes, InBytes(MAILED_KEPT * MAILED_BYTES)]
"""The mails that were commanded to an address, oldest first (`agents/customer/mailed.py`)."""


class Sent(msgspec.Struct, array_like=True, gc=False):
    """A mail that was commanded."""

    time: int
    workflow: Name
    step: Name
    mail_class: MailClass
    kind: MailKind
    command_id: Word = ""


class Pending(msgspec.Struct, array_like=True, gc=False):
    """A commanded mail whose outcome is not known yet: it can still be taken back."""

    command_id: Word
    run: Annotated[str, InBytes(RUN_ID_BYTES)]
    workflow: Name
    step: Name
    mail_class: MailClass
    expires: int
    customer: Reference = ""
    """Under which id it was commanded, when that was not the customer's own: the visitor's, or the
    shop's, whose people are told. A cancel has to follow it."""


class MailHabits(msgspec.Struct, array_like=True, gc=False):
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


class AcceptedMail(msgspec.Struct, array_like=True, gc=False):
    """A mail that a relay has taken, of which nobody has said yet that it failed."""

    digest: Annotated[bytes, InBytes(8)]
    """Of the command's id."""
    time: int


class Bounces(msgspec.Struct, array_like=True, gc=False):
    """Soft bounces since the last delivery."""

    soft: int = 0
    digests: Annotated[bytes, InBytes(BOUNCES_COUNTED * 8)] = b""
    """Of the ids of the commands that were counted, `SEEN_BYTES` each."""
    accepted: Annotated[list[AcceptedMail], InNumber(ACCEPTED_KEPT)] = []
    former: Word = ""
    """Digest of the address before this one, if there was any."""
