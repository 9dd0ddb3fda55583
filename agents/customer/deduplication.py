"""Deduplication of events, by source and id, for a span of the log's time.

Each id is kept as a hash of eight bytes in the bucket of the day on which it came, and a bucket
goes when even its last one is older than the span. There is a room for them; who fills it is
refused, and nothing is forgotten early. What our own actors tell each other needs no memory of ids:
`agents/partition/origins.py`. Orders have one of their own, for ever: `agents/commerce/orders.py`.

Two sources may count their ids alike, so an event is known by both. A shop whose events come on
several ways (Segment, CloudEvents) can say that these are one source; then the same id is the same
event on whichever way it comes. Order numbers are a shop's: all sources are one shop, unless the
setting names several.
"""

from __future__ import annotations

from xxhash import xxh3_64_digest

from agents import digests
from agents.context import Context
from agents.customer.tracking import SOURCE as PAGES
from agents.refusals import EventRefused
from schemas.customer import MEMORY_BYTES, SEEN_BYTES, Customer
from schemas.events import EVENT_TYPES, INTERNAL_TYPES, Event
from schemas.time_units import DAY_MS
from schemas.tracking import HITS

_BUCKET_BYTES = 16
"""What msgpack puts around a bucket at most: its day and its size."""
MOST_DAYS = 30
"""The longest span that can be set."""
_IDS_BYTES = MEMORY_BYTES - (MOST_DAYS + 3) * _BUCKET_BYTES
_EASY = _IDS_BYTES // 2
"""With fewer bytes of ids than these there is room for another, whoever sends it."""
_KEPT_FREE = 512 * SEEN_BYTES
"""For what our mailer and pages say of the customer's mails, whatever producers send."""

_HEARD_ANYWAY = frozenset(each.name for each in EVENT_TYPES.values() if each.heard_anyway)

_OURS = "/ritorno/"

_COUNT_AGAIN = frozenset(each.name for each in EVENT_TYPES.values() if each.counts_again)


def digest(event: Event, context: Context) -> bytes:
    """Return the hash under which an event is remembered."""
    source, sources = event.source, context.live.definitions.deduplication_rules.sources
    if sources.shops:
        source = sources.of(source)
    return xxh3_64_digest(f"{source}\0{event.id}".encode())


def is_known(customer: Customer, event: Event, wanted: bytes, context: Context) -> bool:
    """Return whether the customer has had the event within the span; `wanted` is its digest.

    What our own actors have told is asked about, too: release 0.1 told it without an origin, and
    may have been killed before it knew that it had. Raises EventRefused when the event is new and
    could not be remembered.
    """
    memory = customer.memory
    if len(memory) == 1 and not customer.seen:
        ids = memory.get(context.now // DAY_MS)
        if ids is not None and len(ids) < _EASY:  # so it is for nearly everybody
            return ids.find(wanted) >= 0 and digests.contains(ids, wanted)
    if not memory and not customer.seen:
        return False  # nothing was heard before
    return _is_known(customer, event, wanted, context)


def _is_known(customer: Customer, event: Event, wanted: bytes, context: Context) -> bool:
    if customer.seen and digests.contains(customer.seen, digests.digest(event.id)):
        return True
    first, size = _first_day(context), len(customer.seen)
    for key, ids in customer.memory.items():
        if _day(key) < first:
            continue
        if digests.contains(ids, wanted if key >= 0 else digests.digest(event.id)):
            return True
        size += len(ids)
    if size > _IDS_BYTES - _KEPT_FREE - SEEN_BYTES and not _is_heard_anyway(event):
        _require_room(size, event)
    return False


def remember(customer: Customer, event: Event, wanted: bytes, context: Context) -> None:
    """Keep the digest of an event that the customer has had now, unless it has an origin."""
    told = event.origin is not None or event.source == PAGES
    answers = event.type in _COUNT_AGAIN and _size(customer) < _EASY
    if told and not answers and _needs_no_memory(event):
        return
    today = context.now // DAY_MS
    memory, ids = customer.memory, customer.memory.get(today)
    if ids is None or customer.seen:
        if memory or customer.seen:
            _drop_old_buckets(customer, today, _first_day(context))
        ids = customer.memory.get(today, b"")
    elif len(memory) == 1 and len(ids) < _EASY:  # so it is for nearly everybody
        memory[today] = ids + wanted
        return
    if event.type in _HEARD_ANYWAY and _size(customer) + SEEN_BYTES > _IDS_BYTES:
        return
    customer.memory[today] = ids + wanted


def _is_heard_anyway(event: Event) -> bool:
    return event.type in _HEARD_ANYWAY or _needs_no_memory(event)


def _needs_no_memory(event: Event) -> bool:
    """Whether it is heard although it can't be remembered: it has an origin, or comes from a page
    of ours, and said twice it changes nothing. Of what does (_COUNT_AGAIN) so much is remembered as
    leaves half of the room to others: who clicks ten thousand times keeps no producer out."""
    if event.origin is not None and event.type in INTERNAL_TYPES:
        return True
    return event.source == PAGES and event.type not in HITS


def _first_day(context: Context) -> int:
    """Return the earliest day whose ids are still known."""
    return (context.now - context.live.definitions.deduplication_rules.remembered) // DAY_MS


def _drop_old_buckets(customer: Customer, today: int, first: int) -> None:
    """Let the buckets go that are too old. Ids that release 0.1 has left, of which it knew no
    source and no time, count as of today."""
    kept = {key: ids for key, ids in customer.memory.items() if _day(key) >= first}
    if customer.seen:
        kept[-1 - today] = customer.seen
        customer.seen = b""
    customer.memory = kept


def _require_room(size: int, event: Event) -> None:
    room = _IDS_BYTES if event.source.startswith(_OURS) else _IDS_BYTES - _KEPT_FREE
    if size + SEEN_BYTES > room:
        detail = f"{size // SEEN_BYTES} events of this customer are remembered, and no more fit"
        raise EventRefused("memory_full", detail)


def _size(customer: Customer) -> int:
    return sum(len(ids) for ids in customer.memory.values())


def _day(key: int) -> int:
    """Return the day of a bucket; the keys of those with ids of release 0.1 are negative."""
    return key if key >= 0 else -1 - key
