"""Metrics of the product feeds that a worker fetches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from streams.operate.instruments import Instruments, Samples
from streams.operate.panels import NotShown, Panel


class FeedFigures(Protocol):
    """What became of a feed (`streams/feeds/schedule.py`)."""

    succeeded: float
    products: int
    refused: int
    gone: int
    failures: int
    failures_in_a_row: int


class FeedMetrics:
    """Shows them at each scrape, by the name that the settings give a feed, while this worker is
    the one that fetches them."""

    def __init__(self, make: Instruments) -> None:
        self._succeeded = make.reading(
            "feed_last_success_timestamp_seconds",
            "When a product feed was last up to date.",
            "feed",
            kind="gauge",
            shown=[
                Panel(
                    "Events",
                    "Age of product feeds",
                    "Since when no look at a feed has succeeded; it rises to the span between two "
                    "looks.",
                    unit="s",
                ).line("feed", how="max", within="time() - {}")
            ],
        )
        self._products = make.reading(
            "feed_products",
            "Rows of a product feed that could be read, and that could not, the last time.",
            "feed",
            "result",
            kind="gauge",
            shown=[
                Panel(
                    "Events",
                    "Rows of product feeds",
                    "Refused rows could not be read; the worker's log names the first of them.",
                ).line("feed", "result", how="max")
            ],
        )
        self._gone = make.reading(
            "feed_gone_products",
            "Products that a whole feed has left out the last time.",
            "feed",
            kind="gauge",
            shown=NotShown("for whoever looks why products can't be bought any more"),
        )
        self._failures = make.reading(
            "feed_failures",
            "Feeds that could not be fetched or published; they stay as they were.",
            "feed",
            shown=NotShown("those in a row are shown, which say what is wrong at the moment"),
        )
        self._failing = make.reading(
            "feed_failures_in_a_row",
            "How often in a row it has failed; 0 after a success.",
            "feed",
            kind="gauge",
            shown=[
                Panel(
                    "Events",
                    "Failures of product feeds",
                    "In a row; the products stay as they were. The worker's log says why.",
                ).line("feed", how="max")
            ],
        )

    def of(self, counts: Callable[[], Mapping[str, FeedFigures]]) -> None:
        """Show these; none while another worker fetches."""

        def each(figure: Callable[[FeedFigures], float]) -> Callable[[], Samples]:
            return lambda: [((feed,), figure(counted)) for feed, counted in counts().items()]

        self._succeeded.of(
            lambda: [
                ((feed,), counted.succeeded)
                for feed, counted in counts().items()
                if counted.succeeded
            ]
        )
        self._products.of(
            lambda: [
                ((feed, result), value)
                for feed, counted in counts().items()
                for result, value in (("read", counted.products), ("refused", counted.refused))
            ]
        )
        self._gone.of(each(lambda counted: counted.gone))
        self._failures.of(each(lambda counted: counted.failures))
        self._failing.of(each(lambda counted: counted.failures_in_a_row))
