"""Partitions whose log ends before what was read of it: the topic was made anew, or comes from an
older copy. Their customers would pass over all that comes below the old offsets.

Filled up with ticks, a partition goes on where it was. What others have appended meanwhile lies
below that, and is set aside first, as dead letters (`made_anew`): a kill at any moment leaves them,
and whoever comes next, this command or `ritorno dead-letters resend`, has them follow. All but the
last tick are written before what came beside them is looked for, so that the partition is short as
long as anything is still to be set aside. Only what is appended between that look and the last
tick is set aside after it, and a kill just then loses it: whoever publishes had better wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from schemas.dead_letters import DeadLetter, is_signed, refuse, signed_letter
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import PROGRESS_KEY, Progress, is_readable_progress, unpack_progress
from streams.log import Log, LogError, OffsetRange, append_all, scan
from streams.operate.dead_letters import ResendReport, resend
from streams.operate.lookup import latest_progress
from streams.partitioner import partition_of
from streams.runtime.ticks import TICK, TICK_TYPE
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS

MADE_ANEW = "made_anew"
"""The reason of those dead letters."""

AT_ONCE = 5_000
"""Ticks in one append."""

LETTERS_AT_ONCE = 200
"""Events are larger: some megabytes at most in memory."""


async def fill_up(log: Log, signer: Callable[[], RecordSigner]) -> dict[int, int]:
    """Fill up what is too short and return how many records were set aside, by partition.

    `signer` is asked for only where there is something to do. Raises LogError, also before anything
    is written to a partition in which a producer's transaction is open, and what `signer` raises.
    """
    filled = {}
    for number, span in (await log.offsets(CUSTOMER_EVENTS)).items():
        progress = await latest_progress(log, number)
        read = 0 if progress is None else await _read_up_to(log, number, progress, span)
        if progress is not None and read > span.high_watermark:
            filled[number] = await _fill(log, number, read, progress.log_time, signer())
    return filled


async def follow_up(log: Log, signer: Callable[[], RecordSigner]) -> ResendReport:
    """Have what was set aside follow, also by who was killed before he did. Raises LogError, and
    what `signer` raises."""

    def ours(letter: DeadLetter) -> bool:
        return letter.reason == MADE_ANEW and is_signed(letter, signer())

    return await resend(log, ours, signer)


async def _read_up_to(log: Log, partition: int, progress: Progress, span: OffsetRange) -> int:
    """Return how far a partition was ever read, by its last progress.

    Where the log begins with another record than then, that one may have gone on in the new log
    already, below what an owner recovers: the furthest of all counts.
    """
    first = min(1, span.end)  # an empty log has none, and would be waited for
    async for record in scan(log, CUSTOMER_EVENTS, [partition], start=0, stop=first):
        if record.timestamp == progress.log_epoch:
            return progress.next_offset
    furthest = progress.next_offset
    async for record in scan(log, CUSTOMERS_CHANGELOG, [partition]):
        if record.key == PROGRESS_KEY and record.value and is_readable_progress(record.value):
            furthest = max(furthest, unpack_progress(record.value).next_offset)
    return furthest


async def _fill(log: Log, number: int, read: int, since: int, signer: RecordSigner) -> int:
    """Fill up to `read` and return how many records were set aside, of those after `since` (ms)."""
    position, count = (await _span(log, number)).start, 0
    while True:
        stop = min((await _span(log, number)).end, read)
        span = OffsetRange(position, stop)
        count += await _set_aside(log, number, span, read=read, since=since, signer=signer)
        position = stop
        missing = read - position
        if not missing:
            return count
        ticks = [TICK] * min(AT_ONCE, max(1, missing - 1))
        await log.append(CUSTOMER_EVENTS, number, ticks)


async def _span(log: Log, number: int) -> OffsetRange:
    span = (await log.offsets(CUSTOMER_EVENTS))[number]
    if span.pending:
        raise LogError(
            f"{CUSTOMER_EVENTS}/{number} can't be filled up while a producer's transaction is open "
            f"(from offset {span.end}); end it and run the command again"
        )
    return span


async def _set_aside(
    log: Log, number: int, span: OffsetRange, *, read: int, since: int, signer: RecordSigner
) -> int:
    """Write the dead letters of what came since the partition was read last; return how many."""
    came = scan(log, CUSTOMER_EVENTS, [number], start=span.start, stop=span.end)
    count, letters = 0, []
    async for record in came:
        if record.timestamp <= since or _is_tick(record):
            continue
        letters.append(signed_letter(_letter(record, read), signer))
        if len(letters) == LETTERS_AT_ONCE:
            await _append(log, letters)
            count, letters = count + len(letters), []
    await _append(log, letters)
    return count + len(letters)


def _is_tick(record: Record) -> bool:
    return record.key is None and record.header("ce_type") == TICK_TYPE


def _letter(record: Record, read: int) -> OutRecord:
    text = f"it lies where the log was read already, up to {read}, before it was made anew"
    return refuse(record, reason=MADE_ANEW, detail=text, time=record.timestamp)


async def _append(log: Log, letters: list[OutRecord]) -> None:
    partitions = await log.partitions(DEAD_LETTERS)
    by_partition = defaultdict(list)
    for letter in letters:
        by_partition[DEAD_LETTERS, partition_of(letter.key or b"", partitions)].append(letter)
    await append_all(log, by_partition)
