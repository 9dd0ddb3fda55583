"""What work in the background has done and how often it has failed, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from streams.operate.instruments import NAMESPACE
from streams.runtime.background import Failures


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


class LinesLeftOut(Collector):
    """Hands the counts over as they are at the moment."""

    def __init__(self, left_out: Mapping[str, int]) -> None:
        self._left_out = left_out

    def collect(self) -> Iterator[Metric]:
        """Yield the metric. Called by prometheus-client."""
        found = CounterMetricFamily(
            f"{NAMESPACE}_log_lines_left_out",
            "Warnings and errors that were not logged, as too many of the same came in a minute.",
            labels=["level"],
        )
        for level, count in self._left_out.items():
            found.add_metric([level], count)
        yield found


class ForgottenVisitors(Collector):
    """Hands the count over as it is at the moment."""

    def __init__(self, forgotten: Callable[[], int]) -> None:
        self._forgotten = forgotten

    def collect(self) -> Iterator[Metric]:
        """Yield the metric. Called by prometheus-client."""
        about = "Visitors who are forgotten and whose records were removed."
        name = f"{NAMESPACE}_visitors_forgotten"
        yield CounterMetricFamily(name, about, value=self._forgotten())
