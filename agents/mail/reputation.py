"""The sender's reputation: a breaker for marketing, and the slow beginning of a new sender.

Providers judge a sender by the share of mails that bounce and that people call spam. When the share
is bad, every further mail makes it worse, so marketing is held until a person resumes it or the
share is good again. Receipts go on, and their outcomes count.

It is people that are counted, each once, whatever becomes of how many mails to them: anybody can
have mails bounce and call them spam. Complaints are so rare that a few may be an accident, so there
have to be some, and enough that the true share is bad as well, as far as one can know.

Each partition keeps the outcomes of its own mails; the verdict is about all partitions of a worker
together. Instants are ms since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import msgspec

from agents.digests import digest
from agents.insights.statistics import wilson
from agents.rules import local_time
from schemas.customer import SEEN_BYTES
from schemas.stored import NEVER, body, pack
from schemas.time_units import DAY_MS

REPUTATION_KEY = b"\x00reputation"
"""Its key in store and changelog; no command id begins with a NUL."""

BOUNCES = 0.05
COMPLAINTS = 0.001
"""Shares at which providers begin to block a sender; Google and Yahoo name 0.1 % themselves."""

COMPLAINANTS = 5
"""People: fewer complaints say nothing, of however few mails."""

JUDGED = 200
"""Mails: fewer say nothing."""

REMEMBERED = 2_000
"""Mails: a complaint is so rare that it takes many mails to tell a rate from an accident."""

COUNTED_TOGETHER = 50
"""Mails counted together; the last 200 are then at most 250."""

OLD_MS = 7 * DAY_MS
"""What is older says nothing of today. It is also how a held sender that mails nobody recovers."""

RECOVERED = 0.5
"""A share is good again at half of what is bad; in between nothing changes."""

_REVISION_BITS = 32
"""Four billion changes in one fencing epoch, and two billion of those."""

_REPORTS = 100
"""Ids of feedback remembered, so that what is told twice counts once."""

_WHO_BYTES = 16
_REPORTED_TOGETHER = 50
"""People of whom feedback is noted beside as many mails: more would change nothing."""


def who(customer: str, address: str) -> bytes:
    """Return how somebody is told from others: hashes of the customer and of the address, which
    may be several customers' (`address_digest`; empty: not known)."""
    return digest(customer) + digest(address or customer)


class OutcomeCount(msgspec.Struct, array_like=True):
    """Outcomes that followed one another."""

    since: int
    mails: int = 0
    bounced: int = 0
    complained: int = 0
    bouncers: bytes = b""
    """Whose mails have bounced (`who`), each as often as they have. Who counted before this was
    kept was somebody, too."""
    complainants: bytes = b""
    """Who has complained, likewise."""


class SenderStatistics(msgspec.Struct, array_like=True):
    """What one partition keeps."""

    counts: list[OutcomeCount] = []
    held_since: int = 0
    """0: marketing is not held."""
    day: int = 0
    """Local day (`local_time.day_number`) that `begun` counts."""
    begun: int = 0
    """Marketing mails begun that day."""
    first_day: int = 0
    """Day of the first one ever."""
    reports: list[str] = []
    revision: int = 0

    def begin_epoch(self, fencing_epoch: int) -> None:
        """From now on the owner of `fencing_epoch` counts, whatever one before it still writes."""
        self.revision = max(self.revision, fencing_epoch << _REVISION_BITS)

    def note(self, now: int, bouncer: bytes = b"") -> None:
        """A mail was sent; or it has bounced, then `bouncer` says whose it was."""
        count = self._latest(now)
        count.mails += 1
        if bouncer:
            count.bounced += 1
            count.bouncers += bouncer

    def report(self, id_: str, now: int, *, complained: bool, by: bytes) -> bool:
        """Feedback on a mail that counts as sent already; `by` says whose it was. Returns False
        when it is known."""
        if id_ in self.reports:
            return False
        self.reports = [*self.reports[1 - _REPORTS :], id_]
        count, room = self._latest(now), _REPORTED_TOGETHER * _WHO_BYTES
        if complained and len(count.complainants) < room:
            count.complained += 1
            count.complainants += by
        elif not complained and len(count.bouncers) < room:
            count.bounced += 1
            count.bouncers += by
        return True

    def begin(self, day: int, count: int) -> None:
        """`count` marketing mails have begun today; negative when they have not after all."""
        if day > self.day:
            self.day, self.begun = day, 0
        self.begun = max(0, self.begun + count)
        self.first_day = self.first_day or day

    def begun_on(self, day: int) -> int:
        """Return how many marketing mails have begun on a day that is not over."""
        return self.begun if day == self.day else 0

    def _latest(self, now: int) -> OutcomeCount:
        last = self.counts[-1] if self.counts else None
        if last is None or last.mails >= COUNTED_TOGETHER or now - last.since > DAY_MS:
            self._forget_bouncers()
            self.counts.append(OutcomeCount(now))
        mails = sum(count.mails for count in self.counts)
        while mails - self.counts[0].mails >= REMEMBERED:
            mails -= self.counts.pop(0).mails
        return self.counts[-1]

    def _forget_bouncers(self) -> None:
        """Of bounces only the last JUDGED mails are looked at; this is kept with each mail."""
        mails = 0
        for count in reversed(self.counts):
            if mails >= JUDGED:
                count.bouncers = b""
            mails += count.mails


