"""Gathers all that the log holds of one person, under every id that the person had."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial

from agents.customer.ownership import RecordOwnership
from schemas.customer import Customer
from schemas.records import Record
from schemas.reference import id_of, is_visitors, of_visitor
from streams.http.internal.client import Lookups
from streams.log import Log, OnProgress, no_progress, scan
from streams.operate.lookup import known_customers, latest_states
from streams.operate.record_index import PERSON
from streams.operate.record_search import find_records
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS, CUSTOMER_SIGNALS, DEAD_LETTERS, FACTS, SEND_COMMANDS


@dataclass(slots=True)
class Collected:
    """What is known of one person; records in the order in which they were written."""

    ids: list[str]
    """The customer's reference, then those under which it was a visitor (`schemas/reference.py`).
    """
    states: list[Customer]
    """What is kept, of somebody who was never identified the visitor's alone; of an id that a
    customer and a visitor have in common, both."""
    events: list[Record] = field(default_factory=list)
    commands: list[Record] = field(default_factory=list)
    signals: list[Record] = field(default_factory=list)
    decisions: list[Record] = field(default_factory=list)
    refused: list[Record] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all."""
        return not self.states and not (
            self.events or self.commands or self.signals or self.decisions or self.refused
        )


async def find_customer(
    log: Log,
    customer_id: str,
    *,
    lookups: Lookups | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[str, Customer | None]:
    """Return the reference of who an id is by now, and the kept record; None when nothing is kept.
    Where a customer and a visitor have the same id it is the customer.

    The owner is asked through `lookups`; `told` says when nobody answers. Raises LogError.
    """
    known = await _known(log, customer_id, lookups=lookups, told=told)
    reference, customer = next(iter(known.items()), (customer_id, None))
    if customer is not None and customer.became:
        became = await _known(log, customer.became, lookups=lookups, told=told)
        return customer.became, became.get(customer.became)
    return reference, customer


async def collect(
    log: Log,
    customer_id: str,
    *,
    lookups: Lookups | None = None,
    told: Callable[[str], None] = lambda _: None,
    on_progress: OnProgress = no_progress,
) -> Collected:
    """Gather everything, also of a visitor that has a customer's id; asks as `find_customer` does.
    Raises LogError."""
    who, state = await find_customer(log, customer_id, lookups=lookups, told=told)
    visitors = [of_visitor(each) for each in (customer_id, *(state.visitors if state else ()))]
    ids = list(dict.fromkeys([who, *visitors]))
    states, taken = [] if state is None else [state], set[str]()
    for each in list(filter(is_visitors, ids)):
        known = await _known(log, id_of(each), lookups=lookups, told=told)
        taken |= {name for name in known if name != who and not is_visitors(name)}
        visitor = known.get(each)
        if visitor is None or each == who:
            continue
        if visitor.became not in ("", who):
            ids.remove(each)  # the device is somebody else's by now, or another has claimed the id
        elif not visitor.became:
            states.append(visitor)
    belonging = RecordOwnership(ids, taken)
    keys = belonging.keys
    collected = Collected(ids, states)

    def named(record: Record) -> bool:
        return record.key in keys and belonging.is_named(record.key.decode())

    count = await log.partitions(CUSTOMER_EVENTS)
    partitions = {partition_of(key, count) for key in keys}  # the same in every such topic
    found = partial(
        find_records, log, keys=keys, lookups=lookups, told=told, on_progress=on_progress
    )

    async def read(
        topic: str, partitions: Collection[int] | None, wanted: Callable[[Record], bool]
    ) -> list[Record]:
        records = scan(log, topic, partitions, on_progress=on_progress)
        return _in_order([each async for each in records if wanted(each)])

    collected.events = _in_order(filter(belonging.has, await found(CUSTOMER_EVENTS)))
    collected.commands = await read(SEND_COMMANDS, partitions, named)
    collected.signals = await read(CUSTOMER_SIGNALS, partitions, named)
    collected.refused = await read(DEAD_LETTERS, None, belonging.has)
    decisions = await found(FACTS)
    collected.decisions = _in_order(
        each for each in decisions if belonging.is_named(PERSON[FACTS](each).decode())
    )
    return collected


async def _known(
    log: Log, customer_id: str, *, lookups: Lookups | None, told: Callable[[str], None]
) -> dict[str, Customer]:
    states = await latest_states(log, customer_id, lookups=lookups, told=told)
    return known_customers(states)


def _in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.timestamp, record.partition, record.offset))
