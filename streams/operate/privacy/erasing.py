"""Removes from the embedded log what an erased person left in it.

The signal `customer.erased` is the order to do so; whoever carries it out commits how far it got,
so that a crash repeats an erasure and never forgets one. It waits until nothing needs the records:

- the actor's empty state is in its changelog, so that nothing is ever recovered from the events;
- the mailer has dealt with the person's commands and told what became of them.

Then, record by record:

    customer-events       becomes a control record without key and content: others' timers fire at
                          the times that records have, so a replay must find the times
                          and so does what names the person's places that were set aside
    facts                 stay as increments, without the customer, the run and the command
    coupon pools          keep that a code was asked for, and not by whom
    signals, commands,    are removed; of the signals `customer.erased` stays, which other systems
    dead letters          have to learn of
    changelogs            keep each key's last record: an empty one; nothing of what has waited.
                          What a visitor's record took over lay under the bare id before, so of that
                          key, too, only the last record stays, be it a living customer's

What can't be read is nobody's (`record_contents.py`): a mail is passed over and named in the
process's own log, an event that waited is removed where it holds the id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.customer.ownership import RecordOwnership
from agents.mail.queue.queued_mail import QueuedMail
from agents.partition.held_back import waits_for
from agents.workflows.notifications import SHOP
from schemas.events import ERASED, EVENT_TYPES, RETRY, SET_ASIDE
from schemas.records import OutRecord, Record
from schemas.reference import both, id_of, is_visitors
from schemas.signing import SIGNATURE, RecordSigner
from schemas.stored import (
    HEAD_SIZE,
    HELD_BACK_PREFIX,
    OWN_PREFIX,
    WAITING_PREFIX,
    head,
    is_erased,
)
from streams.log import scan
from streams.logging import get_logger
from streams.operate.lookup import latest_progress
from streams.operate.privacy.record_contents import (
    decided_at,
    decision_of,
    entry_of,
    erased_of,
    is_of_mail,
    json_of,
    spellings,
    superseded,
    text_of,
    whom_about,
    without_customer,
)
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.embedded.redaction import Redaction
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMER_SIGNALS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    FACTS,
    MAILER_CHANGELOG,
    SEND_COMMANDS,
)
from streams.topology import GROUP as READERS

GROUP = "ritorno-erasing"
"""Under this name the offsets of the signals that were carried out are committed."""

REWRITTEN = "ritorno-rewriting"
"""Under this one those whose traces are in no corner of the file any more."""

BLANK = OutRecord(None, b"", (("ce_type", ERASED.encode()),))

_ABOUT = (SET_ASIDE.encode(), RETRY.encode())

_NAMING = ("name", "customer")

_ERASING = frozenset(each.name.encode() for each in EVENT_TYPES.values() if each.erases)

_log = get_logger(__name__)


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


class _KeptMail(NamedTuple):
    """A state of a mail, and where it is in the changelog."""

    partition: int
    offset: int
    id: str
    entry: QueuedMail | None
    """None when it can't be read."""


@dataclass(slots=True)
class _PersonRecords:
    """What is in the log of one person."""

    partition: int
    events: list[Record]
    commands: list[Record]
    states: list[Record]
    mails: dict[str, list[_KeptMail]] = field(default_factory=dict)
    """What the changelog has of each of the person's mails, and of those to the shop about them."""
    boundary: int = -1
    """Offset of the last event that erased; what comes after it is somebody new."""


