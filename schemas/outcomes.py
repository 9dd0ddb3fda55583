"""What became of a mail: data of the `mail.*` events that come back into `customer-events`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.commands import MailClass
from schemas.event_type import EventType
from schemas.instant import Instant
from schemas.tracking import Verdict, Why

MAILER = "/ritorno/mailer"
"""Source of the outcomes that the mailer itself tells; others come from providers and reports."""

BounceKind = Literal["hard", "soft", "blocked", "content", "throttled"]
"""hard: the address is no good (5.1.x). blocked: we are refused (5.7.x), which says nothing of the
address. soft: may pass (4xx, 5.2.2). content: this mail is refused. throttled: too fast (4.7.x)."""

ReturnKind = BounceKind | Literal["complaint", "autoreply", "delayed", "delivered", "unknown"]
"""What a message that comes back says. complaint: somebody called the mail spam. autoreply: a
person is away, or a program answers. delayed: nothing has failed yet. delivered: a delivery
receipt. unknown: nothing that we understand."""

ReturnReason = Literal[
    # hard
    "no_such_user",
    "no_such_domain",
    "disabled",
    "moved",
    # soft
    "mailbox_full",
    "unreachable",
    "expired",
    "greylisted",
    "loop",
    "system",
    "unspecified",
    # blocked
    "spam",
    "reputation",
    "authentication",
    "sender",
    "policy",
    # throttled
    "rate",
    # content
    "too_large",
    "harmful",
    "malformed",
    # complaint
    "abuse",
    "fraud",
    "opt_out",
    # autoreply
    "away",
    "automatic",
    # delivered
    "delivered",
    "relayed",
    # unknown
    "not_a_report",
    "other_feedback",
    "unreadable",
]
"""Closed, so that it can be a label in metrics."""


MailVerdict = Literal["bounced", "complained", "delivered"]
"""What the world says of a mail that a relay has taken; of each mail each of them counts once."""

WhyIgnored = Literal["unknown_mail", "another_address", "repeated", "visitor"]
"""Why one of them changes nothing. unknown_mail: of no mail that was commanded for this customer,
or of one of more than 90 days ago. another_address: the mail went to an address that isn't the
customer's now. repeated: the same was heard of this mail. visitor: of another mailer's mail,
and it is a visitor or the public that tells it."""


class MailOutcome(BaseModel):
    """Fields that all mail events share; they say which decided mail this is about."""

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    command_id: str
    email: str | None = None
    """The address that the mail was for, where another mailer names it."""
    workflow: str = ""
    step: str = ""
    template: str = ""
    mail_class: MailClass = Field(default="marketing", alias="class")


class MailSent(MailOutcome):
    """The relay took responsibility."""

    message_id: str
    relay: str = ""
    attempt: int = 1
    ambiguous: bool = False
    """An earlier attempt ended between the final dot and the reply: this may be the second copy."""


class MailDeferred(MailOutcome):
    """A temporary refusal, or no answer at all; the mailer tries again."""

    attempt: int
    """0: a server behind the relay tries again, says a report that came back."""
    code: int | None = None
    enhanced_code: str | None = None
    reason: str
    ambiguous: bool = False


class MailBounced(MailOutcome):
    """Refused for good, always with the relay's code."""

    command_id: str = ""
    """Empty where another mailer says it: it may only take away."""
    code: int = 0
    """0 where another mailer quotes none."""
    enhanced_code: str | None = None
    kind: BounceKind = "soft"
    reason: str = ""
    reported: bool = False
    """The relay had taken the mail; a report came back later. Where it quotes no code, `code` is
    the usual one of what it says."""


class MailFailed(MailOutcome):
    """Given up without an answer from the relay."""

    reason: str
    ambiguous: bool = False


class MailRejected(MailOutcome):
    """Refused by ourselves before any relay heard of it: an impossible address, a broken template.

    Trying again would change nothing.
    """

    reason: str


class MailHeld(MailOutcome):
    """Waits although it is due: paused, reputation, warm_up, quiet_hours."""

    reason: str
    until: Instant | None = None
    """When it is looked at again; absent when a person or better times must come first."""


class MailSkipped(MailOutcome):
    """Not sent, since there is no reason to any more: expired, cancelled, suppressed…"""

    reason: str


class MailEngaged(MailOutcome):
    """Delivered."""

    command_id: str = ""
    """Empty where another mailer says it."""
    reason: str = ""
    wording: str = ""
    """Version of the words on the page where somebody unsubscribed."""
    ip: str = ""
    """Only where the shop has decided to keep it (RITORNO_CONSENT_EVIDENCE_IP)."""


class MailObjected(MailEngaged):
    """Complained of, or unsubscribed from."""

    list: str = ""
    """Where another mailer names one: which of its lists. If it is one of ours, only that is
    left."""
    list_name: str = ""
    """What that list is called there."""


class MailOpened(MailOutcome):
    """The mail's images were fetched: by a person, by a program, or nobody can tell."""

    command_id: str = ""
    """Empty where another mailer says it."""
    verdict: Verdict = "unknown"
    why: Why = ""


class MailClicked(MailOpened):
    """A link in the mail was followed."""

    link: int = 0
    """Which one, counted from 1."""
    url: str = ""


EVENT_TYPES = (
    EventType("mail.sent", MailSent, changes=("mails", "activity"), is_answer=True),
    EventType("mail.delivered", MailEngaged, segment="Email Delivered", is_answer=True),
    EventType("mail.deferred", MailDeferred, is_answer=True),
    EventType(
        "mail.bounced",
        MailBounced,
        segment="Email Bounced",
        changes=("mails", "activity"),
        takes_away=True,
        heard_anyway=True,
        is_answer=True,
    ),
    EventType("mail.failed", MailFailed, changes=("activity",), is_answer=True),
    EventType("mail.rejected", MailRejected, changes=("mails", "activity"), is_answer=True),
    EventType("mail.held", MailHeld, is_answer=True),
    EventType("mail.skipped", MailSkipped, changes=("activity",), is_answer=True),
    EventType(
        "mail.opened", MailOpened, segment="Email Opened", changes=("mails",), is_answer=True
    ),
    EventType(
        "mail.clicked",
        MailClicked,
        segment="Email Link Clicked",
        changes=("mails", "activity"),
        active=True,
        is_answer=True,
    ),
    EventType(
        "mail.complained",
        MailObjected,
        segment="Email Marked as Spam",
        changes=("consents", "lists", "mails"),
        takes_away=True,
        heard_anyway=True,
    ),
    EventType(
        "mail.unsubscribed",
        MailObjected,
        segment="Unsubscribed",
        changes=("consents", "lists"),
        takes_away=True,
        heard_anyway=True,
    ),
)

OUTCOMES = {each.name: each.data for each in EVENT_TYPES}
"""By the event's type."""
