"""The mailer's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from prometheus_client import Counter, Histogram

from agents.mail.metrics import HoldReason, Outcome, Request
from schemas.commands import DeliveryClass, MailClass
from streams.operate.instruments import Instruments, begin_at_zero
from streams.operate.panels import EVER, Panel

SMTP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds. A relay that greylists or scans takes half a minute; RFC 5321 allows minutes."""

RENDER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
"""Seconds."""

MAX_VALUES = 100
"""Values of a label that comes from files we don't know beforehand, such as a template's name. Far
above what a shop has; from then on `other`, so that a forged command can't fill a Prometheus."""

RELAY_FAILURES = ("connect", "tls", "auth")
"""The usual ways in which a relay can't be used."""

CLASSES: tuple[str, ...] = get_args(MailClass)
_QUEUES: Mapping[DeliveryClass, str] = {
    "transactional": "transactional",
    "automated": "marketing",
    "bulk": "marketing",
    "notify": "notify",
}
"""Delivery class → label of the queue."""

HELD_BACK = Panel(
    "Set aside",
    "Customers held back, mails stuck",
    "What is kept of them can't be read, or our own code fails at them. See ritorno doctor.",
)

WebhookResult = Literal["done", "retried", "failed", "rejected", "expired", "cancelled"]

UNKNOWN = "unknown"
OTHER = "other"


class BoundedLabel:
    """Closes a set of label values by its size."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return `value`, or `other` once there are too many different ones."""
        if value in self._seen:
            return value
        if len(self._seen) >= MAX_VALUES:
            return OTHER
        self._seen.add(value)
        return value


