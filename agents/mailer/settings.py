"""Who writes to the customers, and what every mail shows of the shop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SigningKey(NamedTuple):
    """A secret for signed links and the id by which a link names it."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What templates know as `shop`."""

    name: str
    url: str
    support_email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """All that a mail needs besides its command. Raises ValueError naming the field."""

    shop: Shop
    from_address: str
    from_name: str
    public_url: str
    """Where the world reaches `streams/mail/public.py`, without a slash at the end."""
    signing_keys: Sequence[SigningKey]
    """The first one signs, all of them verify."""
    reply_to: str = ""
    """Empty: no Reply-To, answers go to `from_address`."""
    envelope_from: str = ""
    """Who gets bounces (MAIL FROM). Empty: `from_address`."""
    list_id: str = ""
    """Empty: `news.` and the domain of `from_address`."""
    unsubscribe_mailbox: str = ""
    """A mailbox that somebody reads; a second way to unsubscribe. Empty: none."""
    feedback_sender: str = ""
    """Last field of Feedback-ID, 5 to 15 characters that stay. Empty: no such header."""
    fallback_locale: str = "it"
    """For customers whose language has no template."""

    def __post_init__(self) -> None:
        if not self.signing_keys:
            raise ValueError("signing_keys: at least one is needed to sign unsubscribe links")
        parts = urlsplit(self.public_url)
        # RFC 8058: one-click must be https. Plain http is good only for trying out.
        if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            raise ValueError(f"public_url: must be https (got {self.public_url!r})")

    @property
    def sender_domain(self) -> str:
        """The domain of `from_address`."""
        return self.from_address.rpartition("@")[2]
