"""The metrics of a worker: one registry per process, the product's own names.

Base units, no personal data, and every label from a closed set: what is not in the set counts as
`unknown` or `other`, so that a producer that invents event types can't fill a Prometheus. Series
whose labels are known beforehand exist from the start, so that the first failure is an increase
from zero and a rate over it can be seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from agents.partition.batch import BatchChanges, BatchCounts
from schemas.commands import CancelCommand, SendCommand
from schemas.customer.named import RunInFlight
from schemas.decisions import Decision
from schemas.events import PAYLOADS
from schemas.events.custom import CUSTOM, is_custom, is_declarable
from schemas.set_aside import What
from schemas.signals import SegmentChanged
from streams.clock import Clock, SystemClock
from streams.connect.counts import ShopCounts
from streams.http.server.counts import DoorCounts
from streams.operate.customer_metrics import (
    EVENT_RESULTS,
    FAILURE_REASONS,
    HOLD_RESULTS,
    REFUSAL_REASONS,
    UNKNOWN,
    CustomerMetrics,
)
from streams.operate.door_metrics import DoorMetrics
from streams.operate.feed_metrics import FeedFigures, FeedMetrics
from streams.operate.ingest_metrics import IngestMetrics
from streams.operate.insights_metrics import InsightsMetrics
from streams.operate.instruments import Instruments
from streams.operate.mail_metrics import BoundedLabel, MailMetrics
from streams.operate.mapping_metrics import Counts as MappedCounts
from streams.operate.mapping_metrics import MappingMetrics
from streams.operate.odd_field_metrics import OddFieldMetrics
from streams.operate.outbound_metrics import OutboundMetrics
from streams.operate.partition_metrics import PartitionMetrics
from streams.operate.process_metrics import ProcessMetrics
from streams.operate.public_metrics import SiteMetrics
from streams.operate.return_metrics import ReturnCounters
from streams.operate.secret_metrics import SecretCounts, SecretMetrics
from streams.operate.shop_metrics import ShopMetrics
from streams.outbound.counts import OutboundCounts
from streams.runtime.partition_lag import PartitionLag
from streams.runtime.state.recovery import Recovered
from streams.runtime.state.store import Store
from streams.runtime.transports import partition_manager
from streams.runtime.transports.batch import TopicPartition
from streams.topology import CUSTOMER_EVENTS

# A second series per counter with the time it was created, which no query of ours reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # shipped without types

_TYPES = frozenset(PAYLOADS)


class Metrics(CustomerMetrics):
    """Everything on /metrics. It is the customers' runtime's observer; `mail` is the mailer's,
    `public` that of the pages, `process` tells of the process itself.

    Attributes are the metrics themselves, so that tests and the demo can read them.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock` is the broker's, as far as this machine knows it; by default the machine's."""
        self._clock = clock or SystemClock()
        self._live: dict[int, Mapping[str, str]] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        make = Instruments(self.registry)
        super().__init__(make)
        self.process = ProcessMetrics(make)
        self._partitions = PartitionMetrics(make)
        self.returns = ReturnCounters(make)
        self.mail = MailMetrics(
            make,
            requests=self.mail_requests,
            event_age=self.event_age,
            bounces=self.returns.bounces,
        )
        self.public = SiteMetrics(make)
        self.ingest = IngestMetrics(make)
        self.insights = InsightsMetrics(make)
        self._doors = DoorMetrics(make)
        self._secrets = SecretMetrics(make)
        self._outbound = OutboundMetrics(make)
        self._shops = ShopMetrics(make)
        self._mappings = MappingMetrics(make)
        self._odd_fields = OddFieldMetrics(make)
        self._feeds = FeedMetrics(make)
        self.shown = make.shown
        self.not_shown = make.not_shown
        self._template = BoundedLabel()
        self._undeclared = BoundedLabel()
        self.undeclared_events.labels(self._undeclared("other"))

    # The customers' runtime (streams/runtime/commit_protocol.py, Observer).

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """One batch, or a portion of it, is done for good."""
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
        # What was live before this process's first batch is nobody's news.
        live = changes.progress.live
        if self._live.setdefault(partition, live) != live:
            self._live[partition] = live
            self.publication_timestamp.set(changes.progress.log_time / 1000)

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

    def watch_runs(self, in_flight: Callable[[], Mapping[RunInFlight, int]]) -> None:
        """Read how many runs are in flight whenever somebody scrapes."""
        self.workflow_runs.of(lambda: in_flight().items())

    def watch_held_back(self, held_back: Callable[[], float]) -> None:
        """Read the number of customers who are held back whenever somebody scrapes."""
        self.customers_held_back.set_function(held_back)

    def watch_shops(self, counts: ShopCounts) -> None:
        """Show what has come of the shops that are connected."""
        self._shops.of(counts)

    def watch_secrets(self, counts: SecretCounts) -> None:
        """Show what became of secrets that were read again."""
        self._secrets.of(counts)

    def watch_outbound(self, counts: OutboundCounts) -> None:
        """Show what becomes of what other systems are told."""
        self._outbound.of(counts)

    def watch_mappings(self, counts: MappedCounts) -> None:
        """Show what becomes of the records of topics that others own."""
        self._mappings.of(counts)

    def watch_doors(self, counts: DoorCounts) -> None:
        """Show what happens at this process's ports."""
        self._doors.of(counts)

    def watch_feeds(self, counts: Callable[[], Mapping[str, FeedFigures]]) -> None:
        """Show what became of the product feeds that this process fetches."""
        self._feeds.of(counts)

    def watch_partitions(self, partitions: partition_manager.PartitionManager) -> None:
        """Show what happens to this process's partitions."""
        self._partitions.of(partitions)

    def watch_ahead(self, ahead: Callable[[], Mapping[int, int]]) -> None:
        """Show the partitions that wait for a time to come, by how many ms."""
        self._partitions.ahead.of(
            lambda: [((str(number),), ms / 1000) for number, ms in sorted(ahead().items())]
        )

    def watch_lag(self, lag: PartitionLag) -> None:
        """Show how far this process's partitions are behind."""
        self._partitions.behind(lag)

    def watch_state(self, stores: Callable[[], Mapping[TopicPartition, Store]]) -> None:
        """Show how much is kept of this process's open partitions."""
        self._partitions.keeping(stores)

    def _count_events(self, counts: BatchCounts) -> None:
        for (type_, result), count in counts.events.items():
            kind = "custom" if is_custom(type_) else _among(type_, _TYPES, UNKNOWN)
            outcome = _among(result, EVENT_RESULTS, UNKNOWN)
            self.events.labels(CUSTOMER_EVENTS, kind, outcome).inc(count)
        for ignored, count in counts.ignored.items():
            self.returns.verdicts_ignored.labels(*ignored).inc(count)
        for reason, count in counts.refused.items():
            self.events.labels(CUSTOMER_EVENTS, UNKNOWN, "refused").inc(count)
            label = _among(reason, REFUSAL_REASONS, "other")
            self.dead_letters.labels(CUSTOMER_EVENTS, label).inc(count)
        now = self._clock.now()
        for appended, records in counts.append_times.items():
            # The broker's clock may be ahead of ours.
            self.append_to_decided.observe(max(0, now - appended) / 1000, records)
        decided = self.event_age.labels("decided")
        for age in counts.ages:
            decided.observe(age / 1000)
        for lateness in counts.lateness:
            self.timer_lateness.observe(lateness / 1000)
        for direction, count in counts.scores.items():
            self.score_changes.labels("engagement", direction).inc(count)
        for name, count in counts.refused_fields.items():
            self.refused_fields.labels(name).inc(count)
        self._odd_fields.count(counts.odd)
        for kind, count in counts.shared_by_many.items():
            self.links_shared_by_many.labels(kind).inc(count)
        for type_, count in counts.undeclared.items():
            name = type_.removeprefix(CUSTOM) if is_declarable(type_) else "other"
            self.undeclared_events.labels(self._undeclared(name)).inc(count)
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


def _among(value: str, known: Container[str], otherwise: str) -> str:
    return value if value in known else otherwise
