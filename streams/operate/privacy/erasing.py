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
    coupon pools, links   keep that a code was asked for, that an address was somebody's, and not
                          whose; of a link's actor only the last state stays, which names nobody
                          who was erased
    signals, commands,    are removed; of the signals `customer.erased` stays, which other systems
    dead letters          have to learn of
    changelogs            keep each key's last record: an empty one; nothing of what has waited.
                          What a visitor's record took over lay under the bare id before, so of that
                          key, too, only the last record stays, be it a living customer's

What can't be read is nobody's (`record_contents.py`): a mail is passed over and named in the
process's own log, an event that waited is removed where it holds the id.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.partition.held_back import waits_for
from schemas.events import ERASED, RETRY, SET_ASIDE
from schemas.records import OutRecord, Record
from schemas.reference import both, is_visitors
from schemas.signing import RecordSigner
from schemas.stored import HELD_BACK_PREFIX, WAITING_PREFIX
from streams.log import scan
from streams.logging import get_logger
from streams.operate.privacy.record_contents import (
    decision_of,
    erased_of,
    is_of_mail,
    spellings,
    superseded,
    text_of,
    without_customer,
)
from streams.operate.privacy.told_to_ours import told_of
from streams.operate.privacy.traces import (
    Erasure,
    KeptMail,
    TraceFinder,
    Traces,
    belonging,
    keys,
    named,
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

GROUP = "ritorno-erasing"
"""Under this name the offsets of the signals that were carried out are committed."""

REWRITTEN = "ritorno-rewriting"
"""Under this one those whose traces are in no corner of the file any more."""

BLANK = OutRecord(None, b"", (("ce_type", ERASED.encode()),))

_ABOUT = (SET_ASIDE.encode(), RETRY.encode())

_NAMING = ("name", "customer")

_log = get_logger(__name__)


class Erasing:
    """Carries erasures out, one after the other."""

    def __init__(self, log: EmbeddedLog, signer: RecordSigner | None = None) -> None:
        """`signer` signs what is changed of a signed record; who only looks needs none."""
        self._log = log
        self._signer = signer
        self._finder = TraceFinder(log)

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
        progress = await self._finder.progress(erasure)  # before the states that it vouches for
        erasure = erasure._replace(names=await self._finder.names(erasure, redaction))
        traces = await self._finder.traces(erasure, redaction)
        if progress <= traces.asked_last or not await self._finder.is_dealt_with(traces):
            return False
        told = await told_of(self._log, redaction, erasure, self._signer)
        if not await told.is_obeyed():
            return False
        # Once more: what became of a mail is told before the mailer says that it was told, so an
        # outcome may have come since the events were read, and it is the last one.
        traces.events = await self._finder.events(erasure, redaction, traces.partition)
        await self._blank_events(traces, redaction)
        await self._blank_controls(erasure, redaction)
        await self._remove_what_waited(erasure, redaction)
        await _remove(redaction, SEND_COMMANDS, traces.commands)
        for key in keys(erasure):
            states = await redaction.with_key(CUSTOMERS_CHANGELOG, traces.partition, key)
            await _remove(redaction, CUSTOMERS_CHANGELOG, superseded(states))
        older = [kept for states in traces.mails.values() for kept in states[:-1]]
        await _remove(redaction, MAILER_CHANGELOG, older)
        await self._remove_signals(erasure, redaction)
        await self._remove_letters(erasure, redaction)
        await self._anonymise_facts(erasure, redaction)
        await told.anonymise(redaction)
        return True

    # What becomes of the traces.

    async def _blank_events(self, traces: Traces, redaction: Redaction) -> None:
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
        for key in keys(erasure):
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
            elif whom in keys(erasure):
                same = await redaction.with_key(topic, partition, key)
                waited += [old for old in superseded(same) if old.offset == each.offset]
        await _remove(redaction, topic, waited)

    async def _remove_signals(self, erasure: Erasure, redaction: Redaction) -> None:
        signals = await named(redaction, CUSTOMER_SIGNALS, erasure.partition, erasure.names)
        before = [s for s in signals if s.offset <= erasure.offset and erased_of(s) is None]
        await _remove(redaction, CUSTOMER_SIGNALS, before)

    async def _remove_letters(self, erasure: Erasure, redaction: Redaction) -> None:
        for partition in range(await self._log.partitions(DEAD_LETTERS)):
            letters = await named(redaction, DEAD_LETTERS, partition, both(erasure.customer))
            before = [each for each in letters if each.timestamp <= erasure.stamp]
            if is_visitors(erasure.customer):
                before = [each for each in before if belonging(erasure).has(each)]
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


async def _remove(redaction: Redaction, topic: str, records: Iterable[Record | KeptMail]) -> None:
    by_partition: dict[int, dict[int, None]] = {}
    for record in records:
        by_partition.setdefault(record.partition, {})[record.offset] = None
    for partition, changes in by_partition.items():
        await redaction.change(topic, partition, changes)
