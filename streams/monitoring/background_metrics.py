"""How often work in the background has failed, read at each scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from streams.monitoring.instruments import NAMESPACE
from streams.supervision import Failures


class BackgroundFailures(Collector):
    """Hands the counts over as they are at the moment."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    def collect(self) -> Iterator[Metric]:
        """Yield the metric. Called by prometheus-client."""
        found = CounterMetricFamily(
            f"{NAMESPACE}_background_failures",
            "Work beside the log that has failed and was begun again, or was left undone.",
            labels=["work"],
        )
        for work, count in self._failures.counts.items():
            found.add_metric([work], count)
        yield found
