"""Partitions whose log ends before what was read of it: the topic was made anew, or comes from an
older copy. Their customers would pass over all that comes below the old offsets.

Filled up with ticks, a partition goes on where it was. What others have appended meanwhile is
appended again behind them, and counts once by its source and id.
"""

from __future__ import annotations

from schemas.records import OutRecord
from schemas.stored import PROGRESS_KEY, Progress, is_readable_progress, unpack_progress
from streams.log import Log, scan
from streams.operate.lookup import latest_progress
from streams.runtime.ticks import TICK
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG

AT_ONCE = 5_000


async def fill_up(log: Log) -> dict[int, int]:
    """Fill up what is too short and return how many records had come meanwhile, by partition.

    Raises LogError.
    """
    filled = {}
    for number, span in (await log.offsets(CUSTOMER_EVENTS)).items():
        progress = await latest_progress(log, number)
        read = 0 if progress is None else await _read_up_to(log, number, progress)
        if progress is None or read <= span.end:
            continue
        meanwhile = [
            OutRecord(record.key, record.value, record.headers)
            async for chunk in log.read(CUSTOMER_EVENTS, number, span.start, span.end)
            for record in chunk
            if record.timestamp > progress.log_time
        ]
        missing = read - span.end
        for start in range(0, missing, AT_ONCE):
            ticks = [TICK] * min(AT_ONCE, missing - start)
            await log.append(CUSTOMER_EVENTS, number, ticks)
        for start in range(0, len(meanwhile), AT_ONCE):
            await log.append(CUSTOMER_EVENTS, number, meanwhile[start : start + AT_ONCE])
        filled[number] = len(meanwhile)
    return filled


async def _read_up_to(log: Log, partition: int, progress: Progress) -> int:
    """Return how far a partition was ever read, by its last progress.

    Where the log begins with another record than then, that one may have gone on in the new log
    already, below what an owner recovers: the furthest of all counts.
    """
    async for record in scan(log, CUSTOMER_EVENTS, [partition], start=0, stop=1):
        if record.timestamp == progress.log_epoch:
            return progress.next_offset
    furthest = progress.next_offset
    async for record in scan(log, CUSTOMERS_CHANGELOG, [partition]):
        if record.key == PROGRESS_KEY and record.value and is_readable_progress(record.value):
            furthest = max(furthest, unpack_progress(record.value).next_offset)
    return furthest
