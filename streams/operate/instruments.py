"""Makes metrics: the product's prefix, one registry, series that exist from the start."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, product
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from streams.operate.panels import Line, MetricKind, NotShown, Shown

NAMESPACE = "ritorno"

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, and the value."""


class Instruments:
    """Makes the metrics of one registry. Names are without `ritorno_`, those of counters without
    `_total`. `shown`: what of each is on the dashboard, or why nothing is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.shown: list[Shown] = []
        """In the order in which they were made."""
        self.not_shown: dict[str, NotShown] = {}
        """By the metric's whole name, without the suffix of its type."""

    def counter(
        self, name: str, about: str, *labels: str, shown: Iterable[Line] | NotShown
    ) -> Counter:
        """Return a new counter."""
        self._show(name, "counter", shown)
        return Counter(name, about, labels, namespace=NAMESPACE, registry=self._registry)

    def gauge(self, name: str, about: str, *labels: str, shown: Iterable[Line] | NotShown) -> Gauge:
        """Return a new gauge."""
        self._show(name, "gauge", shown)
        return Gauge(name, about, labels, namespace=NAMESPACE, registry=self._registry)

    def histogram(
        self,
        name: str,
        about: str,
        buckets: Iterable[float],
        *labels: str,
        shown: Iterable[Line] | NotShown,
    ) -> Histogram:
        """Return a new histogram; `buckets` are their upper bounds."""
        self._show(name, "histogram", shown)
        return Histogram(
            name, about, labels, namespace=NAMESPACE, registry=self._registry, buckets=list(buckets)
        )

    def bulk_histogram(
        self, name: str, about: str, buckets: Iterable[float], *, shown: Iterable[Line] | NotShown
    ) -> BulkHistogram:
        """Return a new histogram of what comes in hundreds at once."""
        self._show(name, "histogram", shown)
        histogram = BulkHistogram(f"{NAMESPACE}_{name}", about, buckets)
        self._registry.register(histogram)
        return histogram

    def reading(
        self,
        name: str,
        about: str,
        *labels: str,
        shown: Iterable[Line] | NotShown,
        kind: Literal["counter", "gauge"] = "counter",
    ) -> ScrapedMetrics:
        """Return a metric of counts that somebody keeps anyway, read at each scrape."""
        self._show(name, kind, shown)
        reading = ScrapedMetrics(name, about, labels, kind)
        self._registry.register(reading)
        return reading

    def _show(self, name: str, kind: MetricKind, lines: Iterable[Line] | NotShown) -> None:
        if isinstance(lines, NotShown):
            self.not_shown[f"{NAMESPACE}_{name}"] = lines
        else:
            self.shown += [Shown(f"{NAMESPACE}_{name}", kind, line) for line in lines]


class ScrapedMetrics(Collector):
    """Hands counts over as they are at the moment; nothing, not even its name, before `of` says
    whose."""

    def __init__(
        self, name: str, about: str, labels: tuple[str, ...], kind: Literal["counter", "gauge"]
    ) -> None:
        self._name = f"{NAMESPACE}_{name}"
        self._about = about
        self._labels = labels
        self._family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
        self._read: Callable[[], Samples] | None = None

    def of(self, read: Callable[[], Samples]) -> None:
        """Ask `read` whenever somebody scrapes."""
        self._read = read

    def of_one(self, read: Callable[[], float]) -> None:
        """The same, of a metric without labels."""
        self._read = lambda: [((), read())]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric. Called by prometheus-client."""
        if self._read is None:
            return
        family = self._family(self._name, self._about, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family


class BulkHistogram(Collector):
    """A histogram that takes the same value many times for the price of once."""

    def __init__(self, name: str, about: str, buckets: Iterable[float]) -> None:
        self._name = name
        self._about = about
        self._bounds = sorted(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, so many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def collect(self) -> Iterator[Metric]:
        """Yield the metric. Called by prometheus-client."""
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._about, buckets, self._sum)


def begin_at_zero(metric: Counter | Gauge | Histogram, *values: Iterable[str]) -> None:
    """Make the series of all combinations of `values`, one iterable for each label."""
    for labels in product(*values):
        metric.labels(*labels)
