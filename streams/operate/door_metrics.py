"""Metrics of the doors of a worker: its ports."""

from __future__ import annotations

from streams.http.server.counts import DoorCounts
from streams.operate.instruments import Instruments
from streams.operate.panels import Panel


class DoorMetrics:
    """Hands the counts over as they are at the moment."""

    def __init__(self, make: Instruments) -> None:
        self.connections = make.reading(
            "http_connections",
            "Connections that are open, by port.",
            "door",
            kind="gauge",
            shown=[
                Panel(
                    "Workers",
                    "Connections",
                    "Open at each port. When all places are taken, who has waited for longest "
                    "makes room.",
                ).line("door")
            ],
        )
        self.refusals = make.reading(
            "http_refusals",
            "Connections and requests that were refused, by port and reason.",
            "door",
            "reason",
            shown=[
                Panel(
                    "Workers",
                    "Refused at the doors",
                    "What was no HTTP, too large, too slow or too much at once; accept: no file "
                    "was left for a connection.",
                ).line("door", "reason")
            ],
        )

    def of(self, counts: DoorCounts) -> None:
        """Show what happens at these doors."""
        self.connections.of(
            lambda: [((door,), count()) for door, count in counts.connections.items()]
        )
        self.refusals.of(lambda: list(counts.refused.items()))
