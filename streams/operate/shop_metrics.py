"""Metrics of the shops that are connected."""

from __future__ import annotations

from streams.connect.counts import ShopCounts
from streams.operate.instruments import Instruments
from streams.operate.panels import NotShown

_WHERE_CONNECTED = NotShown("only where a shop is connected; an empty panel elsewhere")


class ShopMetrics:
    """Shows the counts at each scrape."""

    def __init__(self, make: Instruments) -> None:
        self._deliveries = make.reading(
            "shop_webhooks",
            "Webhooks of connected shops, by connection and what became of them.",
            "connection",
            "outcome",
            shown=_WHERE_CONNECTED,
        )
        self._read = make.reading(
            "shop_resources_read",
            "Orders, customers and products that polls have read, by connection.",
            "connection",
            "resource",
            shown=_WHERE_CONNECTED,
        )
        self._failures = make.reading(
            "shop_poll_failures",
            "Polls of connected shops that have failed.",
            "connection",
            shown=_WHERE_CONNECTED,
        )

    def of(self, counts: ShopCounts) -> None:
        """Show these."""
        self._deliveries.of(lambda: list(counts.deliveries.items()))
        self._read.of(lambda: list(counts.read.items()))
        self._failures.of(lambda: list(counts.failures.items()))
