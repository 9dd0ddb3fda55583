"""What a crash has left in our own log behind the last entry of `offsets`: found by its origins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from schemas.origin import HEADER, Origin, parse_origin
from schemas.records import Record
from schemas.signing import NotSigned, RecordSigner
from schemas.time_units import SECOND_MS
from streams.log import Log, scan
from streams.topology import CUSTOMER_EVENTS

LEASE_MS = 30 * SECOND_MS
"""An open entry is no older when events are appended."""

SKEW_MS = 30 * SECOND_MS
"""By how much the clocks of brokers may disagree. Beyond it an event may be appended twice; by its
origin it counts once all the same."""

APPEND_MS = 90 * SECOND_MS
"""Longer than an append waits for a broker that is away (`streams/runtime/logs/kafka/retry.py`)."""


class Span(NamedTuple):
    """Append times, in ms since the epoch, between which something may lie."""

    since: int
    until: int


class ForeignPlace(NamedTuple):
    """A record of a foreign partition, and which of its events."""

    offset: int
    number: int


Written = Mapping[int, Mapping[int, ForeignPlace]]
"""By partition of ours and number of the foreign one (`foreign_partition`): the last of its events
that is there."""


def spans(opened: Iterable[int]) -> Iterator[Span]:
    """Yield, in order and apart, when what lies behind entries may have been appended; `opened`:
    the append times of open entries."""
    last: Span | None = None
    for time in sorted(opened):
        span = Span(time - SKEW_MS, time + LEASE_MS + APPEND_MS + SKEW_MS)
        if last is not None and span.since <= last.until:
            last = Span(last.since, span.until)
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


async def find_written(
    log: Log, signer: RecordSigner, epochs: Mapping[int, int], opened: Iterable[int]
) -> Written:
    """Return what our log holds of foreign partitions, of the `epochs` that are now. Raises
    LogError."""
    found: dict[int, dict[int, ForeignPlace]] = defaultdict(dict)
    for span in spans(opened):
        for partition in range(await log.partitions(CUSTOMER_EVENTS)):
            start = await log.offset_at(CUSTOMER_EVENTS, partition, span.since)
            stop = await log.offset_at(CUSTOMER_EVENTS, partition, span.until)
            if start >= stop:
                continue
            async for record in scan(log, CUSTOMER_EVENTS, [partition], start=start, stop=stop):
                origin = _origin(record)
                if origin is None or epochs.get(origin.partition) != origin.log_epoch:
                    continue
                place = ForeignPlace(origin.offset, origin.number)
                known = found.get(partition, {}).get(origin.partition)
                if (known is None or place > known) and _is_ours(record, signer):
                    found[partition][origin.partition] = place
    return found


def _origin(record: Record) -> Origin | None:
    text = record.header(HEADER)
    if text is None:
        return None
    try:
        return parse_origin(text)
    except ValueError:
        return None


def _is_ours(record: Record, signer: RecordSigner) -> bool:
    """Whoever may write to the log can't have records of others passed over."""
    try:
        signer.check(CUSTOMER_EVENTS, record)
    except NotSigned:
        return False
    return True
