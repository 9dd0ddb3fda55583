"""What the mailer counts. `streams/operate/mail_metrics.py` implements it, tests record it."""

from __future__ import annotations

from typing import Literal, Protocol

from schemas.commands import DeliveryClass

Request = Literal["queued", "duplicate", "cancelled", "cancel_late", "cancel_early", "unreadable"]
"""What became of a command when it was read. `cancel_late`: the mail was gone already;
`cancel_early`: the cancel came before its send and waits for it."""

Outcome = Literal["sent", "deferred", "bounced", "failed", "rejected", "held", "skipped"]

HoldReason = Literal["paused", "reputation", "warm_up", "quiet_hours"]
"""Why a mail that is due waits all the same."""

WebhookResult = Literal["done", "retried", "failed", "rejected", "expired", "cancelled"]


class MailerMetrics(Protocol):
    """Reasons, templates and classes are from closed sets; no address, no customer id."""

    def request(self, mail_class: str, template: str, result: Request) -> None:
        """A command was read and its result is durable. Class and template may be empty."""

    def outcome(self, mail_class: str, provider: str, outcome: Outcome, reason: str) -> None:
        """An outcome is durable. `reason` is the bounce kind, or why it was skipped, deferred…"""

    def ambiguous(self, mail_class: str) -> None:
        """Nobody can know whether the relay has this mail (also part of `outcome`)."""

    def sent_age(self, mail_class: str, seconds: float) -> None:
        """From the decision (the command's time) to the relay's 250."""

    def waiting(self, partition: int, delivery: DeliveryClass, mails: int) -> None:
        """How many mails of a partition wait now; 0 when the partition is let go."""

    def held(self, partition: int, reason: HoldReason, mails: int) -> None:
        """How many of them wait although they are due."""

    def stuck(self, partition: int, mails: int) -> None:
        """How many mails of a partition are left as they are, since our own code fails at them."""

    def breaker(self, *, open_: bool) -> None:
        """Marketing is held for its bounces or complaints, or not any more."""

    def webhook(self, result: WebhookResult) -> None:
        """What became of a webhook, or of one attempt at it, is durable."""

    def oldest(self, partition: int, seconds: float) -> None:
        """How long the mail that is longest overdue has been due; 0 when none is."""

    def rendered(self, template: str, seconds: float) -> None:
        """One mail was rendered and composed."""

    def reply(self, relay: str, code: int) -> None:
        """The relay's final word on one mail."""

    def throttled(self, relay: str, provider: str) -> None:
        """A provider has asked for a lower rate, and gets it."""

    def delivered(self, relay: str, provider: str, seconds: float) -> None:
        """From MAIL to the last reply, whatever it was."""

    def pool_wait(self, relay: str, seconds: float) -> None:
        """How long a mail waited for a connection, including the time to connect."""

    def connections(self, relay: str, *, busy: int, idle: int) -> None:
        """How many connections are open now."""

    def relay_down(self, relay: str, reason: str) -> None:
        """The relay can't be used and is left alone for a while (`reason`: connect, tls, auth…)."""

    def relay_up(self, relay: str) -> None:
        """The relay has accepted a connection again."""
