"""Dead letters in the log: which are open, and sending them again once the cause is fixed.

A letter goes back to the topic *and partition* it came from, as it was: key, value and headers. One
of a foreign topic is mapped again (`streams/connect/mappings/resending.py`), what a connected shop
has told is read again (`streams/connect/shop_letters.py`). Only topics that an
agent reads are accepted as a destination, since whoever may write to `dead-letters` could name any
other. A line that was refused while it was published never had a partition: it is read again as
`publish` reads it.

What our own code failed at lies here with the reason `internal_error`. Where that was no record of
its own, the letter holds the control record that has it tried again (`schemas/retry.py`). Products
are told as the feed has them now, and workflows only if they are still the live ones: what came
since must not be undone.

Sending again appends the originals first and the resolutions after them. A crash in between sends
one batch twice, which the customer's actor recognises by the event's source and id: the second
comes right behind the first, and an id is remembered for days (`agents/customer/deduplication.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from schemas.dead_letters import (
    LINE_SOURCE,
    NO_PARTITION,
    DeadLetter,
    Resolution,
    identity,
    read_letter,
    resolve,
    shop_resource,
)
from schemas.failures import Failure
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.validation import Unreadable
from schemas.wire import parse_published, to_record
from streams.log import Log, OnProgress, no_progress, scan
from streams.operate.dead_letter_resend import NotResent, as_of_now
from streams.partitioner import partition_of
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import AGENTS, CUSTOMER_EVENTS, DEAD_LETTERS

RESENT_TOGETHER = 200
"""Letters between two resolutions: what a crash may send twice."""

WEBHOOK_FAILED = "webhook_failed"
CRM_FAILED = "crm_failed"
"""Of letters whose record was taken and could not be told to another system
(`streams/outbound/letters.py`): told again in the log it would happen again."""

DESTINATIONS = frozenset(agent.reads for agent in AGENTS)

Wanted = Callable[[DeadLetter], bool]

ReadAgain = Callable[[DeadLetter], Awaitable[list[OutRecord]]]
"""Returns the events of a foreign record or a shop's resource. Raises Unreadable, NotResent,
Failure."""


@dataclass(slots=True)
class ResendReport:
    """What `resend` did."""

    resent: int = 0
    kept: list[tuple[DeadLetter, str]] = field(default_factory=list)
    """Letters that could not be sent again, each with the reason."""


async def open_letters(log: Log, wanted: Wanted = lambda _: True) -> AsyncIterator[DeadLetter]:
    """Yield the letters that nobody has dealt with, oldest first. Raises LogError.

    What we have signed is one letter however often it lies there, after a crash of ours or copied
    by somebody: who has dealt with one of them has dealt with all. Reads the topic several times,
    resolutions first: memory grows with the number of letters, by a hash, and not with their size.
    """
    resolved = {
        (letter.partition, letter.offset)
        async for letter in _read(log)
        if isinstance(letter, Resolution)
    }
    known: set[bytes] = set()
    if resolved:
        known = {
            identity(letter)
            async for letter in _read(log)
            if isinstance(letter, DeadLetter) and (letter.partition, letter.offset) in resolved
        }
    async for letter in _read(log):
        if not isinstance(letter, DeadLetter) or not wanted(letter):
            continue
        if (letter.partition, letter.offset) in resolved:
            continue
        if letter.signature is not None:
            if (name := identity(letter)) in known:
                continue
            known.add(name)
        yield letter


async def read_letters(
    log: Log, *, since: int, on_progress: OnProgress = no_progress
) -> AsyncIterator[DeadLetter]:
    """Yield the letters that were written since then (ms), whatever has become of them.

    Raises LogError.
    """
    async for letter in _read(log, since=since, on_progress=on_progress):
        if isinstance(letter, DeadLetter):
            yield letter


async def find_letter(log: Log, letter_id: str) -> DeadLetter | None:
    """Return the letter called `PARTITION:OFFSET`, resolved or not. Raises LogError."""
    async for letter in _read(log):
        if isinstance(letter, DeadLetter) and letter.id == letter_id:
            return letter
    return None


async def resend(
    log: Log,
    wanted: Wanted,
    signer: Callable[[], RecordSigner],
    notation: Notation = DEFAULT_NOTATION,
    read_again: ReadAgain | None = None,
) -> ResendReport:
    """Send the open letters that are `wanted` again and resolve them. Raises LogError.

    `signer` is asked for when one is to be signed as what it is now; `notation` is how the shop's
    systems write; `read_again` takes the letters of foreign
    records and of shops.
    """
    report = ResendReport()
    batch: list[DeadLetter] = []
    async for letter in open_letters(log, wanted):
        batch.append(letter)
        if len(batch) == RESENT_TOGETHER:
            await _resend_batch(log, batch, report, signer, notation, read_again)
            batch = []
    if batch:
        await _resend_batch(log, batch, report, signer, notation, read_again)
    return report


async def _resend_batch(
    log: Log,
    batch: list[DeadLetter],
    report: ResendReport,
    signer: Callable[[], RecordSigner],
    notation: Notation,
    read_again: ReadAgain | None,
) -> None:
    outgoing: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
    resolutions: dict[int, list[OutRecord]] = defaultdict(list)
    for letter in batch:
        if letter.reason in (WEBHOOK_FAILED, CRM_FAILED):
            command = "webhooks" if letter.reason == WEBHOOK_FAILED else "crm"
            report.kept.append((letter, f"for another system: see ritorno {command} failed"))
            continue
        is_ours = not is_foreign(letter) and shop_resource(letter) is None
        if not is_ours and read_again is not None:
            await _read_again(log, letter, read_again, outgoing, resolutions, report)
            continue
        if letter.origin.topic not in DESTINATIONS:
            report.kept.append((letter, f"nothing reads the topic {letter.origin.topic!r}"))
            continue
        try:
            partition, record = await _destination(log, letter, notation)
            if letter.origin.topic == CUSTOMER_EVENTS:
                record = await as_of_now(log, letter, record, signer)
        except Unreadable as error:
            report.kept.append((letter, f"still refused: {error.detail}"))
            continue
        except NotResent as error:
            report.kept.append((letter, str(error)))
            continue
        outgoing[letter.origin.topic, partition].append(record)
        resolutions[letter.partition].append(resolve(letter))
        report.resent += 1
    for (topic, partition), records in outgoing.items():
        await log.append(topic, partition, records)
    for partition, records in resolutions.items():
        await log.append(DEAD_LETTERS, partition, records)


def is_foreign(letter: DeadLetter) -> bool:
    """Whether a letter is of a record of a topic that others own: `MAPPING/TOPIC`, as no topic is
    called."""
    return "/" in letter.origin.topic


async def _read_again(
    log: Log,
    letter: DeadLetter,
    read_again: ReadAgain,
    outgoing: dict[tuple[str, int], list[OutRecord]],
    resolutions: dict[int, list[OutRecord]],
    report: ResendReport,
) -> None:
    try:
        events = await read_again(letter)
    except Unreadable as error:
        report.kept.append((letter, f"still refused: {error.detail}"))
        return
    except (NotResent, Failure) as error:
        report.kept.append((letter, str(error)))
        return
    count = await log.partitions(CUSTOMER_EVENTS)
    for record in events:
        outgoing[CUSTOMER_EVENTS, partition_of(record.key or b"", count)].append(record)
    resolutions[letter.partition].append(resolve(letter))
    report.resent += 1


async def _destination(log: Log, letter: DeadLetter, notation: Notation) -> tuple[int, OutRecord]:
    """Return partition and record to send. Raises Unreadable for a line that is still no event."""
    count = await log.partitions(letter.origin.topic)
    record = letter.original
    if letter.origin.partition == NO_PARTITION:
        source = dict(record.headers).get(LINE_SOURCE, b"").decode("utf-8", "replace")
        event = parse_published(record.value or b"", notation, source=source)
        if source and event.backfill and event.time is None:  # it would count as done today
            raise Unreadable("invalid_event", "timestamp: none that can be read, of history")
        record = to_record(event)
    elif letter.origin.partition < count:
        return letter.origin.partition, record
    return partition_of(record.key or b"", count), record


async def _read(
    log: Log, *, since: int | None = None, on_progress: OnProgress = no_progress
) -> AsyncIterator[DeadLetter | Resolution]:
    skipped = SkippedRecords("a dead letter")
    async for record in scan(log, DEAD_LETTERS, since=since, on_progress=on_progress):
        try:
            yield read_letter(record)
        except ValueError as error:
            skipped.note(record, error)
    skipped.tell()
