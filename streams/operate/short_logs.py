"""Partitions whose log ends before what was read of it: the topic was made anew, or comes from an
older copy. Their customers would pass over all that comes below the old offsets.

Filled up with ticks, a partition goes on where it was. What others have appended meanwhile is
appended again behind them, and counts once by its source and id.
"""

from __future__ import annotations

from schemas.records import OutRecord
from streams.log import Log
from streams.operate.lookup import latest_progress
from streams.runtime.ticks import TICK
from streams.topology import CUSTOMER_EVENTS

AT_ONCE = 5_000


async def fill_up(log: Log) -> dict[int, int]:
    """Fill up what is too short and return how many records had come meanwhile, by partition.

    Raises LogError.
    """
    filled = {}
    for number, span in (await log.offsets(CUSTOMER_EVENTS)).items():
        progress = await latest_progress(log, number)
        if progress is None or progress.next_offset <= span.end:
            continue
        meanwhile = [
            OutRecord(record.key, record.value, record.headers)
            async for chunk in log.read(CUSTOMER_EVENTS, number, span.start, span.end)
            for record in chunk
            if record.timestamp > progress.log_time
        ]
        missing = progress.next_offset - span.end
        for start in range(0, missing, AT_ONCE):
            ticks = [TICK] * min(AT_ONCE, missing - start)
            await log.append(CUSTOMER_EVENTS, number, ticks)
        for start in range(0, len(meanwhile), AT_ONCE):
            await log.append(CUSTOMER_EVENTS, number, meanwhile[start : start + AT_ONCE])
        filled[number] = len(meanwhile)
    return filled