class Erasing:
    """Carries erasures out, one after the other."""

    def __init__(self, log: EmbeddedLog, signer: RecordSigner | None = None) -> None:
        """`signer` signs what is changed of a signed record; who only looks needs none."""
        self._log = log
        self._signer = signer

    async def carry_out(self) -> bool:
        """Carry out what is open; return whether nothing has to wait. Raises LogError."""
        all_done = True
        for partition in range(await self._log.partitions(CUSTOMER_SIGNALS)):
            for erasure in await self._open(partition):
                if not await self._erase(erasure):
                    all_done = False
                    break  # the others of this partition come after it
                await self._commit(erasure)
        return all_done

    async def is_rewritten(self) -> bool:
        """Return whether the file holds no corner with something erased. Raises LogError."""
        return await self._log.committed(GROUP) == await self._log.committed(REWRITTEN)

    async def rewrite(self) -> None:
        """Write the file anew, where nobody is in the way. Raises LogError."""
        carried_out = await self._log.committed(GROUP)
        if await self._log.redaction().rewrite():
            await self._log.commit(REWRITTEN, carried_out)

    async def is_done(self, customer: str) -> bool:
        """Return whether no erasure of this customer is open. Raises LogError."""
        partition = partition_of(customer.encode(), await self._log.partitions(CUSTOMER_SIGNALS))
        return all(erasure.customer != customer for erasure in await self._open(partition))

    async def _open(self, partition: int) -> list[Erasure]:
        committed = await self._log.committed(GROUP)
        span = (await self._log.offsets(CUSTOMER_SIGNALS))[partition]
        start = max(committed.get((CUSTOMER_SIGNALS, partition), 0), span.start)
        found = []
        async for record in scan(
            self._log, CUSTOMER_SIGNALS, [partition], start=start, stop=span.end
        ):
            signal = erased_of(record)
            if signal is not None:
                found.append(
                    Erasure(
                        signal.customer, signal.time, partition, record.offset, record.timestamp
                    )
                )
        return found

    async def _commit(self, erasure: Erasure) -> None:
        await self._log.commit(GROUP, {(CUSTOMER_SIGNALS, erasure.partition): erasure.offset + 1})
        _log.info("erased from the log", signal=f"{erasure.partition}:{erasure.offset}")

    async def _erase(self, erasure: Erasure) -> bool:
        """Remove all traces; return False when something still needs them."""
        redaction = self._log.redaction()
        progress = await self._progress(erasure)  # before the states that it vouches for
        erasure = erasure._replace(names=await self._names(erasure, redaction))
        traces = await self._traces(erasure, redaction)
        if progress <= traces.boundary or not await self._is_dealt_with(traces):
            return False
        # Once more: what became of a mail is told before the mailer says that it was told, so an
        # outcome may have come since the events were read, and it is the last one.
        traces.events = await self._events(erasure, redaction, traces.partition)
        await self._blank_events(traces, redaction)
        await self._blank_controls(erasure, redaction)
        await self._remove_what_waited(erasure, redaction)
        await _remove(redaction, SEND_COMMANDS, traces.commands)
        for key in _keys(erasure):
            states = await redaction.with_key(CUSTOMERS_CHANGELOG, traces.partition, key)
            await _remove(redaction, CUSTOMERS_CHANGELOG, superseded(states))
        older = [kept for states in traces.mails.values() for kept in states[:-1]]
        await _remove(redaction, MAILER_CHANGELOG, older)
        await self._remove_signals(erasure, redaction)
        await self._remove_letters(erasure, redaction)
        await self._anonymise_facts(erasure, redaction)
        await self._anonymise_pools(erasure, redaction)
        return True

    # What there is.

    async def _traces(self, erasure: Erasure, redaction: Redaction) -> _PersonRecords:
        key = erasure.customer.encode()
        partition = partition_of(key, await self._log.partitions(CUSTOMER_EVENTS))
        events = await self._events(erasure, redaction, partition)
        commands = await _named(redaction, SEND_COMMANDS, partition, erasure.names)
        alerts = await self._alerts(erasure, redaction)
        traces = _PersonRecords(
            partition=partition,
            events=events,
            commands=[e for e in (*commands, *alerts) if decided_at(e.value) <= erasure.time],
            states=await redaction.with_key(CUSTOMERS_CHANGELOG, partition, key),
        )
        theirs = _belonging(erasure)
        erasing = [
            each.offset
            for each in events
            if each.header("ce_type") in _ERASING and theirs.has(each)
        ]
        traces.boundary = max(erasing, default=-1)
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

    async def _names(self, erasure: Erasure, redaction: Redaction) -> tuple[str, ...]:
        """Return the names of a person, as `Erasure.names` says."""
        if not is_visitors(erasure.customer):
            return (erasure.customer,)
        key = id_of(erasure.customer).encode()
        partition = partition_of(key, await self._log.partitions(CUSTOMERS_CHANGELOG))
        states = await redaction.with_key(CUSTOMERS_CHANGELOG, partition, key)
        state = states[-1].value if states else None
        is_free = state is None or is_erased(state)
        return (erasure.customer, id_of(erasure.customer)) if is_free else (erasure.customer,)

    async def _events(self, erasure: Erasure, redaction: Redaction, partition: int) -> list[Record]:
        """Return the person's events. With a customer all is erased that has the id, as the visitor
        is who has it, too; with a visitor nothing that is the customer's who has it."""
        events = await _named(redaction, CUSTOMER_EVENTS, partition, both(erasure.customer))
        if not is_visitors(erasure.customer):
            return events
        theirs = _belonging(erasure)
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
    ) -> list[_KeptMail]:
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
            found.append(_KeptMail(partition, record.offset, id_, entry))
        return [each for each in found if each.id in theirs]

    async def _progress(self, erasure: Erasure) -> int:
        """Return up to which record all states of the person's partition are in the changelog. One
        that has taken another over is there before what is left of that one."""
        key = erasure.customer.encode()
        partition = partition_of(key, await self._log.partitions(CUSTOMERS_CHANGELOG))
        progress = await latest_progress(self._log, partition)
        return 0 if progress is None else progress.next_offset

    async def _is_dealt_with(self, traces: _PersonRecords) -> bool:
        state = traces.states[-1].value if traces.states else None
        is_whole = state is not None and len(state) >= HEAD_SIZE
        if is_whole and head(state or b"").applied < traces.boundary:
            return False
        read = await self._log.committed(READERS)
        if any(each.offset >= read.get((SEND_COMMANDS, each.partition), 0)
               for each in traces.commands):  # fmt: skip
            return False
        latest = (states[-1].entry for states in traces.mails.values())
        return all(
            each is None or (each.finished and not each.command and not each.pending)
            for each in latest
        )

    # What becomes of it.

    async def _blank_events(self, traces: _PersonRecords, redaction: Redaction) -> None:
        theirs = [
            each.offset
            for each in traces.events
            if each.offset <= traces.boundary
            or (is_of_mail(each) and text_of(each.value, "command_id") in traces.mails)
        ]
        await redaction.change(CUSTOMER_EVENTS, traces.partition, dict.fromkeys(theirs, BLANK))

    async def _blank_controls(self, erasure: Erasure, redaction: Redaction) -> None:
        """What names the person's places: whoever was erased has nothing that is due there."""
        for partition in range(await self._log.partitions(CUSTOMER_EVENTS)):
            found = await redaction.holding(CUSTOMER_EVENTS, partition, spellings(*erasure.names))
            theirs = [
                each.offset
                for each in found
                if each.header("ce_type") in _ABOUT
                and any(text_of(each.value, name) in erasure.names for name in _NAMING)
                and each.timestamp <= erasure.stamp
            ]
            await redaction.change(CUSTOMER_EVENTS, partition, dict.fromkeys(theirs, BLANK))

    async def _remove_what_waited(self, erasure: Erasure, redaction: Redaction) -> None:
        """Events that waited while the person was held back, and that they did. What waited under
        the bare id of somebody else is removed as far as it doesn't wait any more."""
        topic = CUSTOMERS_CHANGELOG
        partition = partition_of(erasure.customer.encode(), await self._log.partitions(topic))
        for key in _keys(erasure):
            held = await redaction.with_key(topic, partition, HELD_BACK_PREFIX + key)
            await _remove(redaction, topic, superseded(held))
        waited, theirs = [], [name.encode() for name in erasure.names]
        for each in await redaction.holding(topic, partition, spellings(erasure.customer)):
            key = each.key or b""
            if not key.startswith(WAITING_PREFIX) or each.timestamp > erasure.stamp:
                continue
            whom = waits_for(each.value or b"")
            if whom is None or whom in theirs:
                waited.append(each)
            elif whom in _keys(erasure):
                same = await redaction.with_key(topic, partition, key)
                waited += [old for old in superseded(same) if old.offset == each.offset]
        await _remove(redaction, topic, waited)

    async def _remove_signals(self, erasure: Erasure, redaction: Redaction) -> None:
        signals = await _named(redaction, CUSTOMER_SIGNALS, erasure.partition, erasure.names)
        before = [s for s in signals if s.offset <= erasure.offset and erased_of(s) is None]
        await _remove(redaction, CUSTOMER_SIGNALS, before)

    async def _remove_letters(self, erasure: Erasure, redaction: Redaction) -> None:
        for partition in range(await self._log.partitions(DEAD_LETTERS)):
            letters = await _named(redaction, DEAD_LETTERS, partition, both(erasure.customer))
            before = [each for each in letters if each.timestamp <= erasure.stamp]
            if is_visitors(erasure.customer):
                before = [each for each in before if _belonging(erasure).has(each)]
            await _remove(redaction, DEAD_LETTERS, before)

    async def _anonymise_facts(self, erasure: Erasure, redaction: Redaction) -> None:
        words = spellings(*erasure.names)
        for partition in range(await self._log.partitions(FACTS)):
            changes = {
                record.offset: without_customer(record, decision)
                for record in await redaction.holding(FACTS, partition, words)
                if (decision := decision_of(record)) is not None
                and decision.customer in erasure.names
                and decision.time <= erasure.time
            }
            await redaction.change(FACTS, partition, changes)

    async def _anonymise_pools(self, erasure: Erasure, redaction: Redaction) -> None:
        """What the person's actor has asked of a coupon pool lies under the pool's own key."""
        words = spellings(*erasure.names)
        for partition in range(await self._log.partitions(CUSTOMER_EVENTS)):
            changes = {
                record.offset: self._anonymous_request(record)
                for record in await redaction.holding(CUSTOMER_EVENTS, partition, words)
                if record.header("ce_type") == b"coupon.requested"
                and text_of(record.value, "customer_id") in erasure.names
                and record.timestamp <= erasure.stamp
            }
            await redaction.change(CUSTOMER_EVENTS, partition, changes)

    def _anonymous_request(self, record: Record) -> OutRecord:
        request = {**json_of(record.value), "customer_id": "erased", "run": ""}
        changed = OutRecord(record.key, json.dumps(request).encode(), record.headers)
        if self._signer is None or record.header(SIGNATURE) is None:
            return changed
        return self._signer.sign(CUSTOMER_EVENTS, changed)


def _belonging(erasure: Erasure) -> RecordOwnership:
    id_ = id_of(erasure.customer)
    return RecordOwnership([erasure.customer], () if id_ in erasure.names else (id_,))


def _keys(erasure: Erasure) -> list[bytes]:
    """The keys under which the changelog has, or once had, what is kept of the person."""
    return [name.encode() for name in dict.fromkeys((erasure.customer, id_of(erasure.customer)))]


async def _named(
    redaction: Redaction, topic: str, partition: int, names: Iterable[str]
) -> list[Record]:
    """Return the records under the keys of these names, in the order of the topic."""
    found: list[Record] = []
    for name in names:
        found += await redaction.with_key(topic, partition, name.encode())
    return sorted(found, key=lambda record: record.offset)


async def _remove(redaction: Redaction, topic: str, records: Iterable[Record | _KeptMail]) -> None:
    by_partition: dict[int, dict[int, None]] = {}
    for record in records:
        by_partition.setdefault(record.partition, {})[record.offset] = None
    for partition, changes in by_partition.items():
        await redaction.change(topic, partition, changes)
