"""Partitions whose log is not the one that was read: the topic was made anew, or comes from an
older copy. Customers and mails would pass over all that comes below the old offsets.

Filled up with ticks, and with a continuation behind them (`schemas/continuation.py`), without which
nobody opens it, a partition goes on where it was. What others have appended meanwhile lies
below that, and is set aside first, as dead letters (`made_anew`): a kill at any moment leaves them,
and whoever comes next, this command or `ritorno dead-letters resend`, has them follow. All but the
last tick are written before what came beside them is looked for, so that the partition is short as
long as anything is still to be set aside. Only what is appended between that look and the last
tick is set aside after it, and a kill just then loses it: whoever publishes had better wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from schemas.continuation import (
    LOG_CONTINUED,
    Continuation,
    encode_continuation,
)
from schemas.controls import control_record
from schemas.dead_letters import DeadLetter, is_signed, refuse, signed_letter
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import (
    HEAD_SIZE,
    NEVER,
    PROGRESS_KEY,
    Progress,
    head,
    is_readable_progress,
    unpack_progress,
)
from streams.log import Log, LogError, OffsetRange, append_all, scan
from streams.operate.dead_letters import ResendReport, resend
from streams.operate.lookup import latest_progress
from streams.partitioner import partition_of
from streams.runtime.log_identity import LogIdentity, LogReplaced, is_same, topic_id_of
from streams.runtime.ticks import TICK, TICK_TYPE
from streams.runtime.transports.batch import TopicPartition
from streams.topology import AGENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS, AgentSpec

MADE_ANEW = "made_anew"
"""The reason of those dead letters."""

AT_ONCE = 5_000
"""Ticks in one append."""

LETTERS_AT_ONCE = 200
"""Events are larger: some megabytes at most in memory."""

_FILLING = (TICK_TYPE, LOG_CONTINUED.encode())
"""Types of what fills a log up."""


async def fill_up(log: Log, signer: Callable[[], RecordSigner]) -> dict[TopicPartition, int]:
    """Let the logs that agents read go on where they were, and return how many records were set
    aside, by topic and partition.

    `signer` is asked for only where there is something to do. Raises LogError, also before anything
    is written to a partition in which a producer's transaction is open, and what `signer` raises.
    """
    filled = {}
    for agent in AGENTS:
        topic_id = await topic_id_of(log, agent.reads)
        for number, span in (await log.offsets(agent.reads)).items():
            progress = await latest_progress(log, number, agent.keeps)
            if progress is None:
                continue
            gap = await _gap(log, agent, number, progress, span, topic_id, signer)
            if gap is not None:
                tp = TopicPartition(agent.reads, number)
                filled[tp] = await _fill(log, tp, gap, signer())
                await _say(log, tp, gap.up_to, topic_id, signer())
    return filled


class _Gap(NamedTuple):
    """What of a new log counts as read."""

    up_to: int
    since: int
    """Records below, and later than this (ms since the epoch), nobody has read."""


async def follow_up(log: Log, signer: Callable[[], RecordSigner]) -> ResendReport:
    """Have what was set aside follow, also by who was killed before he did. Raises LogError, and
    what `signer` raises."""

    def ours(letter: DeadLetter) -> bool:
        return letter.reason == MADE_ANEW and is_signed(letter, signer())

    return await resend(log, ours, signer)


async def _gap(
    log: Log,
    agent: AgentSpec,
    number: int,
    progress: Progress,
    span: OffsetRange,
    topic_id: str,
    signer: Callable[[], RecordSigner],
) -> _Gap | None:
    """Return what counts as read of the log of a partition, None where it is the one that was."""
    read = await _read_up_to(log, agent, number, progress, span)
    if read <= span.high_watermark:
        if await is_same(log, agent.reads, number, progress, span, topic_id):
            return None
        try:
            # Without the number of partitions, which nothing here can mend.
            known = replace(progress, partitions=0)
            await LogIdentity(log, signer()).known(agent.reads, number, known)
        except LogReplaced:
            pass  # nobody has said yet that it goes on
        else:
            return None
    is_another = bool(progress.topic_id) and progress.topic_id != topic_id
    return _Gap(read, 0 if is_another else progress.log_time)


async def _read_up_to(
    log: Log, agent: AgentSpec, partition: int, progress: Progress, span: OffsetRange
) -> int:
    """Return how far a partition was ever read, by its last progress.

    Where the log begins with another record than then, that one may have gone on in the new log
    already, below what an owner recovers: the furthest of all counts.
    """
    first = min(1, span.end)  # an empty log has none, and would be waited for
    async for record in scan(log, agent.reads, [partition], start=0, stop=first):
        if record.timestamp == progress.log_epoch:
            return progress.next_offset
    return max(progress.next_offset, await furthest(log, agent, partition))


async def furthest(log: Log, agent: AgentSpec, partition: int) -> int:
    """Return what nothing that is kept of a partition lies behind: its progresses, and customers
    who were ahead of the log when a worker was killed. Raises LogError, FutureFormat."""
    found = 0
    async for record in scan(log, agent.keeps, [partition]):
        if not record.value:
            continue
        if record.key == PROGRESS_KEY:
            if is_readable_progress(record.value):
                found = max(found, unpack_progress(record.value).next_offset)
        elif agent.keeps == CUSTOMERS_CHANGELOG and len(record.value) >= HEAD_SIZE:
            found = max(found, head(record.value).applied + 1)
    return found


async def go_on(
    log: Log, tp: TopicPartition, up_to: int, topic_id: str, signer: RecordSigner
) -> None:
    """Let what lies below `up_to` in a new log count as read, filled up with ticks. Raises
    LogError."""
    await _fill(log, tp, _Gap(up_to, NEVER), signer)
    await _say(log, tp, up_to, topic_id, signer)


async def _say(
    log: Log, tp: TopicPartition, up_to: int, topic_id: str, signer: RecordSigner
) -> None:
    value = encode_continuation(Continuation(tp.topic, tp.partition, up_to, topic_id))
    told = signer.sign(tp.topic, control_record(LOG_CONTINUED, value))
    await log.append(tp.topic, tp.partition, [told])


async def _fill(log: Log, tp: TopicPartition, gap: _Gap, signer: RecordSigner) -> int:
    position, count = (await _span(log, tp)).start, 0
    while True:
        stop = min((await _span(log, tp)).end, gap.up_to)
        count += await _set_aside(log, tp, OffsetRange(position, stop), gap, signer)
        position = max(position, stop)
        missing = gap.up_to - position
        if missing <= 0:
            return count
        ticks = [TICK] * min(AT_ONCE, max(1, missing - 1))
        await log.append(tp.topic, tp.partition, ticks)


async def _span(log: Log, tp: TopicPartition) -> OffsetRange:
    span = (await log.offsets(tp.topic))[tp.partition]
    if span.pending:
        raise LogError(
            f"{tp.topic}/{tp.partition} can't be filled up while a producer's transaction is open "
            f"(from offset {span.end}); end it and run the command again"
        )
    return span


async def _set_aside(
    log: Log, tp: TopicPartition, span: OffsetRange, gap: _Gap, signer: RecordSigner
) -> int:
    """Write the dead letters of what came since the partition was read last; return how many."""
    came = scan(log, tp.topic, [tp.partition], start=span.start, stop=span.end)
    count, letters = 0, []
    async for record in came:
        if record.timestamp <= gap.since or _fills(record):
            continue
        letters.append(signed_letter(_letter(record, gap.up_to), signer))
        if len(letters) == LETTERS_AT_ONCE:
            await _append(log, letters)
            count, letters = count + len(letters), []
    await _append(log, letters)
    return count + len(letters)


def _fills(record: Record) -> bool:
    return record.key is None and record.header("ce_type") in _FILLING


def _letter(record: Record, read: int) -> OutRecord:
    text = f"it lies where the log was read already, up to {read}, before it was made anew"
    return refuse(record, reason=MADE_ANEW, detail=text, time=record.timestamp)


async def _append(log: Log, letters: list[OutRecord]) -> None:
    partitions = await log.partitions(DEAD_LETTERS)
    by_partition = defaultdict(list)
    for letter in letters:
        by_partition[DEAD_LETTERS, partition_of(letter.key or b"", partitions)].append(letter)
    await append_all(log, by_partition)
