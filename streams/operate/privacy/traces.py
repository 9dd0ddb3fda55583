"""What the embedded log has of an erased person, and whether anything still needs it.

`agents/customer/ownership.py` tells whose a record is; how an erasure goes on from here is in
`streams/operate/privacy/erasing.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.customer.ownership import RecordOwnership
from agents.mail.queue.queued_mail import QueuedMail
from agents.workflows.notifications import SHOP
from schemas.events import EVENT_TYPES
from schemas.records import Record
from schemas.reference import both, id_of, is_visitors
from schemas.stored import HEAD_SIZE, OWN_PREFIX, head, is_erased
from streams.operate.lookup import latest_progress
from streams.operate.privacy.record_contents import (
    decided_at,
    entry_of,
    is_of_mail,
    spellings,
    text_of,
    whom_about,
)
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.embedded.redaction import Redaction
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    MAILER_CHANGELOG,
    SEND_COMMANDS,
)
from streams.topology import GROUP as READERS

_ERASING = frozenset(each.name.encode() for each in EVENT_TYPES.values() if each.erases)


class Erasure(NamedTuple):
    """One erasure to be carried out, as its signal says."""

    customer: str
    time: int
    """Time of the log at which the actor forgot, ms."""
    partition: int
    offset: int
    stamp: int
    """Where the signal is, and when it was appended."""
    names: tuple[str, ...] = ()
    """Under which actors and mailer speak of the person: the reference, and of a visitor who has no
    customer's id the bare one, under which release 0.1 knew it."""


class KeptMail(NamedTuple):
    """A state of a mail, and where it is in the changelog."""

    partition: int
    offset: int
    id: str
    entry: QueuedMail | None
    """None when it can't be read."""


@dataclass(slots=True)
class Traces:
    """What is in the log of one person."""

    partition: int
    events: list[Record]
    commands: list[Record]
    states: list[Record]
    mails: dict[str, list[KeptMail]] = field(default_factory=dict)
    """What the changelog has of each of the person's mails, and of those to the shop about them."""
    asked_last: int = -1
    """Offset of the last event that asks for an erasure, be it that the actor refused it."""
    boundary: int = -1
    """Offset of the last event that erased; what comes after it is somebody new."""


