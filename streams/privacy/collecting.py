"""Gathers all that the log holds of one person, under every id that the person had."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pydantic import ValidationError

from schemas.customer import Customer, decode_customer
from schemas.decisions import DECISION
from schemas.records import Record
from schemas.stored import is_erased
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


async def find_customer(log: Log, customer_id: str) -> tuple[str, Customer | None]:
    """Return who an id is by now, and the kept record; None when nothing is kept.

    Raises LogError.
    """
    customer = await _state(log, customer_id)
    if customer is not None and customer.became:
        return customer.became, await _state(log, customer.became)
    return customer_id, customer


async def collect(log: Log, customer_id: str, report: Report = lambda _: None) -> Collected:
    """Gather everything. Raises LogError."""
    who, state = await find_customer(log, customer_id)
    ids = list(dict.fromkeys([who, customer_id, *(state.visitors if state else ())]))
    collected = Collected(ids, state)
    keys = {each.encode() for each in ids}

    def theirs(record: Record) -> bool:
        return record.key in keys

    count = await log.partitions(CUSTOMER_EVENTS)
    partitions = {partition_of(key, count) for key in keys}  # the same in every such topic
    collected.events = await _read(log, CUSTOMER_EVENTS, partitions, theirs, report)
    collected.commands = await _read(log, SEND_COMMANDS, partitions, theirs, report)
    collected.signals = await _read(log, CUSTOMER_SIGNALS, partitions, theirs, report)
    letters = range(await log.partitions(DEAD_LETTERS))
    collected.refused = await _read(log, DEAD_LETTERS, letters, theirs, report)
    facts = range(await log.partitions(FACTS))
    collected.decisions = await _read(
        log, FACTS, facts, lambda record: _decided_for(record) in ids, report
    )
    return collected


async def _state(log: Log, customer_id: str) -> Customer | None:
    stored = await latest_state(log, customer_id.encode())
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
    return sorted(found, key=lambda record: (record.timestamp, record.partition, record.offset))


def _decided_for(record: Record) -> str:
    try:
        return DECISION.validate_json(record.value or b"").customer
    except ValidationError:  # a count of openings and clicks, which is about nobody
        return ""
