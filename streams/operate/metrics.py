"""What a worker says of itself: one registry per process, the product's own names.

Base units, no personal data, and every label from a closed set: what is not in the set counts as
`unknown` or `other`, so that a producer that invents event types can't fill a Prometheus. Series
whose labels are known beforehand exist from the start, so that the first failure is an increase
from zero and a rate over it can be seen.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Container, Iterable
from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from agents.partition.batch import BatchChanges, BatchCounts
from agents.sending.arbitration import HOLDS
from schemas.commands import CancelCommand, SendCommand
from schemas.decisions import Decision, DecisionKind
from schemas.events import PAYLOADS
from schemas.set_aside import What
from schemas.signals import SegmentChanged
from streams.operate.background_metrics import BackgroundFailures, ForgottenVisitors, LinesLeftOut
from streams.operate.instruments import Instruments, begin_at_zero
from streams.operate.mail_metrics import BoundedLabel, MailMetrics
from streams.operate.partition_metrics import GateCounts
from streams.operate.public_metrics import SiteMetrics
from streams.operate.return_metrics import ReturnCounters
from streams.runtime.background import FAILURES
from streams.runtime.log_lines import LEFT_OUT
from streams.runtime.state.recovery import Recovered
from streams.runtime.transports import partition_manager
from streams.topology import CUSTOMER_EVENTS, SEND_COMMANDS

# A second series per counter with the time it was created, which no query of ours reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # shipped without types

EVENT_AGE_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds. From "at once" to a day: a phone that was offline delivers yesterday's events."""

LATENESS_BUCKETS = (1, 2, 5, 15, 60, 300, 3600, 86_400)
"""Seconds. Ticks a second apart make up to one of lateness; more is a worker that was away."""

RECOVERY_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 900)
"""Seconds. A million customers take about ten at the speed that was measured."""

HOLD_BUCKETS = (3600, 14_400, 43_200, 86_400, 172_800, 259_200, 604_800)
"""Seconds. A night is up to twelve hours; a place that is free once a day or in a week."""

HOLD_RESULTS = ("sent", "skipped")
EVENT_RESULTS = ("applied", "dropped", "repeated", "forwarded", "moved", "waiting", "refused")
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

_TYPES = frozenset(PAYLOADS)


