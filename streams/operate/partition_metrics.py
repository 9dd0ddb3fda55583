"""Metrics of the partition manager, read at each scrape."""

from __future__ import annotations

from functools import partial

from streams.operate.instruments import Instruments
from streams.operate.panels import Panel
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
"""What is mended by itself and should be rare; each is explained at `Counts`."""

_NOT_OPENING = Panel(
    "Set aside",
    "Partitions that do not open, or again and again",
    "They are tried again; the worker's log and /readyz say why.",
)


_AHEAD = Panel(
    "Set aside",
    "Append time ahead of the clock",
    "Such a partition waits and decides nothing: ritorno clock show.",
)


class PartitionMetrics:
    """Hands the counts over as they are at the moment."""

    def __init__(self, make: Instruments) -> None:
        self.not_opening = make.gauge(
            "partitions_not_opening",
            "Partitions that could not be opened, and are tried again.",
            shown=[_NOT_OPENING.line(legend="partitions")],
        )
        # How much was done is for whoever looks for a defect of ours; no panel asks for it.
        self.plain = {
            name: make.reading(f"partition_{name}", about, shown=())
            for name, about in PLAIN.items()
        }
        self.incidents = make.reading(
            "partition_incidents",
            "What went wrong between log and agents and was mended by itself.",
            "what",
            shown=(),
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
        self.not_opening.set_function(lambda: len(partitions.problems()))
        for name, reading in self.plain.items():
            reading.of_one(partial(getattr, counts, name))
        self.incidents.of(lambda: [((name,), getattr(counts, name)) for name in INCIDENTS])
        self.reopenings.of(
            lambda: [
                ((topic, str(partition)), times)
                for (topic, partition), times in sorted(partitions.reopened().items())
            ]
        )