class MailMetrics:
    """Counts mails by class and outcome; nothing here knows whom a mail is for."""

    def __init__(
        self,
        make: Instruments,
        *,
        requests: Counter,
        event_age: Histogram,
        bounces: Counter,
    ) -> None:
        """`requests` and `event_age` are shared with the stages before the mailer, `bounces` with
        what comes back later.
        """
        self._requests = requests
        self._bounces = bounces
        self._sent_age = event_age.labels("sent")
        self._template = BoundedLabel()
        self._reason = BoundedLabel()
        self._relays: set[str] = set()
        self._waiting: dict[tuple[int, DeliveryClass], int] = {}
        self._held: dict[tuple[int, HoldReason], int] = {}
        self._stuck: dict[int, int] = {}
        self._overdue: dict[int, float] = {}
        self._define_deliveries(make)
        self._define_smtp(make)

    def request(self, mail_class: str, template: str, result: Request) -> None:
        """A command was read and its result is durable. Class and template may be empty."""
        name = self._template(template or UNKNOWN)
        self._requests.labels(_class(mail_class), name, result).inc()

    def outcome(self, mail_class: str, provider: str, outcome: Outcome, reason: str) -> None:
        """An outcome is durable. `reason` is the bounce kind, or why it was skipped, deferred…"""
        label = self._reason(reason or "none")
        self.deliveries.labels(_class(mail_class), provider, outcome, label).inc()
        if outcome == "bounced":
            self._bounces.labels(label).inc()

    def ambiguous(self, mail_class: str) -> None:
        """Nobody can know whether the relay has this mail (also part of `outcome`)."""
        self.ambiguous_deliveries.labels(_class(mail_class)).inc()

    def sent_age(self, mail_class: str, seconds: float) -> None:
        """From the decision (the command's time) to the relay's 250."""
        del mail_class  # event_age_seconds has one label, the stage
        self._sent_age.observe(seconds)

    def waiting(self, partition: int, delivery: DeliveryClass, mails: int) -> None:
        """How many mails of a partition wait now; 0 when the partition is let go."""
        self._waiting[partition, delivery] = mails
        queue = _QUEUES[delivery]
        total = sum(count for (_, each), count in self._waiting.items() if _QUEUES[each] == queue)
        self.retry_queue.labels(queue).set(total)

    def held(self, partition: int, reason: HoldReason, mails: int) -> None:
        """How many mails of a partition wait although they are due."""
        self._held[partition, reason] = mails
        total = sum(count for (_, each), count in self._held.items() if each == reason)
        self.held_mails.labels(reason).set(total)

    def stuck(self, partition: int, mails: int) -> None:
        """How many mails of a partition are left as they are, since our own code fails at them."""
        self._stuck[partition] = mails
        self.stuck_mails.set(sum(self._stuck.values()))

    def breaker(self, *, open_: bool) -> None:
        """Marketing is held for its bounces or complaints, or not any more."""
        self.breaker_open.set(open_)

    def webhook(self, result: WebhookResult) -> None:
        """What became of a webhook, or of one attempt at it, is durable."""
        self.webhook_requests.labels("notify", result).inc()

    def oldest(self, partition: int, seconds: float) -> None:
        """How long the mail of a partition that is longest overdue has been due; 0 when none is."""
        self._overdue[partition] = seconds
        self.retry_oldest.set(max(self._overdue.values()))

    def rendered(self, template: str, seconds: float) -> None:
        """One mail was rendered and composed."""
        self.render_duration.labels(self._template(template)).observe(seconds)

    def reply(self, relay: str, code: int) -> None:
        """The relay's final word on one mail."""
        self.smtp_replies.labels(relay, f"{code // 100}xx").inc()

    def throttled(self, relay: str, provider: str) -> None:
        """A provider has asked for a lower rate, and gets it."""
        self.smtp_throttled.labels(relay, provider).inc()

    def delivered(self, relay: str, provider: str, seconds: float) -> None:
        """From MAIL to the last reply, whatever it was."""
        self.smtp_send_duration.labels(relay, provider).observe(seconds)

    def pool_wait(self, relay: str, seconds: float) -> None:
        """How long a mail waited for a connection."""
        del relay  # what a mail waits for is the same at each
        self.smtp_pool_wait.observe(seconds)

    def connections(self, relay: str, *, busy: int, idle: int) -> None:
        """How many connections are open now."""
        if relay not in self._relays:
            self._meet(relay)
        self.smtp_connections.labels(relay, "busy").set(busy)
        self.smtp_connections.labels(relay, "idle").set(idle)

    def relay_down(self, relay: str, reason: str) -> None:
        """The relay can't be used and is left alone for a while."""
        if relay not in self._relays:
            self._meet(relay)
        self.smtp_relay_up.labels(relay).set(0)
        self.smtp_relay_failures.labels(relay, self._reason(reason)).inc()

    def relay_up(self, relay: str) -> None:
        """The relay has accepted a connection again."""
        self.smtp_relay_up.labels(relay).set(1)

    def _meet(self, relay: str) -> None:
        """Begin the series of a relay: it counts as up until it can't be used."""
        self._relays.add(relay)
        self.smtp_relay_up.labels(relay).set(1)
        self.smtp_throttled.labels(relay, OTHER)
        for reason in RELAY_FAILURES:
            self.smtp_relay_failures.labels(relay, reason)

    def _define_deliveries(self, make: Instruments) -> None:
        self.deliveries = make.counter(
            "mail_deliveries",
            "Mails by what became of them; reason is the kind of bounce or why not.",
            "class",
            "provider",
            "outcome",
            "reason",
            shown=[
                Panel(
                    "At a glance",
                    "Mails a day",
                    "Mails a relay took responsibility for in the last 24 hours.",
                    form="stat",
                ).line(legend="mails", where='outcome="sent"', over="24h"),
                Panel(
                    "Mail",
                    "Mails by outcome",
                    "sent, deferred (will be tried again), bounced, failed, skipped.",
                    stacked=True,
                ).line("outcome"),
                Panel(
                    "Delivery",
                    "Sent by provider",
                    "Who runs the mailboxes of those who get mail.",
                    stacked=True,
                    is_wide=True,
                ).line("provider", where='outcome="sent"'),
            ],
        )
        self.ambiguous_deliveries = make.counter(
            "mail_ambiguous",
            "Mails of which nobody can know whether the relay has them.",
            "class",
            shown=[
                Panel(
                    "Mail",
                    "Ambiguous",
                    "Mails of which nobody can know whether the relay has them: the "
                    "worker died between the final dot and the reply.",
                ).line("class", over=EVER)
            ],
        )
        self.retry_queue = make.gauge(
            "retry_queue",
            "Mails that wait in the durable queue; webhooks under the class notify.",
            "class",
            shown=[
                Panel(
                    "At a glance", "Mails waiting", "Mails in the durable queues.", form="stat"
                ).line(legend="mails"),
                Panel("Mail", "Queue", "Mails that wait, by class.", stacked=True).line("class"),
            ],
        )
        self.stuck_mails = make.gauge(
            "mails_stuck",
            "Mails left as they are, since our own code fails at them.",
            shown=[HELD_BACK.line(legend="mails stuck")],
        )
        self.held_mails = make.gauge(
            "mail_held",
            "Mails that are due and may not go now.",
            "reason",
            shown=[
                Panel(
                    "Delivery",
                    "Held",
                    "Mails that are due and may not go now, by reason.",
                    stacked=True,
                ).line("reason")
            ],
        )
        self.breaker_open = make.gauge(
            "mail_breaker_open",
            "1 while marketing is held because too many mails bounce or are called spam.",
            shown=[
                Panel(
                    "Delivery",
                    "Marketing held by reputation",
                    "1 while too many mails bounce or are called spam: ritorno mail "
                    "resume, or better shares, end it.",
                ).line(legend="held", how="max")
            ],
        )
        self.webhook_requests = make.counter(
            "webhook_requests",
            "Webhooks by what became of them; retried: one attempt was in vain.",
            "source",
            "result",
            shown=[
                Panel(
                    "Delivery",
                    "Webhooks by result",
                    "Webhooks that workflows send; retried is one attempt in vain.",
                    stacked=True,
                ).line("result")
            ],
        )
        self.retry_oldest = make.gauge(
            "retry_oldest_seconds",
            "How long the mail that is longest overdue has been due.",
            shown=[
                Panel(
                    "Mail",
                    "Longest overdue",
                    "How long the mail that is longest overdue has been due.",
                ).line(legend="overdue", how="max")
            ],
        )
        self.render_duration = make.histogram(
            "render_duration_seconds",
            "Rendering and composing one mail.",
            RENDER_BUCKETS,
            "template",
            shown=[
                Panel(
                    "Mail", "Rendering, 95th percentile", "Rendering and composing one mail."
                ).line("template")
            ],
        )
        begin_at_zero(self.ambiguous_deliveries, CLASSES)
        begin_at_zero(self.retry_queue, [*CLASSES, "notify"])
        begin_at_zero(self.deliveries, CLASSES, [OTHER], get_args(Outcome), ["none"])
        begin_at_zero(self.held_mails, get_args(HoldReason))
        begin_at_zero(self.webhook_requests, ["notify"], get_args(WebhookResult))

    def _define_smtp(self, make: Instruments) -> None:
        self.smtp_send_duration = make.histogram(
            "smtp_send_duration_seconds",
            "From MAIL to the relay's last reply.",
            SMTP_BUCKETS,
            "relay",
            "provider",
            shown=[
                Panel(
                    "Mail", "Sending, 95th percentile", "From MAIL to the relay's last reply."
                ).line("relay")
            ],
        )
        self.smtp_connections = make.gauge(
            "smtp_connections",
            "Open connections to the relay.",
            "relay",
            "state",
            shown=[
                Panel("Mail", "Connections", "Open connections to the relay.", stacked=True).line(
                    "state"
                )
            ],
        )
        self.smtp_pool_wait = make.histogram(
            "smtp_pool_wait_seconds",
            "How long a mail waited for a connection.",
            SMTP_BUCKETS,
            shown=[
                Panel(
                    "Mail",
                    "Waiting for a connection, 95th percentile",
                    "Includes the time to connect.",
                ).line(legend="wait")
            ],
        )
        self.smtp_replies = make.counter(
            "smtp_replies",
            "The relay's final replies, by first digit.",
            "relay",
            "code_class",
            shown=[
                Panel(
                    "Mail",
                    "Replies of the relay",
                    "By first digit: 2xx accepted, 4xx later, 5xx never.",
                    stacked=True,
                ).line("code_class")
            ],
        )
        self.smtp_throttled = make.counter(
            "smtp_throttled",
            "How often a provider's refusals have halved a rate.",
            "relay",
            "provider",
            shown=[
                Panel(
                    "Delivery",
                    "Providers that ask for less",
                    "How often a provider's refusals have halved a rate.",
                    stacked=True,
                ).line("relay", "provider")
            ],
        )
        self.smtp_relay_up = make.gauge(
            "smtp_relay_up",
            "1 when the relay takes connections, 0 while it is left alone.",
            "relay",
            shown=[
                Panel(
                    "Mail", "Relay", "1 when the relay takes connections, 0 while it is left alone."
                ).line("relay", how="min")
            ],
        )
        self.smtp_relay_failures = make.counter(
            "smtp_relay_failures",
            "How often the relay could not be used.",
            "relay",
            "reason",
            shown=[
                Panel(
                    "Mail", "Relay failures", "How often the relay could not be used, by reason."
                ).line("relay", "reason")
            ],
        )


def _class(mail_class: str) -> str:
    return mail_class if mail_class in CLASSES else UNKNOWN
