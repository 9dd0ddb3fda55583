"""What is said of customers' events, workflows and state: the metrics themselves, one row each.

`streams/operate/metrics.py` counts.
"""

from __future__ import annotations

from typing import get_args

from agents.links.names import Kind
from agents.sending.arbitration import HOLDS
from schemas.decisions import DecisionKind
from schemas.set_aside import What
from streams.operate.instruments import Instruments, begin_at_zero
from streams.operate.mail_metrics import HELD_BACK
from streams.operate.panels import NotShown, Panel
from streams.topology import CUSTOMER_EVENTS, SEND_COMMANDS

EVENT_AGE_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds. From "at once" to a day: a phone that was offline delivers yesterday's events."""

DECIDED_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200,
)  # fmt: skip
"""Seconds. A worker that keeps up needs some 10 ms; hours are those for which none was there."""

LATENESS_BUCKETS = (1, 2, 5, 15, 60, 300, 3600, 86_400)
"""Seconds. Ticks a second apart make up to one of lateness; more is a worker that was away."""

RECOVERY_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 900)
"""Seconds. A million customers take about ten at the speed that was measured."""

HOLD_BUCKETS = (3600, 14_400, 43_200, 86_400, 172_800, 259_200, 604_800)
"""Seconds. A night is up to twelve hours; a place that is free once a day or in a week."""

HOLD_RESULTS = ("sent", "skipped")
EVENT_RESULTS = ("applied", "dropped", "repeated", "ignored", "forwarded", "moved", "waiting",
                 "undeclared", "refused")  # fmt: skip
REFUSAL_REASONS = (
    "invalid_json",
    "invalid_event",
    "memory_full",
    "misplaced",
    "missing_id",
    "orders_full",
    "record_full",
    "too_large",
    "too_many_changes",
    "too_many_lists",
    "unknown_type",
    "unknown_version",
    "internal_error",
    "held_back",
    "unsigned",
    "outdated",
    "reserved",
    "other",
)
FAILURE_REASONS = ("log", "fenced", "defect")
STAGES = ("decided", "sent")
UNKNOWN = "unknown"

_BEHIND = Panel(
    "At a glance",
    "Behind",
    "How long ago the log's own time last passed. A tick moves it every five minutes where "
    "nothing happens; more than seven mean that nothing is read.",
    form="stat",
)
_DEAD_LETTERS = Panel("Events", "Dead letters by reason", "Records that could not be read.")
FAILURES_PANEL = Panel(
    "Events",
    "Batches given up",
    "Their partitions were opened again. log: the broker; fenced: a rebalance, harmless; defect: "
    "ours. The others are work in the background.",
)


