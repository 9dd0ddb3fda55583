"""What the gate of this process's partitions says of itself, read at each scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from streams.operate.instruments import NAMESPACE
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


class GateCounts(Collector):
    """Hands the counts over as they are at the moment."""

    def __init__(self, gate: PartitionManager) -> None:
        self._gate = gate
        self._counts = gate.counts

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. Called by prometheus-client."""
        for name, about in PLAIN.items():
            value = getattr(self._counts, name)
            yield CounterMetricFamily(f"{NAMESPACE}_partition_{name}", about, value=value)
        incidents = CounterMetricFamily(
            f"{NAMESPACE}_partition_incidents",
            "What went wrong between log and agents and was mended by itself.",
            labels=["what"],
        )
        for name in INCIDENTS:
            incidents.add_metric([name], getattr(self._counts, name))
        yield incidents
        reopened = CounterMetricFamily(
            f"{NAMESPACE}_partition_reopenings",
            "Times that a partition was closed after a failure and opened again.",
            labels=["topic", "partition"],
        )
        for (topic, partition), times in sorted(self._gate.reopened().items()):
            reopened.add_metric([topic, str(partition)], times)
        yield reopened
