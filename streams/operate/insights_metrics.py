"""Metrics of the facts' store, in a worker or in `ritorno insights`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from streams.insights.counts import FactCounts
from streams.operate.instruments import Instruments
from streams.operate.panels import Panel


class FactsRead(Protocol):
    """Who reads them; `streams/insights/service.py`."""

    counts: FactCounts
    seconds: float

    @property
    def answered(self) -> int:
        """How many questions were answered."""

    def lags(self) -> Mapping[int, int]:
        """Return how many records of each partition are not in yet."""


class InsightsMetrics:
    """Hands the counts over as they are at the moment."""

    def __init__(self, make: Instruments) -> None:
        self.facts = make.reading(
            "insights_facts",
            "Facts that were read, by what has become of them.",
            "result",
            shown=[
                Panel(
                    "Insights",
                    "Facts",
                    "Kept: in the store. Repeated: told twice after a crash, kept once. Lost: the "
                    "log had let go of them before they were read.",
                ).line("result")
            ],
        )
        self.lag = make.reading(
            "insights_lag",
            "Records of facts that are not in the store yet, by partition.",
            "partition",
            kind="gauge",
            shown=[
                Panel("Insights", "Facts waiting", "Not in the store yet: figures lack them.").line(
                    "partition"
                )
            ],
        )
        self.questions = make.reading(
            "insights_questions",
            "Questions that were answered.",
            shown=[Panel("Insights", "Questions", "Answered by the facts' store.").line()],
        )
        self.seconds = make.reading(
            "insights_question_seconds",
            "Seconds that answers have taken, in all.",
            shown=[
                Panel(
                    "Insights", "Seconds of answers", "Of all questions together, each second."
                ).line()
            ],
        )

    def of(self, insights: FactsRead) -> None:
        """Show what this store does."""
        counts = insights.counts
        self.facts.of(
            lambda: [
                (("kept",), counts.facts),
                (("repeated",), counts.repeated),
                (("unreadable",), counts.unreadable),
                (("erased",), counts.erased),
                (("lost",), counts.lost),
            ]
        )
        self.lag.of(lambda: [((str(n),), count) for n, count in insights.lags().items()])
        self.questions.of_one(lambda: float(insights.answered))
        self.seconds.of_one(lambda: insights.seconds)
