"""Metrics of what other systems are told: webhooks of signals, the CRM."""

from __future__ import annotations

from streams.operate.instruments import Instruments
from streams.operate.panels import Panel
from streams.outbound.counts import OutboundCounts


class OutboundMetrics:
    """Shows the counts at each scrape."""

    def __init__(self, make: Instruments) -> None:
        self._deliveries = make.reading(
            "outbound_deliveries",
            "Messages for other systems, by webhook or CRM and by what became of them.",
            "outlet",
            "result",
            shown=[
                Panel(
                    "Delivery",
                    "Signals to other systems",
                    "failed: an attempt, another follows. refused: the endpoint does not want it. "
                    "given_up: the endpoint was down for too long. Both are dead letters: "
                    "`ritorno webhooks failed`, `ritorno crm failed`.",
                ).line("outlet", "result")
            ],
        )
        self._delay = make.reading(
            "outbound_delay_seconds",
            "For how long the oldest message that is not delivered has waited.",
            "outlet",
            kind="gauge",
            shown=[
                Panel(
                    "Delivery",
                    "Signals that wait",
                    "Age of the oldest message that an endpoint has not taken.",
                    unit="s",
                ).line("outlet", how="max")
            ],
        )

    def of(self, counts: OutboundCounts) -> None:
        """Show these."""
        self._deliveries.of(counts.samples)
        self._delay.of(counts.waiting)
