"""What comes back, in numbers; implements `streams.mail.inbound.intake.ReturnMetrics`."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.outcomes import BounceKind, ReturnKind
from schemas.suppressions import SuppressionReason, SuppressionScope
from streams.mail.inbound.intake import Taken, Way

SUPPRESSIONS = (("all", "hard"), ("all", "soft"), ("marketing", "complaint"))


class ReturnCounters:
    """Counters only; nothing here knows whom a message is about."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.bounces = Counter(
            "ritorno_bounces",
            "Mails refused for good, by the relay or by a report that came back.",
            ("kind",),
            registry=registry,
        )
        self.complaints = Counter(
            "ritorno_complaints", "Mails that somebody called spam.", registry=registry
        )
        self.messages = Counter(
            "ritorno_returned_messages",
            "Messages that came back, by the way they came and by what became of them.",
            ("way", "kind", "result"),
            registry=registry,
        )
        self.tokens_forged = Counter(
            "ritorno_return_tokens_forged",
            "Return addresses that look like ours and are not.",
            ("way",),
            registry=registry,
        )
        self.recipients_refused = Counter(
            "ritorno_return_recipients_refused",
            "Recipients that our SMTP listener has answered with 550.",
            registry=registry,
        )
        self.failures = Counter(
            "ritorno_returned_failures",
            "Times that a mailbox could not be read or a message not be written; they wait.",
            ("way",),
            registry=registry,
        )
        self.suppressions = Counter(
            "ritorno_suppressions",
            "Addresses that were suppressed by this worker.",
            ("scope", "reason"),
            registry=registry,
        )
        self.suppressed_addresses = Gauge(
            "ritorno_suppressed_addresses", "Addresses that get no mail.", registry=registry
        )
        for scope, reason in SUPPRESSIONS:
            self.suppressions.labels(scope, reason)
        for kind in get_args(BounceKind):
            self.bounces.labels(kind)
        for way in get_args(Way):
            self.tokens_forged.labels(way)
            self.failures.labels(way)
            self.messages.labels(way, "unknown", "unmatched")

    def returned(self, way: Way, kind: ReturnKind, taken: Taken) -> None:
        """A message was taken in."""
        self.messages.labels(way, kind, taken).inc()
        if taken != "told":
            return
        if kind == "complaint":
            self.complaints.inc()
        elif kind in get_args(BounceKind):
            self.bounces.labels(kind).inc()

    def forged(self, way: Way, tokens: int) -> None:
        """Tokens looked like ours and were not."""
        self.tokens_forged.labels(way).inc(tokens)

    def refused(self) -> None:
        """The listener was to take a message that is none of ours."""
        self.recipients_refused.inc()

    def suppressed(self, scope: SuppressionScope, reason: SuppressionReason) -> None:
        """An address was suppressed."""
        self.suppressions.labels(scope, reason).inc()

    def addresses(self, count: int) -> None:
        """How many addresses are suppressed now."""
        self.suppressed_addresses.set(count)

    def failed(self, way: Way) -> None:
        """A message, or a mailbox, has to wait."""
        self.failures.labels(way).inc()
