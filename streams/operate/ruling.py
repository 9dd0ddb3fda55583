"""Ruling what time records count as in front of which partitions wait (`schemas/time_rulings.py`).

The clock must be right again before: the ruling itself is a record behind them, and what a wrong
clock goes on stamping would be waited for like the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.controls import control_record
from schemas.events import TIME_RULING
from schemas.failures import Failure
from schemas.instant import to_rfc3339
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.stored import Progress
from schemas.time_rulings import TimeRuling, counted, encode_time_ruling
from streams.clock import Clock
from streams.log import Log, scan
from streams.operate.lookup import latest_progress
from streams.runtime.ticks import TICK
from streams.topology import CUSTOMER_EVENTS


class NotRuled(Failure):
    """A ruling would be of no use; the text says why."""


class FirstAhead(NamedTuple):
    """The first record of a partition that nobody has read and whose time has not come."""

    offset: int
    time: int
    """Its append time, ms since the epoch."""
    progress: Progress


async def waiting(log: Log, clock: Clock, limit_ms: int) -> dict[int, FirstAhead]:
    """Return the partitions in which a record that is to be read is more than `limit_ms` ahead of
    the clock, and nobody has ruled on it. Raises LogError."""
    found = {}
    for number, span in (await log.offsets(CUSTOMER_EVENTS)).items():
        progress = await latest_progress(log, number) or Progress()
        start = max(span.start, progress.next_offset)
        latest = clock.now() + limit_ms
        async for record in scan(log, CUSTOMER_EVENTS, [number], start=start, stop=span.end):
            if counted(record, progress.time_rulings).timestamp > latest:
                found[number] = FirstAhead(record.offset, record.timestamp, progress)
                break
    return found


async def rule(
    log: Log,
    signer: RecordSigner,
    ahead: Mapping[int, FirstAhead],
    *,
    latest: int,
    at: int | None = None,
) -> dict[int, TimeRuling]:
    """Rule that what is `ahead`, and later than `at` (ms since the epoch), counts as `at`; None: as
    now by the broker's clock. What is stamped later than `latest` shows that clock to be wrong.

    Returns the rulings, by partition. Raises NotRuled before any ruling is written, LogError.
    """
    stamps = {number: await _tick(log, number) for number in ahead}
    for number, each in ahead.items():
        tick = stamps[number]
        if tick.timestamp > latest:
            raise NotRuled(
                f"the log's clock still says {to_rfc3339(tick.timestamp)}: set it right first, "
                "then run this again"
            )
        if at is not None and not each.progress.log_time <= at <= latest:
            raise NotRuled(
                f"--at {to_rfc3339(at)}: partition {number} has come to "
                f"{to_rfc3339(each.progress.log_time)}, and now it is {to_rfc3339(tick.timestamp)}"
            )
    rulings = {}
    for number, each in ahead.items():
        tick = stamps[number]
        time = max(tick.timestamp, each.progress.log_time) if at is None else at
        ruling = rulings[number] = TimeRuling(each.offset, tick.offset, time)
        value = encode_time_ruling(ruling, number, each.progress.log_epoch)
        record = signer.sign(CUSTOMER_EVENTS, control_record(TIME_RULING, value))
        await log.append(CUSTOMER_EVENTS, number, [record])
    return rulings


async def _tick(log: Log, partition: int) -> Record:
    """Append a tick and return it as the log has it."""
    offset = await log.append(CUSTOMER_EVENTS, partition, [TICK])
    async for record in scan(log, CUSTOMER_EVENTS, [partition], start=offset, stop=offset + 1):
        return record
    raise NotRuled(
        f"{CUSTOMER_EVENTS}/{partition} has taken a record and does not show it: a producer's "
        "transaction is open there; ritorno doctor says how to end it"
    )
