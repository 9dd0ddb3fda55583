"""Appends to an embedded log until it is killed; prints each acknowledged last offset.

Run as `python appender.py DIRECTORY TOPIC PARTITION`. Record n has the value `n`; it goes on from
the end it finds, so that a restart after a kill has to find every acknowledged record.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from schemas.records import OutRecord
from streams.clock import SystemClock
from streams.runtime.logs.embedded import EmbeddedLog

CALLERS = 4
"""Several, so that the kill falls into group commits."""


async def append_for_ever(directory: str, topic: str, partition: int) -> None:
    log = EmbeddedLog(Path(directory), SystemClock())
    await log.start()
    following = (await log.offsets(topic))[partition].end

    async def caller(size: int) -> None:
        nonlocal following
        while True:
            first, following = following, following + size
            records = [OutRecord(b"k", b"%d" % n) for n in range(first, following)]
            last = await log.append(topic, partition, records)
            print(last, flush=True)

    await asyncio.gather(*(caller(size) for size in range(1, CALLERS + 1)))


if __name__ == "__main__":
    asyncio.run(append_for_ever(sys.argv[1], sys.argv[2], int(sys.argv[3])))