class Metrics:
    """Everything on /metrics. It is the customers' runtime's observer; `mail` is the mailer's,
    `public` that of the pages.

    Attributes are the metrics themselves, so that tests and the demo can read them.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        make = Instruments(self.registry)
        self._define_build_info(make)
        self._define_events(make)
        self._define_workflows(make)
        self._define_state(make)
        self.returns = ReturnCounters(make)
        self.mail = MailMetrics(
            make,
            requests=self.mail_requests,
            event_age=self.event_age,
            bounces=self.returns.bounces,
        )
        self.public = SiteMetrics(make)
        self.registry.register(BackgroundFailures(FAILURES))
        self.registry.register(LinesLeftOut(LEFT_OUT))
        self._template = BoundedLabel()

    # The customers' runtime (streams/runtime/customers.py, Observer).

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """One slice of a batch is done for good."""
        self._count_events(changes.counts)
        self._count_decisions(
            effect.content for effect in changes.effects if isinstance(effect.content, Decision)
        )
        for effect in changes.effects:
            if isinstance(effect.content, Decision):
                continue
            if isinstance(effect.content, SendCommand):
                command = effect.content
                template = self._template(command.template)
                self.mail_requests.labels(command.mail_class, template, "commanded").inc()
            elif isinstance(effect.content, SegmentChanged):
                moved = effect.content
                self.segment_changes.labels(moved.segment, moved.change).inc()
            elif isinstance(effect.content, CancelCommand):
                self.mail_cancellations.inc()
        self.last_event_timestamp.labels("decided").set(changes.progress.log_time / 1000)
        self.partition_timestamp.labels(partition).set(changes.progress.log_time / 1000)

    def recovered(self, _partition: int, recovered: Recovered) -> None:
        """A partition has been opened."""
        self.recovery_seconds.observe(recovered.seconds)
        self.recovery_records.inc(recovered.records)
        self.partitions_open.inc()

    def failed(self, _partition: int, reason: str) -> None:
        """A batch was given up; the partition is opened again."""
        self.batch_failures.labels(reason if reason in FAILURE_REASONS else "defect").inc()

    def set_aside(self, _partition: int, what: str) -> None:
        """Something at which the actors fail is passed over from now on."""
        self.places_set_aside.labels(_among(what, get_args(What), UNKNOWN)).inc()

    def closed(self, _partition: int) -> None:
        """A partition has been let go."""
        self.partitions_open.dec()

    def watch_timers(self, pending: Callable[[], float]) -> None:
        """Read the number of waiting timers whenever somebody scrapes."""
        self.timers_pending.set_function(pending)

    def watch_held_back(self, held_back: Callable[[], float]) -> None:
        """Read the number of customers who are held back whenever somebody scrapes."""
        self.customers_held_back.set_function(held_back)

    def watch_forgotten(self, forgotten: Callable[[], int]) -> None:
        """Show how many visitors were removed."""
        self.registry.register(ForgottenVisitors(forgotten))

    def watch_gate(self, partitions: partition_manager.PartitionManager) -> None:
        """Show what happens to this process's partitions."""
        self.registry.register(GateCounts(partitions))
        self.partitions_not_opening.set_function(lambda: len(partitions.problems()))

    def _count_events(self, counts: BatchCounts) -> None:
        for (type_, result), count in counts.events.items():
            kind, outcome = _among(type_, _TYPES, UNKNOWN), _among(result, EVENT_RESULTS, UNKNOWN)
            self.events.labels(CUSTOMER_EVENTS, kind, outcome).inc(count)
        for reason, count in counts.refused.items():
            self.events.labels(CUSTOMER_EVENTS, UNKNOWN, "refused").inc(count)
            label = _among(reason, REFUSAL_REASONS, "other")
            self.dead_letters.labels(CUSTOMER_EVENTS, label).inc(count)
        decided = self.event_age.labels("decided")
        for age in counts.ages:
            decided.observe(age / 1000)
        for lateness in counts.lateness:
            self.timer_lateness.observe(lateness / 1000)
        for direction, count in counts.scores.items():
            self.score_changes.labels("engagement", direction).inc(count)
        for name, count in counts.refused_fields.items():
            self.refused_fields.labels(name).inc(count)
        self.failed_expressions.inc(counts.failed_expressions)
        self.unsigned_records.inc(sum(counts.unsigned.values()))

    def _count_decisions(self, decisions: Iterable[Decision]) -> None:
        # Of a batch there are thousands, and looking up a label takes longer than counting.
        reasons: Counter[tuple[str, str]] = Counter()
        steps: Counter[tuple[str, str, str]] = Counter()
        for decision in decisions:
            reasons[decision.decision, decision.reason] += 1
            steps[decision.workflow, decision.step, decision.decision] += 1
            if decision.held_since is not None and decision.decision in HOLD_RESULTS:
                held = decision.time - decision.held_since
                self.mail_hold.labels(decision.decision).observe(held / 1000)
        for reason, count in reasons.items():
            self.decisions.labels(*reason).inc(count)
        for step, count in steps.items():
            self.workflow_transitions.labels(*step).inc(count)

    # The metrics themselves.

    def _define_build_info(self, make: Instruments) -> None:
        info = make.gauge("build_info", "Version of Ritorno and Python.", "version", "python")
        info.labels(version("ritorno"), platform.python_version()).set(1)

    def _define_events(self, make: Instruments) -> None:
        self.events = make.counter(
            "events", "Events read from the log, by what became of them.", "topic", "type", "result"
        )
        self.event_age = make.histogram(
            "event_age_seconds",
            "To decided: from the event's own time. To sent: from the decision to send.",
            EVENT_AGE_BUCKETS,
            "stage",
        )
        self.last_event_timestamp = make.gauge(
            "last_event_timestamp_seconds", "Log time of the last event through a stage.", "stage"
        )
        self.partition_timestamp = make.gauge(
            "partition_timestamp_seconds",
            # Kept when the partition is let go: one that can't be opened again stands still, too.
            "Log time of each partition at this process's last commit in it.",
            "partition",
        )
        self.dead_letters = make.counter(
            "dead_letters", "Records that could not be read.", "topic", "reason"
        )
        self.unsigned_records = make.counter(
            "unsigned_records", "Records of Ritorno's own that were believed without a signature."
        )
        self.batch_failures = make.counter(
            "batch_failures", "Batches given up, whose partition was opened again.", "reason"
        )
        self.places_set_aside = make.counter(
            "set_aside", "Places at which the actors failed twice and that are passed over.", "what"
        )
        self.customers_held_back = make.gauge(
            "customers_held_back", "Customers whose events wait, as what is kept can't be read."
        )
        begin_at_zero(self.places_set_aside, get_args(What))
        begin_at_zero(self.events, [CUSTOMER_EVENTS], [UNKNOWN], ["refused"])
        begin_at_zero(self.event_age, STAGES)
        begin_at_zero(self.last_event_timestamp, ["decided"])
        begin_at_zero(self.dead_letters, [CUSTOMER_EVENTS, SEND_COMMANDS], REFUSAL_REASONS)
        begin_at_zero(self.batch_failures, FAILURE_REASONS)

    def _define_workflows(self, make: Instruments) -> None:
        self.workflow_transitions = make.counter(
            "workflow_transitions", "Decisions, by workflow and step.", "workflow", "step", "result"
        )
        self.decisions = make.counter(
            "decisions", "Decisions taken, by kind and reason.", "kind", "reason"
        )
        self.timers_pending = make.gauge(
            "timers_pending", "Customers in this process that wait for a time."
        )
        self.timer_lateness = make.histogram(
            "timer_lateness_seconds", "From a timer's due time to its firing.", LATENESS_BUCKETS
        )
        self.score_changes = make.counter(
            "score_changes", "Changes of a score.", "score", "direction"
        )
        self.segment_changes = make.counter(
            "segment_changes", "Segments entered and left.", "segment", "change"
        )
        self.refused_fields = make.counter(
            "refused_fields", "Custom fields whose value was of another type.", "field"
        )
        self.failed_expressions = make.counter(
            "failed_expressions", "Expressions in conditions that failed, and so didn't hold."
        )
        self.mail_requests = make.counter(
            "mail_requests", "Mails asked for, by what became of the request.",
            "class", "template", "result",
        )  # fmt: skip
        self.mail_cancellations = make.counter(
            "mail_cancellations", "Mails taken back because their cause disappeared."
        )
        self.mail_hold = make.histogram(
            "mail_hold_seconds",
            "How long marketing mails were held before they were sent or left out.",
            HOLD_BUCKETS,
            "result",
        )
        begin_at_zero(self.decisions, get_args(DecisionKind), ["due"])
        begin_at_zero(self.decisions, ["held"], sorted(HOLDS))
        begin_at_zero(self.mail_hold, HOLD_RESULTS)
        begin_at_zero(self.score_changes, ["engagement"], ["up", "down"])

    def _define_state(self, make: Instruments) -> None:
        self.partitions_open = make.gauge(
            "partitions_open", "Partitions of customer-events that this process owns."
        )
        self.partitions_not_opening = make.gauge(
            "partitions_not_opening", "Partitions that could not be opened, and are tried again."
        )
        self.recovery_seconds = make.histogram(
            "recovery_seconds", "Time to recover one partition's state.", RECOVERY_BUCKETS
        )
        self.recovery_records = make.counter(
            "recovery_records", "Changelog records read to recover state."
        )


def _among(value: str, known: Container[str], otherwise: str) -> str:
    return value if value in known else otherwise
