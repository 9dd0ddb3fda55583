"""How mails were received: openings and clicks, summed per workflow and step.

Where everybody has the same link (anonymous mode) each hit counts, since nobody can tell whether it
was the same person again. Elsewhere a mail's opening, and each of its links, counts once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.decisions import Decision
from schemas.tracking import Hit, HitKind, Verdict


class MailStep(NamedTuple):
    """The step of a workflow that sends a mail."""

    workflow: str
    step: str


@dataclass(slots=True)
class StepEngagement:
    """What is known of one step's mails."""

    decided: int = 0
    """Mails; some of them may have bounced, or wait."""
    hits: Counter[tuple[HitKind, Verdict]] = field(default_factory=Counter)
    links: Counter[int] = field(default_factory=Counter)
    """People's clicks by the number of the link, counted from 1."""
    anonymous: int = 0
    """How many of the hits were only counted, so that one person may stand behind several."""


class EngagementStatistics:
    """Sums up decisions and hits."""

    def __init__(self) -> None:
        self._steps: defaultdict[MailStep, StepEngagement] = defaultdict(StepEngagement)
        self._known: set[tuple[str, HitKind, int, Verdict]] = set()
        self._decided: set[str] = set()

    def decided(self, decision: Decision) -> None:
        """A decision was made; the same one twice, after a crash, counts once."""
        if decision.decision != "sent" or decision.command_id in self._decided:
            return
        if decision.command_id:  # an erasure takes it away, and the mail counts all the same
            self._decided.add(decision.command_id)
        self._steps[MailStep(decision.workflow, decision.step)].decided += 1

    def noted(self, hit: Hit) -> None:
        """A mail was opened or a link followed."""
        engagement = self._steps[MailStep(hit.workflow, hit.step)]
        times = 1 if hit.mail else hit.count
        if not hit.mail:
            engagement.anonymous += times
        elif (key := (hit.mail, hit.kind, hit.link, hit.verdict)) in self._known:
            return  # another worker, or an earlier life of this one, has seen it too
        else:
            self._known.add(key)
        engagement.hits[hit.kind, hit.verdict] += times
        if hit.kind == "click" and hit.verdict == "human":
            engagement.links[hit.link] += times

    def __iter__(self) -> Iterator[tuple[MailStep, StepEngagement]]:
        """Yield the steps, by workflow and name."""
        yield from sorted(self._steps.items(), key=lambda item: item[0])
