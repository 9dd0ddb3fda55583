"""Counts what has become of commands, mails and webhooks, once it is durable."""

from __future__ import annotations

from typing import cast, get_args

from agents.mail.metrics import Outcome, Request
from agents.mail.queue.lifecycle import EXPIRED
from agents.mail.queue.queue_changes import QueueNote
from streams.operate.mail_metrics import MailMetrics, WebhookResult

OUTCOMES: frozenset[str] = frozenset(get_args(Outcome))


def count(metrics: MailMetrics, note: QueueNote, now: int) -> None:
    """Count one of them; `now` is in ms since the epoch."""
    if note.what not in OUTCOMES:
        if note.mail_class != "notify":
            metrics.request(note.mail_class, note.template, cast("Request", note.what))
        return
    outcome = cast("Outcome", note.what)
    if note.mail_class == "notify":
        if outcome != "held":
            metrics.webhook(_webhook_result(outcome, note.reason))
        return
    metrics.outcome(note.mail_class, note.provider, outcome, note.reason)
    if outcome == "sent":
        metrics.sent_age(note.mail_class, max(now - note.decided, 0) / 1000)
    if note.ambiguous:
        metrics.ambiguous(note.mail_class)


def _webhook_result(outcome: Outcome, reason: str) -> WebhookResult:
    if outcome == "sent":
        return "done"
    if outcome == "deferred":
        return "retried"
    if outcome == "skipped" or reason == EXPIRED:
        return "cancelled" if reason == "cancelled" else "expired"
    return "rejected" if outcome == "rejected" else "failed"
