"""What has become of what was to be delivered, by outlet; for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

DeliveryResult = Literal["delivered", "refused", "given_up", "failed", "nobody"]
"""refused: it never wants this message. given_up: its time was over. Both are dead letters. failed:
one attempt, another follows. nobody: it is about nobody whom a CRM could know."""

RESULTS: tuple[DeliveryResult, ...] = get_args(DeliveryResult)


class OutboundCounts:
    """Those of one worker."""

    def __init__(self) -> None:
        self.results: Counter[tuple[str, DeliveryResult]] = Counter()
        self.delays: dict[str, Callable[[], float]] = {}
        """Seconds for which the oldest message has waited, by outlet."""

    def begin(self, outlet: str, delay: Callable[[], float]) -> None:
        """Count for an outlet from now on, from zero on."""
        self.delays[outlet] = delay
        for result in RESULTS:
            self.results[outlet, result] += 0

    def end(self, outlet: str) -> None:
        """Nothing is delivered there any more."""
        self.delays.pop(outlet, None)

    def note(self, outlet: str, result: DeliveryResult, times: int = 1) -> None:
        """Count a result."""
        self.results[outlet, result] += times

    def samples(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the counts, for whoever scrapes."""
        for labels, count in self.results.items():
            yield labels, float(count)

    def waiting(self) -> Iterable[tuple[tuple[str, ...], float]]:
        """Return the delays, for whoever scrapes."""
        return [((outlet,), delay()) for outlet, delay in self.delays.items()]
