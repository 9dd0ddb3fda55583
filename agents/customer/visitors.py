"""Anonymous visitors: when they are forgotten, and how many may be new in an hour.

Whoever opens a shop's page is a visitor with an actor, and most never come back: a bot makes ten
thousand of them a second. So a visitor is *forgotten* who has been silent for some time and has
nothing that would be missed: no address, no name, no consent, no order, no code, no run that waits.
From then on, by the log's time, the partition takes the record for one that isn't there: no timer
fires, no news is told, and whoever comes back begins anew. The record is removed some time later
(`streams/runtime/visitor_expiry.py`), and it makes no difference to any decision when: nothing has
to be remembered of it, and replay, which removes nothing, decides the same.

Who became a customer is never forgotten. What is left then, the customer's id, is all by which the
browser's next events reach the customer, who may come back after any time; it is one short record
for each browser of a person who is known, and no bot makes one.

And only so many visitors *arrive* in a partition: each hour, of the time at which things happened
as far as it is a day ago, has room for an hour's share. A backlog of some hours finds the room of
each of them, and no sender can make more of it than a day's. One that finds none leaves nothing
behind. Customers, visitors who are known and history that is loaded afterwards pass freely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agents.definitions.settings import VisitorLimits
from agents.links.names import PREFIX, is_short_lived, kind_of
from schemas.customer import Customer, decode_customer
from schemas.customer.links import LINK_DAYS, Links
from schemas.events import EVENT_TYPES, Event
from schemas.failures import Failure
from schemas.stored import NEVER, is_erased
from schemas.time_units import DAY_MS, HOUR_MS

_LINKS = PREFIX.encode()

HOURS_KEPT = 24
"""What happened longer ago counts as if it had happened then. Nobody's outage lasts for a day."""


def utc_day(time: int) -> int:
    """Return the day, in UTC and since the epoch, of an instant in ms."""
    return time // DAY_MS


def may_be_refused(event: Event) -> bool:
    """Whether it is plain from an event that its visitor stays one of whom nothing is known."""
    return (
        event.type in LOOKING and event.anonymous_id in (None, event.customer) and not event.named
    )


LOOKING = frozenset(each.name for each in EVENT_TYPES.values() if each.looking)


def is_nobody(customer: Customer) -> bool:
    """Whether there is nothing in a record that somebody would miss."""
    profile = customer.profile
    return not (
        customer.became
        or customer.is_customer
        or customer.visitors
        or customer.consents
        or customer.lists
        or customer.evidence
        or customer.order_ids
        or customer.orders
        or customer.statistics.count
        or customer.coupons
        or customer.points
        or customer.taken
        or customer.given
        or customer.fields
        or customer.pending
        or _is_linked(customer.links)
        or customer.suppressed
        or customer.bounces.soft
        or profile.email
        or profile.phone
        or profile.name
        or profile.first_name
        or profile.last_name
        or profile.birthday
    )


def _is_linked(links: Links) -> bool:
    """Whether others may be told of it, or have told it."""
    if links.holders or links.customers_many or links.visitors_many:
        return True
    return any(kind_of(link) == "address" for link in links.registrations)


class VisitorExpiry:
    """Tells who is forgotten at a time of the log: visitors, and links of carts and checkouts."""

    def __init__(self, limits: VisitorLimits) -> None:
        self._days = limits.days
        self.since = -1
        """Who was heard on that day, or later, isn't forgotten."""
        self._visitors_since = self._links_since = -1
        self.today = 0
        """The day of the log's time, counted from the epoch."""

    def pass_to(self, now: int) -> None:
        """The log's time is `now`."""
        self.today = utc_day(now)
        self._links_since = self.today - LINK_DAYS
        if self._days is not None:
            self._visitors_since = self.today - self._days
        self.since = max(self._links_since, self._visitors_since)

    def has_forgotten(self, customer: Customer) -> bool:
        """Whether a record counts as if it weren't there."""
        heard = _last_heard(customer)
        if is_short_lived(customer.key):
            return heard < self._links_since and bool(customer.first_seen)
        return heard < self._visitors_since and _may_be_forgotten(customer)

    def is_of(self, key: bytes, stored: bytes) -> bool:
        """The same of a record as it is kept; of one that can't be read it is not known."""
        if is_erased(stored) or (self._days is None and not key.startswith(_LINKS)):
            return False
        try:
            return self.has_forgotten(decode_customer(key.decode(), stored))
        except (Failure, ValueError, msgspec.MsgspecError):
            return False


def _may_be_forgotten(customer: Customer) -> bool:
    waits = any(run.due != NEVER for run in customer.runs)
    return bool(customer.first_seen) and not waits and is_nobody(customer)


def _last_heard(customer: Customer) -> int:
    """Return the day of the last event; a release that didn't note it left its own time."""
    return customer.heard or utc_day(customer.last_seen)


class Arrivals:
    """How many visitors were new in each of the last hours."""

    def __init__(
        self,
        limits: VisitorLimits,
        counts: Mapping[int, int],
        births: Iterable[int],
        next_offset: int,
    ) -> None:
        """`counts` by hour, as they were at `next_offset`; `births` are the offsets at which
        visitors are known to have been new from there on: a batch that was written in part."""
        share = limits.per_second
        self._room = None if share is None else max(1, int(share * HOUR_MS / 1000))
        self._counts = dict(counts)
        self._known = {offset for offset in births if offset >= next_offset}
        self._births: list[int] = []

    def repeat(self, event: Event, offset: int, now: int) -> None:
        """A record is read again whose visitor's state includes it already: count as before."""
        if offset in self._known:
            self._count(_hour(event, now), offset)

    def is_full(self, event: Event, now: int) -> bool:
        """Whether there is no room for one more new visitor."""
        if self._room is None or event.backfill:
            return False
        return self._counts.get(_hour(event, now), 0) >= self._room

    def admit(self, event: Event, offset: int, now: int) -> None:
        """A new visitor has come with the event at `offset`."""
        if self._room is not None and not event.backfill:
            self._count(_hour(event, now), offset)

    def counts(self, now: int) -> dict[int, int]:
        """Return the counts that still matter."""
        oldest = now // HOUR_MS - HOURS_KEPT
        self._counts = {hour: self._counts[hour] for hour in sorted(self._counts) if hour >= oldest}
        return dict(self._counts)

    def take(self) -> list[int]:
        """Return the offsets since the last call at which a visitor was new, in order, and those
        that are known from further on; nothing when none is new."""
        births, self._births = self._births, []
        if not births or not self._known:
            return births
        self._known = {offset for offset in self._known if offset > births[-1]}
        return births + sorted(self._known)

    def _count(self, hour: int, offset: int) -> None:
        self._counts[hour] = self._counts.get(hour, 0) + 1
        self._births.append(offset)


def _hour(event: Event, now: int) -> int:
    """Return the hour of an event, none in the future and none before those that are kept."""
    latest = now // HOUR_MS
    if event.time is None:
        return latest
    return max(latest - HOURS_KEPT, min(event.time // HOUR_MS, latest))
