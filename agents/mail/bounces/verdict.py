"""What is known about a message that came back."""

from __future__ import annotations

from typing import Literal, NamedTuple

from schemas.outcomes import ReturnKind, ReturnReason

Source = Literal["report", "feedback", "autoreply", "notice", "flufl", "none"]
"""Who understood the message."""


class BouncedRecipient(NamedTuple):
    """What became of one recipient."""

    address: str
    """Domain in lower case and ASCII; empty where the message hides it."""
    kind: ReturnKind
    reason: ReturnReason
    code: int | None = None
    """The SMTP reply, where one is quoted."""
    enhanced_code: str | None = None
    """RFC 3463."""
    text: str = ""
    """The server's words on one line, addresses masked."""


class Returned(NamedTuple):
    """Headers of the mail that came back, as far as they were returned; empty what was not."""

    message_id: str = ""
    list_unsubscribe: str = ""
    token: str = ""
    """Of the header X-Ritorno-Mail (`agents/mail/message/verp.py`)."""
    senders: tuple[str, ...] = ()
    """Addresses of which one may be the return address of the mail: those that the report came to,
    and those that it names as the mail's sender."""


class BounceVerdict(NamedTuple):
    """A message, understood."""

    recipients: tuple[BouncedRecipient, ...]
    """Never empty; the first one speaks for the message."""
    source: Source
    returned: Returned = Returned()

    @property
    def first(self) -> BouncedRecipient:
        """What the message is counted as."""
        return self.recipients[0]
