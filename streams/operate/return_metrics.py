"""Metrics of returned mail."""

from __future__ import annotations

from typing import Literal, get_args

from schemas.outcomes import BounceKind, MailVerdict, ReturnKind, WhyIgnored
from schemas.suppressions import SuppressionReason, SuppressionScope
from streams.operate.instruments import Instruments, begin_at_zero
from streams.operate.panels import Panel

_REFUSED = Panel(
    "What comes back",
    "Refused, forged, failed",
    "Recipients that our listener refused, forged return addresses, mailboxes that could not be "
    "read.",
)

Channel = Literal["smtp", "maildir", "imap"]
"""By which a message came."""

IntakeResult = Literal["told", "noted", "unmatched", "unclear", "full"]
"""told: the customer's actor was. noted: there is nothing to tell. unmatched: it is about none of
our mails, as far as can be known. unclear: it is about a mail of ours and can't be understood. The
last two are kept for a person to read; full: there was no room for such a one, and it was answered
with 452 or stays in its mailbox."""

SUPPRESSIONS = (("all", "hard"), ("all", "soft"), ("marketing", "complaint"),
                ("marketing", "objection"))  # fmt: skip


class ReturnCounters:
    """Counters only; nothing here knows whom a message is about."""

    def __init__(self, make: Instruments) -> None:
        self.bounces = make.counter(
            "bounces",
            "Mails refused for good, by the relay or by a report that came back.",
            "kind",
            shown=[
                Panel(
                    "What comes back",
                    "Bounces by kind",
                    "Mails refused for good, by the relay or by a report that came "
                    "back; hard ones end their address.",
                ).line("kind")
            ],
        )
        self.complaints = make.counter(
            "complaints",
            "Mails that somebody called spam.",
            shown=[
                Panel("What comes back", "Complaints", "Mails that somebody called spam.").line(
                    legend="complaints"
                )
            ],
        )
        self.messages = make.counter(
            "returned_messages",
            "Messages that came back, by the way they came and by what became of them.",
            "way",
            "kind",
            "result",
            shown=[
                Panel(
                    "What comes back",
                    "Messages that came back",
                    "By what became of them; unmatched and unclear ones lie in the "
                    "data directory for a person, full: there was no room for one.",
                ).line("way", "result")
            ],
        )
        self.tokens_forged = make.counter(
            "return_tokens_forged",
            "Return addresses that look like ours and are not.",
            "way",
            shown=[_REFUSED.line("way", legend="forged {{way}}")],
        )
        self.verdicts_ignored = make.counter(
            "mail_verdicts_ignored",
            "Bounces, complaints and receipts that changed nothing, by why.",
            "verdict",
            "why",
            shown=[
                Panel(
                    "What comes back",
                    "Ignored by customers",
                    "unknown_mail: of no mail of the last 90 days. another_address: the mail went "
                    "to an address that is not the customer's now. repeated: known already. "
                    "visitor: of another mailer's mail, told by a visitor or the public.",
                ).line("verdict", "why")
            ],
        )
        self.recipients_refused = make.counter(
            "return_recipients_refused",
            "Recipients that our SMTP listener has answered with 550.",
            shown=[_REFUSED.line(legend="refused")],
        )
        self.failures = make.counter(
            "returned_failures",
            "Times that a mailbox could not be read or a message not be written; they wait.",
            "way",
            shown=[_REFUSED.line("way", legend="failed {{way}}")],
        )
        self.suppressions = make.counter(
            "suppressions",
            "Addresses that were suppressed by this worker.",
            "scope",
            "reason",
            shown=[
                Panel(
                    "Suppression",
                    "Suppressed by reason",
                    "Addresses that were suppressed: after a hard bounce, five soft "
                    "ones, or a complaint.",
                ).line("scope", "reason")
            ],
        )
        self.suppressed_addresses = make.gauge(
            "suppressed_addresses",
            "Addresses that get no mail.",
            shown=[
                Panel(
                    "Suppression",
                    "Addresses suppressed",
                    "How many addresses get no mail; `ritorno suppressions release` takes one off.",
                ).line(legend="addresses", how="max")
            ],
        )
        for scope, reason in SUPPRESSIONS:
            self.suppressions.labels(scope, reason)
        begin_at_zero(self.bounces, get_args(BounceKind))
        begin_at_zero(self.verdicts_ignored, get_args(MailVerdict), get_args(WhyIgnored))
        begin_at_zero(self.tokens_forged, get_args(Channel))
        begin_at_zero(self.failures, get_args(Channel))
        begin_at_zero(self.messages, get_args(Channel), ["unknown"], ["unmatched"])

    def returned(self, channel: Channel, kind: ReturnKind, result: IntakeResult) -> None:
        """A message was taken in."""
        self.messages.labels(channel, kind, result).inc()
        if result != "told":
            return
        if kind == "complaint":
            self.complaints.inc()
        elif kind in get_args(BounceKind):
            self.bounces.labels(kind).inc()

    def forged(self, channel: Channel, tokens: int) -> None:
        """Tokens looked like ours and were not."""
        self.tokens_forged.labels(channel).inc(tokens)

    def refused(self) -> None:
        """The listener was to take a message that is none of ours."""
        self.recipients_refused.inc()

    def suppressed(self, scope: SuppressionScope, reason: SuppressionReason) -> None:
        """An address was suppressed."""
        self.suppressions.labels(scope, reason).inc()

    def addresses(self, count: int) -> None:
        """How many addresses are suppressed now."""
        self.suppressed_addresses.set(count)

    def failed(self, channel: Channel) -> None:
        """A message, or a mailbox, has to wait: something else does not answer."""
        self.failures.labels(channel).inc()
