"""Who writes to the customers, and what every mail shows of the shop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from agents.mail.addresses import EnvelopeRecipient, InvalidAddress, read_recipient
from agents.mail.message.colors import DARK, LIGHT, label_color, readable_on
from schemas.commands import TrackingMode
from schemas.languages import MAIL_LANGUAGES

if TYPE_CHECKING:  # cryptography takes its time to load, and few commands sign
    from agents.mail.message.dkim import DkimKey

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
    color: str = "#1f5f4a"
    """Of buttons, links and the name: `#rrggbb`."""
    logo_url: str = ""
    """A picture in place of the name, shown 40 px high. Empty: the name."""
    postal_address: str = ""
    """In the footer of every mail. Empty: none."""

    @property
    def color_of_labels(self) -> str:
        """White or black, whichever is easier to read on `color`."""
        return label_color(self.color)

    @property
    def color_on_light(self) -> str:
        """`color`, dark enough to be read on a light page."""
        return readable_on(self.color, LIGHT)

    @property
    def color_on_dark(self) -> str:
        """`color`, light enough to be read on a dark page."""
        return readable_on(self.color, DARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """All that a mail needs besides its command. Raises ValueError naming the field."""

    shop: Shop
    from_address: str
    from_name: str
    public_url: str
    """Where the world reaches `streams/http/public/`, without a slash at the end."""
    signing_keys: Sequence[SigningKey]
    """The first one signs, all of them verify."""
    reply_to: str = ""
    """Empty: no Reply-To, answers go to `from_address`."""
    envelope_from: str = ""
    """Who gets bounces (MAIL FROM). Empty: `from_address`."""
    bounce_domain: str = ""
    """Domain of return addresses (`agents/mail/message/verp.py`). Empty: all mails name the one
    above."""
    list_id: str = ""
    """Empty: `news.` and the domain of `from_address`."""
    unsubscribe_mailbox: str = ""
    """A mailbox that somebody reads; a second way to unsubscribe. Empty: none."""
    feedback_sender: str = ""
    """Last field of Feedback-ID, 5 to 15 characters that stay. Empty: made of the domain."""
    fallback_locale: str = MAIL_LANGUAGES[0]
    """For customers whose language has no template."""
    dkim_keys: Sequence[DkimKey] = ()
    """Each of them signs every mail. None: mails leave unsigned."""
    dkim_valid_days: int | None = None
    """How long signatures stay valid after a mail's expiry. None: for ever."""
    tracking: TrackingMode = "anonymous"
    """The most that may be noted of openings and clicks, whatever workflow and person allow."""
    tracking_hosts: Sequence[str] = ()
    """Hosts besides the shop's own to which counted links may lead."""
    confirm_days: int = 7
    """How long the link of a double opt-in holds."""

    def __post_init__(self) -> None:
        if not self.signing_keys:
            raise ValueError("signing_keys: at least one is needed to sign unsubscribe links")
        parts = urlsplit(self.public_url)
        # RFC 8058: one-click must be https. Plain http is good only for trying out.
        if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            raise ValueError(f"public_url: must be https (got {self.public_url!r})")
        for field in ("from_address", "reply_to", "envelope_from", "unsubscribe_mailbox"):
            self._check_address(field, getattr(self, field))
        for field in ("public_url", "list_id", "feedback_sender"):
            value: str = getattr(self, field)
            if not value.isascii() or not value.isprintable():
                # A domain's ASCII form begins with xn--.
                raise ValueError(f"{field}: stands in headers, so must be ASCII (got {value!r})")

    @property
    def sender(self) -> EnvelopeRecipient:
        """Address and name of who writes; the domain in ASCII."""
        return read_recipient(self.from_address, self.from_name)

    @property
    def sender_domain(self) -> str:
        """The domain of `from_address`, in ASCII."""
        return self.sender.address.rpartition("@")[2]

    @property
    def default_feedback_sender(self) -> str:
        """A last field of Feedback-ID that stays as long as the sender's domain does."""
        return hashlib.sha256(self.sender_domain.encode()).hexdigest()[:12]

    @staticmethod
    def _check_address(field: str, address: str) -> None:
        """An international domain has an ASCII form, a local part has none."""
        if not address:
            return
        try:
            if not read_recipient(address, "").smtputf8:
                return
        except InvalidAddress as error:
            raise ValueError(f"{field}: {error} (got {address!r})") from None
        raise ValueError(f"{field}: before the @ must be ASCII, or few relays take the mails")
