"""What an event writes: bytes by topic, before Kafka's framing and without compression.

Each event is a batch of its own, as in a shop with a few a second; where more come at once, a
customer's record is kept once for several of them. Commands are not among it: what mails write goes
by the mails.
"""

from __future__ import annotations

from collections import Counter

from benchmarks.recovery import actors_with, as_read
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import CUSTOMERS, Workload
from schemas.records import OutRecord
from streams.clock import SystemClock
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, FACTS

NAMES = {
    CUSTOMER_EVENTS: "event",
    CUSTOMERS_CHANGELOG: "kept_record",
    FACTS: "facts",
}

EVENTS_EACH = 4
"""Of a customer before anything is counted, and again while it is."""


def measure(say: Say) -> list[Result]:
    """Feed events one by one to a partition whose customers are known, and add up."""
    count = EVENTS_EACH * CUSTOMERS
    say(f"what {count:,} events write")
    kept: dict[bytes, bytes] = {}
    actors = actors_with(kept.get)
    workload = Workload(seed=SEED, now=SystemClock().now())
    written: Counter[str] = Counter()
    for number, record in enumerate(as_read(workload.events(2 * count))):
        changes = actors.receive([record])
        kept.update((key, stored) for key, stored in changes.states if stored is not None)
        if number < count:
            continue
        written[CUSTOMER_EVENTS] += _size(OutRecord(record.key, record.value, record.headers))
        for key, stored in changes.states:
            written[CUSTOMERS_CHANGELOG] += len(key) + len(stored or b"")
        for effect in changes.effects:
            written[effect.topic] += _size(effect.record)
    return [
        result(f"written.{name}", written[topic] / count, "bytes/event")
        for topic, name in NAMES.items()
    ]


def _size(record: OutRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
