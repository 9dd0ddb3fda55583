"""Metrics of the shops that are connected."""

from __future__ import annotations

from streams.connect.counts import ShopCounts
from streams.operate.instruments import Instruments
from streams.operate.panels import Panel, Section

_SECTION: Section = "Connected shops"
_AGE = Panel(
    _SECTION,
    "Age of polls",
    "Since when no poll of a shop has succeeded, and how often it is to be polled.",
    unit="s",
)
_POLLS = Panel(_SECTION, "Polls", "Rows that polls have read, and polls that have failed.")


class ShopMetrics:
    """Shows the counts at each scrape."""

    def __init__(self, make: Instruments) -> None:
        self._deliveries = make.reading(
            "shop_webhooks",
            "Webhooks of connected shops, by connection and what became of them.",
            "connection",
            "outcome",
            shown=[
                Panel(
                    _SECTION,
                    "Webhooks",
                    "unsigned: without a signature of the shop's; unreadable: signed, and among "
                    "the dead letters; later: the shop or the log did not answer.",
                ).line("connection", "outcome")
            ],
        )
        self._read = make.reading(
            "shop_resources_read",
            "Orders, customers and products that polls have read, by connection.",
            "connection",
            "resource",
            shown=[_POLLS.line("connection", "resource")],
        )
        self._failures = make.reading(
            "shop_poll_failures",
            "Polls of connected shops that have failed.",
            "connection",
            shown=[_POLLS.line("connection", legend="{{connection}} failed")],
        )
        self._polled = make.reading(
            "shop_polled_timestamp_seconds",
            "When a connected shop was last polled with success; at first, when polling began.",
            "connection",
            kind="gauge",
            shown=[_AGE.line("connection", how="max", within="time() - {}")],
        )
        self._every = make.reading(
            "shop_poll_interval_seconds",
            "Seconds between two polls of a connected shop, as its connection says.",
            "connection",
            kind="gauge",
            shown=[_AGE.line("connection", legend="{{connection}} interval", how="max")],
        )

    def of(self, counts: ShopCounts) -> None:
        """Show these."""
        self._deliveries.of(lambda: list(counts.deliveries.items()))
        self._read.of(lambda: list(counts.read.items()))
        self._failures.of(lambda: list(counts.failures.items()))
        self._polled.of(lambda: [(name, when / 1000) for name, when in counts.polled.items()])
        self._every.of(lambda: list(counts.every.items()))