class CustomerMetrics:
    """The metrics; each has what the dashboard shows of it beside it."""

    def __init__(self, make: Instruments) -> None:
        self._define_events(make)
        self._define_workflows(make)
        self._define_state(make)

    def _define_events(self, make: Instruments) -> None:
        self.events = make.counter(
            "events",
            "Events read from the log, by what became of them.",
            "topic",
            "type",
            "result",
            shown=[
                Panel(
                    "At a glance",
                    "Events a day",
                    "Events applied in the last 24 hours.",
                    form="stat",
                ).line(legend="events", where='result="applied"', over="24h"),
                Panel(
                    "Events",
                    "Events by result",
                    "repeated: seen before, changes nothing. ignored: came back of a "
                    "mail and is not about the customer's address. forwarded: handed to the "
                    "customer a visitor turned out to be. moved: lay in the wrong "
                    "partition.",
                    stacked=True,
                ).line("result"),
                Panel("Events", "Events by type", "Applied events by type.", stacked=True).line(
                    "type", where='result="applied"'
                ),
            ],
        )
        self.event_age = make.histogram(
            "event_age_seconds",
            "To decided: from the event's own time. To sent: from the decision to send.",
            EVENT_AGE_BUCKETS,
            "stage",
            shown=[
                Panel(
                    "Events",
                    "Event age, 95th percentile",
                    "The main indicator. decided: from the event's own time to its "
                    "decision. sent: from the decision to the relay's acceptance.",
                ).line("stage")
            ],
        )
        self.append_to_decided = make.bulk_histogram(
            "append_to_decided_seconds",
            "From the broker's append time of a record until what it led to is durable.",
            DECIDED_BUCKETS,
            shown=[
                Panel(
                    "Events",
                    "Append to decided, 95th percentile",
                    "From the broker's append time until decision and state are durable, by the "
                    "worker's clock: what a mail that is due at once waits for.",
                ).line(legend="decided")
            ],
        )
        self.last_event_timestamp = make.gauge(
            "last_event_timestamp_seconds",
            "Log time of the last event through a stage.",
            "stage",
            shown=[
                _BEHIND.line(
                    legend="behind", where='stage="decided"', how="max", within="time() - {}"
                )
            ],
        )
        self.partition_timestamp = make.gauge(
            "partition_timestamp_seconds",
            # Kept when the partition is let go: one that can't be opened again stands still, too.
            "Log time of each partition at this process's last commit in it.",
            "partition",
            shown=[
                _BEHIND.line(
                    "partition", legend="slowest partition", how="max", within="time() - min({})"
                )
            ],
        )
        self.dead_letters = make.counter(
            "dead_letters",
            "Records that could not be read.",
            "topic",
            "reason",
            shown=[
                Panel(
                    "At a glance",
                    "Dead letters a day",
                    "Records of the last 24 hours that could not be read. See ritorno "
                    "dead-letters list.",
                    form="stat",
                ).line(legend="records", over="24h"),
                _DEAD_LETTERS.line("reason"),
            ],
        )
        self.unsigned_records = make.counter(
            "unsigned_records",
            "Records of Ritorno's own that were believed without a signature.",
            shown=[_DEAD_LETTERS.line(legend="unsigned, believed for now")],
        )
        self.batch_failures = make.counter(
            "batch_failures",
            "Batches given up, whose partition was opened again.",
            "reason",
            shown=[FAILURES_PANEL.line("reason")],
        )
        self.places_set_aside = make.counter(
            "set_aside",
            "Places at which the actors failed twice and that are passed over.",
            "what",
            shown=[
                Panel(
                    "Set aside",
                    "Set aside",
                    "Places at which our own code failed twice and that are passed "
                    "over. See ritorno dead-letters list --reason internal_error.",
                ).line("what", over="1h")
            ],
        )
        self.customers_held_back = make.gauge(
            "customers_held_back",
            "Customers whose events wait, as what is kept can't be read.",
            shown=[HELD_BACK.line(legend="customers")],
        )
        begin_at_zero(self.places_set_aside, get_args(What))
        begin_at_zero(self.events, [CUSTOMER_EVENTS], [UNKNOWN], ["refused"])
        begin_at_zero(self.event_age, STAGES)
        begin_at_zero(self.last_event_timestamp, ["decided"])
        begin_at_zero(self.dead_letters, [CUSTOMER_EVENTS, SEND_COMMANDS], REFUSAL_REASONS)
        begin_at_zero(self.batch_failures, FAILURE_REASONS)

    def _define_workflows(self, make: Instruments) -> None:
        self.workflow_transitions = make.counter(
            "workflow_transitions",
            "Decisions, by workflow and step.",
            "workflow",
            "step",
            "result",
            shown=[
                Panel("Decisions", "Sent by workflow and step", "Mails decided.").line(
                    "workflow", "step", where='result="sent"'
                )
            ],
        )
        self.decisions = make.counter(
            "decisions",
            "Decisions taken, by kind and reason.",
            "kind",
            "reason",
            shown=[
                Panel(
                    "Decisions", "Decisions by kind", "What the actors decide.", stacked=True
                ).line("kind"),
                Panel(
                    "Decisions",
                    "Why not",
                    "Reasons for not sending, not entering, postponing and ending.",
                ).line(
                    "kind",
                    "reason",
                    legend="{{kind}}: {{reason}}",
                    where='kind!~"entered|sent|completed"',
                ),
                Panel(
                    "Arbitration",
                    "Marketing held",
                    "Mails that may not go yet, by the reason: quiet hours, a cap, "
                    "fatigue, the mix, or a better mail.",
                ).line("reason", where='kind="held"'),
            ],
        )
        self.workflow_runs = make.reading(
            "workflow_runs",
            "Runs in flight: waiting for a time or an event, or held because a mail may not go.",
            "workflow",
            "state",
            kind="gauge",
            shown=[
                Panel(
                    "Decisions",
                    "Runs in flight",
                    "By workflow: waiting for a time or an event, or held because the mail of the "
                    "current step may not go yet.",
                    stacked=True,
                ).line("workflow", "state")
            ],
        )
        self.publication_timestamp = make.gauge(
            "publication_timestamp_seconds",
            "Log time at which other definitions went live; 0: not since this process runs.",
            shown=NotShown("an annotation of the dashboard, on every panel"),
        )
        self.timers_pending = make.gauge(
            "timers_pending",
            "Customers in this process that wait for a time.",
            shown=[
                Panel("Decisions", "Timers pending", "Customers that wait for a time.").line(
                    legend="timers"
                )
            ],
        )
        self.timer_lateness = make.histogram(
            "timer_lateness_seconds",
            "From a timer's due time to its firing.",
            LATENESS_BUCKETS,
            shown=[
                Panel(
                    "Decisions",
                    "Timer lateness, 95th percentile",
                    "From a timer's due time to its firing. Up to a second, since "
                    "ticks are a second apart.",
                ).line(legend="late")
            ],
        )
        self.score_changes = make.counter(
            "score_changes",
            "Changes of a score.",
            "score",
            "direction",
            shown=[
                Panel(
                    "Events", "Score changes", "Engagement going up and down by what customers do."
                ).line("score", "direction")
            ],
        )
        self.segment_changes = make.counter(
            "segment_changes",
            "Segments entered and left.",
            "segment",
            "change",
            shown=[
                Panel(
                    "Segments, fields, conditions",
                    "Segments entered and left",
                    "Customers who have entered or left a segment, by something they "
                    "did or by time.",
                ).line("segment", "change")
            ],
        )
        self.links_shared_by_many = make.counter(
            "links_shared_by_many",
            "Addresses, cart ids and checkout ids that more than twenty have, and which therefore "
            "link nobody: a till's, a marketplace's, a placeholder. Kind customer: an id with more "
            "than twenty addresses, which gets no marketing.",
            "kind",
            shown=[
                Panel(
                    "Segments, fields, conditions",
                    "Addresses and carts of many",
                    "What more than twenty customers, or visitors, have links none of them: one "
                    "order would end everybody's carts.",
                ).line("kind")
            ],
        )
        self.refused_fields = make.counter(
            "refused_fields",
            "Custom fields whose value was of another type.",
            "field",
            shown=[
                Panel(
                    "Segments, fields, conditions",
                    "Custom fields refused",
                    "Values of another type than the field is declared with; the rest "
                    "of the event was applied.",
                ).line("field")
            ],
        )
        self.undeclared_events = make.counter(
            "undeclared_events",
            "Events of the shop's own that events.yaml doesn't declare, and so were ignored.",
            "name",
            shown=[
                Panel(
                    "Segments, fields, conditions",
                    "Undeclared events",
                    "`track` calls under names that nobody has declared; they changed nothing. "
                    "The first names are told apart, the rest are `other`.",
                ).line("name")
            ],
        )
        self.failed_expressions = make.counter(
            "failed_expressions",
            "Expressions in conditions that failed, and so didn't hold.",
            shown=[
                Panel(
                    "Segments, fields, conditions",
                    "Expressions failed",
                    "Expressions in conditions that could not be worked out, such as "
                    "a division by nothing; they did not hold.",
                ).line(legend="failed")
            ],
        )
        self.mail_requests = make.counter(
            "mail_requests",
            "Mails asked for, by what became of the request.",
            "class",
            "template",
            "result",
            shown=[
                Panel(
                    "Mail",
                    "Requests by result",
                    "commanded by the actors; queued, duplicate, cancelled… as the mailer read "
                    "them.",
                ).line("result")
            ],
        )
        self.mail_cancellations = make.counter(
            "mail_cancellations",
            "Mails taken back because their cause disappeared.",
            shown=[
                Panel(
                    "Decisions", "Mails taken back", "Waiting mails whose cause disappeared."
                ).line(legend="cancelled")
            ],
        )
        self.mail_hold = make.histogram(
            "mail_hold_seconds",
            "How long marketing mails were held before they were sent or left out.",
            HOLD_BUCKETS,
            "result",
            shown=[
                Panel(
                    "Arbitration",
                    "How long mails are held, 95th percentile",
                    "From the first judgement of a marketing mail that was held until "
                    "it was sent or left out. A night is twelve hours; days mean that "
                    "the policy leaves little room for what the workflows want to "
                    "send.",
                ).line("result")
            ],
        )
        begin_at_zero(self.decisions, get_args(DecisionKind), ["due"])
        begin_at_zero(self.decisions, ["held"], sorted(HOLDS))
        begin_at_zero(self.mail_hold, HOLD_RESULTS)
        begin_at_zero(self.score_changes, ["engagement"], ["up", "down"])
        begin_at_zero(self.links_shared_by_many, [*get_args(Kind), "customer"])

    def _define_state(self, make: Instruments) -> None:
        self.partitions_open = make.gauge(
            "partitions_open",
            "Partitions of customer-events that this process owns.",
            shown=[
                Panel(
                    "Workers",
                    "Partitions",
                    "Partitions of customer-events by worker.",
                    stacked=True,
                ).line("instance")
            ],
        )
        self.recovery_seconds = make.histogram(
            "recovery_seconds",
            "Time to recover one partition's state.",
            RECOVERY_BUCKETS,
            shown=[
                Panel(
                    "Workers", "Recovery, 95th percentile", "Time to recover one partition's state."
                ).line(legend="recovery")
            ],
        )
        self.recovery_records = make.counter(
            "recovery_records",
            "Changelog records read to recover state.",
            shown=[
                Panel(
                    "Workers", "Recovery records", "Changelog records read to recover state."
                ).line(legend="records")
            ],
        )
