"""Metrics of the partitions given to a process, read at each scrape.

Each partition is a series of its own: seven that go on must not hide one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from streams.operate.instruments import Instruments, Samples
from streams.operate.panels import NotShown, Panel
from streams.runtime.partition_lag import PartitionLag
from streams.runtime.state.store import StateError, Store, StoreSize
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager

PLAIN = {
    "batches": "Batches that were processed to their end.",
    "records": "Records in them.",
    "commits": "Commits of offsets.",
}
INCIDENTS = (
    "stale_batches",
    "reopened",
    "failed_openings",
    "rewound",
    "refetches",
    "gaps",
    "failed_commits",
)
"""What is mended by itself and should be rare; each is explained at `PartitionCounts`."""

REBALANCE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds. A join takes less than one; after a crash the session has to end first."""

_NOT_OPENING = Panel(
    "Partitions",
    "Partitions that do not open, or again and again",
    "Attempts in vain and openings after a failure, in ten minutes; the worker's log and /readyz "
    "say why.",
)


_AHEAD = Panel(
    "Set aside",
    "Append time ahead of the clock",
    "Such a partition waits and decides nothing: ritorno clock show.",
)


class PartitionMetrics:
    """Hands the counts over as they are at the moment."""

    def __init__(self, make: Instruments) -> None:
        self.open = make.reading(
            "partition_open",
            "1 when a partition that is this process's is open, 0 while it is not.",
            "topic",
            "partition",
            kind="gauge",
            shown=[
                Panel(
                    "Partitions",
                    "Where each partition is",
                    "Which worker has it; 1: it is open, 0: it is being opened, or can't be.",
                    form="table",
                    is_wide=True,
                ).line("topic", "partition", "instance", how="max")
            ],
        )
        self.lag = make.reading(
            "partition_lag",
            "Records of a partition that are appended and not done yet.",
            "topic",
            "partition",
            kind="gauge",
            shown=[
                Panel(
                    "Partitions",
                    "Lag by partition",
                    "Records that wait, in each partition. It falls by itself after a restart; "
                    "what does not fall is stuck.",
                ).line("topic", "partition", legend="{{topic}}/{{partition}}", how="max")
            ],
        )
        self.state_bytes = make.reading(
            "partition_state_bytes",
            "What is kept of an open partition; on disk with RocksDB, compressed.",
            "topic",
            "partition",
            kind="gauge",
            shown=[
                Panel(
                    "Partitions",
                    "State by partition",
                    "What is kept of each partition. It grows with the customers and never by "
                    "leaps; whoever has to do without a copy reads all of it from the changelog.",
                ).line("topic", "partition", legend="{{topic}}/{{partition}}", how="max")
            ],
        )
        self.state_records = make.reading(
            "partition_state_records",
            "Records that are kept of an open partition; RocksDB's estimate.",
            "topic",
            "partition",
            kind="gauge",
            shown=[
                Panel(
                    "Partitions",
                    "Kept records by partition",
                    "Customers, visitors and products, or mails; what was written over lately "
                    "counts twice until RocksDB merges it.",
                ).line("topic", "partition", legend="{{topic}}/{{partition}}", how="max")
            ],
        )
        self.partitions = make.reading(
            "topic_partitions",
            "How many partitions a topic has.",
            "topic",
            kind="gauge",
            shown=[
                Panel(
                    "Partitions", "Partitions by topic", "As many as the topic was created with."
                ).line("topic", how="max")
            ],
        )
        # How much was done is for whoever looks for a defect of ours.
        self.plain = {
            name: make.reading(
                f"partition_{name}",
                about,
                shown=NotShown("for whoever looks for a defect of ours in the transport"),
            )
            for name, about in PLAIN.items()
        }
        self.incidents = make.reading(
            "partition_incidents",
            "What went wrong between log and agents and was mended by itself.",
            "what",
            shown=[
                Panel(
                    "Partitions",
                    "Mended by itself",
                    "Batches that were lost, stale or read again, commits and openings that "
                    "failed; rare but for rebalances.",
                ).line("what", over="10m")
            ],
        )
        self.reopenings = make.reading(
            "partition_reopenings",
            "Times that a partition was closed after a failure and opened again.",
            "topic",
            "partition",
            shown=[
                _NOT_OPENING.line(
                    "topic", "partition", legend="{{topic}}/{{partition}} opened again", over="10m"
                )
            ],
        )
        self.failed_openings = make.reading(
            "partition_failed_openings",
            "Times that a partition could not be opened.",
            "topic",
            "partition",
            shown=[
                _NOT_OPENING.line(
                    "topic", "partition", legend="{{topic}}/{{partition}} in vain", over="10m"
                )
            ],
        )
        self.rebalance_seconds = make.histogram(
            "rebalance_seconds",
            "From letting partitions go until some were given.",
            REBALANCE_BUCKETS,
            shown=[
                Panel(
                    "Partitions",
                    "Length of rebalances, 95th percentile",
                    "From letting partitions go until some were given; what has to be opened then "
                    "takes its time besides (Recovery).",
                ).line("instance"),
                Panel(
                    "Partitions",
                    "Rebalances",
                    "How often partitions were dealt out anew, by worker, in ten minutes.",
                ).line("instance", over="10m"),
            ],
        )

        self.ahead = make.reading(
            "partition_ahead_seconds",
            "How far the record in front of which a partition waits is ahead of the clock.",
            "partition",
            kind="gauge",
            shown=[_AHEAD.line("partition", how="max", legend="partition {{partition}}")],
        )

    def of(self, partitions: PartitionManager) -> None:
        """Show what happens to these partitions."""
        counts = partitions.counts
        self.open.of(lambda: _by_partition(_open(partitions)))
        for name, reading in self.plain.items():
            reading.of_one(partial(getattr, counts, name))
        self.incidents.of(lambda: [((name,), getattr(counts, name)) for name in INCIDENTS])
        self.reopenings.of(lambda: _by_partition(partitions.reopened()))
        self.failed_openings.of(lambda: _by_partition(partitions.failed_openings()))
        partitions.on_rebalance = self.rebalance_seconds.observe

    def keeping(self, stores: Callable[[], Mapping[TopicPartition, Store]]) -> None:
        """Show how much is kept."""
        self.state_bytes.of(
            lambda: _by_partition({tp: each.bytes for tp, each in _sizes(stores()).items()})
        )
        self.state_records.of(
            lambda: _by_partition({tp: each.records for tp, each in _sizes(stores()).items()})
        )

    def behind(self, lag: PartitionLag) -> None:
        """Show how far they are behind."""
        self.lag.of(lambda: _by_partition(lag.waiting()))
        self.partitions.of(lambda: [((topic,), n) for topic, n in lag.partitions().items()])


def _sizes(stores: Mapping[TopicPartition, Store]) -> Mapping[TopicPartition, StoreSize]:
    """Without those that can't say: a store that fails is told of by whoever works with it, and
    the other metrics are wanted then."""
    sizes = {}
    for tp, store in stores.items():
        with suppress(StateError):
            sizes[tp] = store.size()
    return sizes


def _open(partitions: PartitionManager) -> Mapping[TopicPartition, int]:
    open_ = partitions.open()
    return {tp: int(tp in open_) for tp in partitions.owned()}


def _by_partition(values: Mapping[TopicPartition, int]) -> Samples:
    return [((topic, str(number)), value) for (topic, number), value in sorted(values.items())]
