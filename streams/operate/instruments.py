"""Makes metrics: the product's prefix, one registry, series that exist from the start."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMESPACE = "ritorno"


class Instruments:
    """Makes the metrics of one registry. Names are without `ritorno_`, those of counters without
    `_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, about: str, *labels: str) -> Counter:
        """Return a new counter."""
        return Counter(name, about, labels, namespace=NAMESPACE, registry=self._registry)

    def gauge(self, name: str, about: str, *labels: str) -> Gauge:
        """Return a new gauge."""
        return Gauge(name, about, labels, namespace=NAMESPACE, registry=self._registry)

    def histogram(self, name: str, about: str, buckets: Iterable[float], *labels: str) -> Histogram:
        """Return a new histogram; `buckets` are their upper bounds."""
        return Histogram(
            name, about, labels, namespace=NAMESPACE, registry=self._registry, buckets=list(buckets)
        )


def begin_at_zero(metric: Counter | Gauge | Histogram, *values: Iterable[str]) -> None:
    """Make the series of all combinations of `values`, one iterable for each label."""
    for labels in product(*values):
        metric.labels(*labels)