class TraceFinder:
    """Finds what is in one log."""

    def __init__(self, log: EmbeddedLog) -> None:
        """Whose records these are is told by their keys and contents."""
        self._log = log

    async def traces(self, erasure: Erasure, redaction: Redaction) -> Traces:
        """Return the records of a person, with the names that it has in `erasure`."""
        key = erasure.customer.encode()
        partition = partition_of(key, await self._log.partitions(CUSTOMER_EVENTS))
        events = await self.events(erasure, redaction, partition)
        commands = await named(redaction, SEND_COMMANDS, partition, erasure.names)
        alerts = await self._alerts(erasure, redaction)
        traces = Traces(
            partition=partition,
            events=events,
            commands=[e for e in (*commands, *alerts) if decided_at(e.value) <= erasure.time],
            states=await redaction.with_key(CUSTOMERS_CHANGELOG, partition, key),
        )
        theirs = belonging(erasure)
        erasing = [
            each.offset
            for each in events
            if each.header("ce_type") in _ERASING and theirs.has(each)
        ]
        traces.asked_last = max(erasing, default=-1)
        applied = _applied(traces.states)
        heard = [each for each in erasing if applied is None or each <= applied]
        traces.boundary = max(heard, default=-1)
        ids = {text_of(each.value, "id") for each in traces.commands} - {""}
        ids |= {
            text_of(each.value, "command_id")
            for each in events
            if each.offset <= traces.boundary and is_of_mail(each)
        } - {""}
        for each in {partition, *(alert.partition for alert in alerts)}:
            for kept in await self._entries(erasure, redaction, each, ids):
                traces.mails.setdefault(kept.id, []).append(kept)
        return traces

    async def names(self, erasure: Erasure, redaction: Redaction) -> tuple[str, ...]:
        """Return the names of a person, as `Erasure.names` says."""
        if not is_visitors(erasure.customer):
            return (erasure.customer,)
        key = id_of(erasure.customer).encode()
        partition = partition_of(key, await self._log.partitions(CUSTOMERS_CHANGELOG))
        states = await redaction.with_key(CUSTOMERS_CHANGELOG, partition, key)
        state = states[-1].value if states else None
        is_free = state is None or is_erased(state)
        return (erasure.customer, id_of(erasure.customer)) if is_free else (erasure.customer,)

    async def events(self, erasure: Erasure, redaction: Redaction, partition: int) -> list[Record]:
        """Return the person's events. With a customer all is erased that has the id, as the visitor
        is who has it, too; with a visitor nothing that is the customer's who has it."""
        events = await named(redaction, CUSTOMER_EVENTS, partition, both(erasure.customer))
        if not is_visitors(erasure.customer):
            return events
        theirs = belonging(erasure)
        return [each for each in events if theirs.has(each)]

    async def _alerts(self, erasure: Erasure, redaction: Redaction) -> list[Record]:
        """Return the mails to the shop's own people about the person, which go under its key."""
        shop = SHOP.encode()
        partition = partition_of(shop, await self._log.partitions(SEND_COMMANDS))
        found = await redaction.holding(SEND_COMMANDS, partition, spellings(*erasure.names))
        return [each for each in found
                if each.key == shop and whom_about(each.value) in erasure.names]  # fmt: skip

    async def _entries(
        self, erasure: Erasure, redaction: Redaction, partition: int, ids: Set[str]
    ) -> list[KeptMail]:
        """Return the states of the person's mails, by offset, those known by id and others."""
        words = [*spellings(*erasure.names), *(each.encode() for each in sorted(ids))]
        found, theirs = [], set(ids)
        for record in await redaction.holding(MAILER_CHANGELOG, partition, words):
            if not record.value or (record.key or b"").startswith(OWN_PREFIX):
                continue
            entry = entry_of(record)
            if entry is not None and (
                whom_about(entry.command) in erasure.names
                and decided_at(entry.command) <= erasure.time
            ):
                theirs.add(entry.id)
            id_ = (record.key or b"").decode("utf-8", "replace") if entry is None else entry.id
            found.append(KeptMail(partition, record.offset, id_, entry))
        return [each for each in found if each.id in theirs]

    async def progress(self, erasure: Erasure) -> int:
        """Return up to which record all states of the person's partition are in the changelog. One
        that has taken another over is there before what is left of that one."""
        key = erasure.customer.encode()
        partition = partition_of(key, await self._log.partitions(CUSTOMERS_CHANGELOG))
        progress = await latest_progress(self._log, partition)
        return 0 if progress is None else progress.next_offset

    async def is_dealt_with(self, traces: Traces) -> bool:
        """Whether the mails are dealt with, so that nothing is recovered from the records."""
        read = await self._log.committed(READERS)
        if any(each.offset >= read.get((SEND_COMMANDS, each.partition), 0)
               for each in traces.commands):  # fmt: skip
            return False
        latest = (states[-1].entry for states in traces.mails.values())
        return all(
            each is None or (each.finished and not each.command and not each.pending)
            for each in latest
        )


def _applied(states: Sequence[Record]) -> int | None:
    """Return up to which event the actor has got, None where that can't be read. What erases and
    lies behind it, though the partition has passed it, was refused: a forged one, for example."""
    state = (states[-1].value if states else None) or b""
    return head(state).applied if len(state) >= HEAD_SIZE else None


def belonging(erasure: Erasure) -> RecordOwnership:
    """Return what tells whether a record is the person's."""
    id_ = id_of(erasure.customer)
    return RecordOwnership([erasure.customer], () if id_ in erasure.names else (id_,))


def keys(erasure: Erasure) -> list[bytes]:
    """Return the keys under which the changelog has, or once had, what is kept of the person."""
    return [name.encode() for name in dict.fromkeys((erasure.customer, id_of(erasure.customer)))]


async def named(
    redaction: Redaction, topic: str, partition: int, names: Iterable[str]
) -> list[Record]:
    """Return the records under the keys of these names, in the order of the topic."""
    found: list[Record] = []
    for name in names:
        found += await redaction.with_key(topic, partition, name.encode())
    return sorted(found, key=lambda record: record.offset)
