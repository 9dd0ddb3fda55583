"""The scheduler of one partition's mails: which wait in their lane, for a time, or for a person.

Knows ids and nothing else: three small objects a mail. An id is in one place only, and nothing is
ever searched or removed: whoever takes an id looks at what has become of its mail.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator

from agents.mail.metrics import HoldReason
from agents.mail.queue.lanes import Lane
from agents.mail.queue.queued_mail import QueuedMail
from schemas.commands import DeliveryClass


class MailScheduler:
    """The waiting mails of one partition."""

    def __init__(self) -> None:
        self._ready: dict[Lane, list[tuple[int, str]]] = {}
        self._later: list[tuple[int, Lane, str]] = []
        self._held: dict[str, None] = {}
        """Held without a time at which they could go."""
        self._recheck: deque[str] = deque()
        """To be looked at again, because what holds them may have changed."""
        self._reminders: list[tuple[int, str]] = []
        self.mails: Counter[DeliveryClass] = Counter()
        """By delivery class, the held ones among them."""
        self.held: Counter[HoldReason] = Counter()
        """By reason."""

    def count(self, before: QueuedMail | None, after: QueuedMail) -> None:
        """A mail has changed, or is new."""
        for entry, by in ((before, -1), (after, 1)):
            if entry is not None and entry.waiting:
                self.mails[entry.lane.delivery] += by
                if entry.state == "held" and entry.held is not None:
                    self.held[entry.held] += by

    # Lanes: of those who may go now, the one with the earliest due time goes first.

    def go(self, entry: QueuedMail) -> None:
        """A mail may go now, whatever its due time says."""
        heapq.heappush(self._ready.setdefault(entry.lane, []), (entry.due, entry.id))

    def go_at(self, entry: QueuedMail, time: int) -> None:
        """A mail may go at `time`."""
        heapq.heappush(self._later, (time, entry.lane, entry.id))

    def ready(self, now: int) -> list[Lane]:
        """Return the lanes with mails that may go at `now`, urgent ones first."""
        while self._later and self._later[0][0] <= now:
            due, lane, id_ = heapq.heappop(self._later)
            heapq.heappush(self._ready.setdefault(lane, []), (due, id_))
        return sorted(self._ready, key=_urgency)

    def pop(self, lane: Lane) -> str | None:
        """Take the next mail of a lane."""
        heap = self._ready.get(lane)
        if not heap:
            return None
        _, id_ = heapq.heappop(heap)
        if not heap:
            del self._ready[lane]
        return id_

    def oldest(self) -> int | None:
        """Return the due time of the mail that may go and has waited longest."""
        return min((heap[0][0] for heap in self._ready.values()), default=None)

    # Held, and what is to be looked at again.

    def hold(self, entry: QueuedMail) -> None:
        """A mail waits until `recheck_held`."""
        self._held[entry.id] = None

    def free(self, entry: QueuedMail) -> None:
        """A mail does so no more."""
        self._held.pop(entry.id, None)

    def recheck(self, id_: str) -> None:
        """One mail is to be looked at again."""
        self._recheck.append(id_)

    def recheck_ready(self, wanted: Callable[[Lane], bool] = lambda _: True) -> None:
        """All that may go in the lanes that are `wanted` are to be looked at again."""
        for lane in [each for each in self._ready if wanted(each)]:
            self._recheck.extend(id_ for _, id_ in sorted(self._ready.pop(lane)))

    def recheck_held(self) -> None:
        """All that wait without a time are to be looked at again."""
        self._recheck.extend(self._held)
        self._held = {}

    def recheck_later(self) -> None:
        """All that wait for a time are to be looked at again."""
        self._recheck.extend(id_ for _, _, id_ in sorted(self._later))
        self._later = []

    def to_recheck(self, most: int) -> Iterator[str]:
        """Take what is to be looked at again, at most `most` of those there are now."""
        for _ in range(min(len(self._recheck), most)):
            yield self._recheck.popleft()

    # Expiry, and being forgotten.

    def remind(self, time: int, id_: str) -> None:
        """Something is to be done about a mail at `time`, unless it has moved on by then."""
        heapq.heappush(self._reminders, (time, id_))

    def reminder(self, now: int) -> str | None:
        """Take a mail about which something is to be done."""
        if not self._reminders or self._reminders[0][0] > now:
            return None
        return heapq.heappop(self._reminders)[1]

    def next_time(self, now: int) -> int | None:
        """Return when there is something to do again."""
        if self._recheck:
            return now
        return min((heap[0][0] for heap in (self._later, self._reminders) if heap), default=None)


def _urgency(lane: Lane) -> int:
    return lane.urgency
