"""Gathers all that the log holds of one person, under every id that the person had."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from schemas.customer import Customer, decode_customer
from schemas.records import Record
from schemas.stored import is_erased
from streams.finding import find_records
from streams.internal.asking import Lookups
from streams.log import Log
from streams.lookup import latest_state
from streams.partitioner import partition_of
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMER_SIGNALS,
    DEAD_LETTERS,
    FACTS,
    SEND_COMMANDS,
)

Report = Callable[[int], None]
"""Called with the number of records looked through since the last call."""


@dataclass(slots=True)
class Collected:
    """What is known of one person; records in the order in which they were written."""

    ids: list[str]
    """The customer's id, then those under which it was a visitor."""
    state: Customer | None
    """None: nothing is kept, or not any more."""
    events: list[Record] = field(default_factory=list)
    commands: list[Record] = field(default_factory=list)
    signals: list[Record] = field(default_factory=list)
    decisions: list[Record] = field(default_factory=list)
    refused: list[Record] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all."""
        return self.state is None and not (
            self.events or self.commands or self.signals or self.decisions or self.refused
        )


async def find_customer(
    log: Log,
    customer_id: str,
    *,
    lookups: Lookups | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[str, Customer | None]:
    """Return who an id is by now, and the kept record; None when nothing is kept.

    The owner is asked through `lookups`; `told` says when nobody answers. Raises LogError.
    """
    state = partial(_state, log, lookups=lookups, told=told)
    customer = await state(customer_id)
    if customer is not None and customer.became:
        return customer.became, await state(customer.became)
    return customer_id, customer


async def collect(
    log: Log,
    customer_id: str,
    report: Report = lambda _: None,
    *,
    lookups: Lookups | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Gather everything; asks as `find_customer` does. Raises LogError."""
    who, state = await find_customer(log, customer_id, lookups=lookups, told=told)
    ids = list(dict.fromkeys([who, customer_id, *(state.visitors if state else ())]))
    collected = Collected(ids, state)
    keys = {each.encode() for each in ids}

    def theirs(record: Record) -> bool:
        return record.key in keys

    count = await log.partitions(CUSTOMER_EVENTS)
    partitions = {partition_of(key, count) for key in keys}  # the same in every such topic
    found = partial(find_records, log, keys=keys, lookups=lookups, told=told)
    collected.events = _in_order(await found(CUSTOMER_EVENTS))
    collected.commands = await _read(log, SEND_COMMANDS, partitions, theirs, report)
    collected.signals = await _read(log, CUSTOMER_SIGNALS, partitions, theirs, report)
    letters = range(await log.partitions(DEAD_LETTERS))
    collected.refused = await _read(log, DEAD_LETTERS, letters, theirs, report)
    collected.decisions = _in_order(await found(FACTS))
    return collected


async def _state(
    log: Log, customer_id: str, *, lookups: Lookups | None, told: Callable[[str], None]
) -> Customer | None:
    stored = await latest_state(log, customer_id.encode(), lookups=lookups, told=told)
    if stored is None or is_erased(stored):
        return None
    return decode_customer(customer_id, stored)


async def _read(
    log: Log,
    topic: str,
    partitions: Collection[int],
    wanted: Callable[[Record], bool],
    report: Report,
) -> list[Record]:
    spans = await log.offsets(topic)
    found: list[Record] = []
    for partition in sorted(partitions):
        span = spans[partition]
        async for chunk in log.read(topic, partition, span.start, span.end):
            found += [record for record in chunk if wanted(record)]
            report(len(chunk))
    return _in_order(found)


def _in_order(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.timestamp, record.partition, record.offset))