class SenderShares(NamedTuple):
    """What is known of a sender; nothing but zeros while there are too few mails to tell."""

    bounces: float = 0.0
    """People whose mails have bounced, of the last mails."""
    complaints: float = 0.0
    """People who have complained, of more mails."""
    surely: float = 0.0
    """What the true share of complaints is at least, with a probability of 97.5 %; 0 while it is
    fewer than COMPLAINANTS who have complained."""

    @property
    def bad(self) -> bool:
        """Whether marketing is to be held."""
        return self.surely > COMPLAINTS or self.bounces > BOUNCES

    @property
    def good(self) -> bool:
        """Whether marketing may go on."""
        recovered = self.bounces <= BOUNCES * RECOVERED
        return recovered and self.complaints <= COMPLAINTS * RECOVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How a new sender begins: so many marketing mails on the first day, then more each day."""

    start: int
    growth: float
    zone: str

    def cap(self, days: int) -> int:
        """Return how many may go on the day after `days` days."""
        return int(min(self.start * self.growth ** min(days, 365), 1e9))


class Reputation:
    """The reputation of one sender as far as this worker knows it."""

    def __init__(self, *, partitions: int = 1, warm_up: WarmUp | None = None) -> None:
        """`partitions` is how many there are in all: a worker has its share of the warm-up."""
        self._partitions = partitions
        self._warm_up = warm_up
        self._statistics: dict[int, SenderStatistics] = {}
        self.held_since = 0
        """Since when marketing is held; 0: it is not."""

    def join(self, partition: int, statistics: SenderStatistics) -> None:
        """A partition was opened."""
        self._statistics[partition] = statistics
        self.held_since = max(self.held_since, statistics.held_since)

    def leave(self, partition: int) -> None:
        """A partition was let go."""
        self._statistics.pop(partition, None)

    def judge(self, now: int) -> bool:
        """Look at the shares again. Returns whether the verdict has changed."""
        before = self.held_since
        shares = self.shares(now)
        if not before and shares.bad:
            self.held_since = now
        elif before and shares.good:
            self.held_since = 0
        for statistics in self._statistics.values():
            statistics.held_since = self.held_since
        return self.held_since != before

    def shares(self, now: int) -> SenderShares:
        """Return the shares of people whose mails have bounced and who have complained."""
        counts = self._recent(now)
        last: list[OutcomeCount] = []
        mails = 0
        for count in counts:
            last.append(count)
            mails += count.mails
            if mails >= JUDGED:
                break
        else:
            return SenderShares()
        bounces = _people((count.bounced, count.bouncers) for count in last) / mails
        mails = sum(count.mails for count in counts)
        people = min(mails, _people((count.complained, count.complainants) for count in counts))
        surely = wilson(people, mails).low if people >= COMPLAINANTS else 0.0
        return SenderShares(bounces, people / mails, surely)

    def reset(self, partition: int) -> None:
        """A person has resumed marketing: what was is forgiven."""
        self._statistics[partition].counts = []
        self.held_since = 0
        for statistics in self._statistics.values():
            statistics.held_since = 0

    def next_time(self, now: int) -> int | None:
        """Return when time alone may change the verdict."""
        oldest = min((each.since for each in self._recent(now)), default=None)
        return None if not self.held_since or oldest is None else oldest + OLD_MS

    def warm_until(self, now: int) -> int | None:
        """Return when the next marketing mail may begin; None: now."""
        if self._warm_up is None:
            return None
        today = local_time.day_number(now, self._warm_up.zone)
        statistics_of_all = self._statistics.values()
        first = min((each.first_day for each in statistics_of_all if each.first_day), default=today)
        share = ceil(self._warm_up.cap(today - first) * len(statistics_of_all) / self._partitions)
        if sum(each.begun_on(today) for each in statistics_of_all) < share:
            return None
        return local_time.next_day(now, self._warm_up.zone)

    def begin(self, partition: int, now: int, count: int) -> bool:
        """`count` marketing mails begin. Returns whether that has to be kept."""
        if self._warm_up is None:
            return False
        self._statistics[partition].begin(local_time.day_number(now, self._warm_up.zone), count)
        return True

    def _recent(self, now: int) -> list[OutcomeCount]:
        """Return the counts of all partitions, newest first."""
        counts: Iterable[OutcomeCount] = (
            count
            for statistics in self._statistics.values()
            for count in reversed(statistics.counts)
            if count.since > now - OLD_MS
        )
        return sorted(counts, key=lambda count: count.since, reverse=True)


def _people(counted: Iterable[tuple[int, bytes]]) -> int:
    """Return of how many people there are marks, a number of them with who that was: as many as
    there are customers, and as addresses."""
    customers, addresses, unknown = set(), set(), 0
    for marks, people in counted:
        unknown += marks - len(people) // _WHO_BYTES
        for at in range(0, len(people), _WHO_BYTES):
            customers.add(people[at : at + SEEN_BYTES])
            addresses.add(people[at + SEEN_BYTES : at + _WHO_BYTES])
    return min(len(customers), len(addresses)) + unknown


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(SenderStatistics)


def pack_statistics(statistics: SenderStatistics) -> bytes:
    """Return the kept form of the next revision."""
    statistics.revision += 1
    return pack(statistics.revision, NEVER, _ENCODER.encode(statistics))


def unpack_statistics(stored: bytes) -> SenderStatistics:
    """Read what `pack_statistics` wrote."""
    return _DECODER.decode(body(stored))
