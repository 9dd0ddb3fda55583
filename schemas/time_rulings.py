"""Time rulings: what time records count as whose append time is ahead of the readers' clocks.

A broker whose clock has leapt stamps records with a time that has not come. Whoever reads the
partition waits in front of the first of them and decides nothing, until a person rules what they
count as (`ritorno clock rule`): a `ritorno.time_ruling` control record, signed, behind them. The
owner who obeys it keeps it in the partition's progress and writes it once more as obeyed, so that a
replay counts the same records as the same time. One that nobody has obeyed means nothing: the wait
may have ended by itself before it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from schemas.records import Record


class TimeRuling(msgspec.Struct, frozen=True):
    """Of the records from offset `start` to before `stop`, those that are later count as `time`."""

    start: int
    stop: int
    time: int
    """ms since the epoch."""


class _Told(TimeRuling, frozen=True, kw_only=True):
    """As the control record has it: in another partition, or in a log of that name that was made
    anew, it means nothing."""

    partition: int
    log_epoch: int
    """See `schemas/origin.py`; 0 where nothing had been read yet."""
    obeyed: bool = False


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Told)


def encode_time_ruling(
    ruling: TimeRuling, partition: int, log_epoch: int, *, obeyed: bool = False
) -> bytes:
    """Return the value of the control record for `partition`."""
    fields = msgspec.structs.asdict(ruling)
    return _ENCODER.encode(_Told(**fields, partition=partition, log_epoch=log_epoch, obeyed=obeyed))


def decode_time_ruling(
    value: bytes | None, partition: int, log_epoch: int | None = None, *, obeyed: bool = False
) -> TimeRuling:
    """Read the value of a control record. Raises ValueError, also when it is for another partition,
    or another log than that of `log_epoch` if that is given, or not `obeyed` as asked."""
    try:
        told = _DECODER.decode(value or b"")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if told.partition != partition:
        raise ValueError(f"partition: {told.partition}, and this is {partition}")
    if log_epoch is not None and told.log_epoch != log_epoch:
        raise ValueError(f"log_epoch: {told.log_epoch}, and this log's is {log_epoch}")
    if told.obeyed != obeyed:
        raise ValueError(f"obeyed: {told.obeyed}")
    return TimeRuling(told.start, told.stop, told.time)


def counted(record: Record, rulings: Iterable[TimeRuling]) -> Record:
    """Return the record with the time that it counts as."""
    for ruling in rulings:
        if ruling.start <= record.offset < ruling.stop and record.timestamp > ruling.time:
            record = record._replace(timestamp=ruling.time)
    return record


def all_counted(records: Sequence[Record], rulings: Sequence[TimeRuling]) -> Sequence[Record]:
    """Return the records with the times that they count as."""
    return [counted(record, rulings) for record in records] if rulings else records


def left(rulings: Sequence[TimeRuling], offset: int) -> tuple[TimeRuling, ...]:
    """Return the rulings that concern a record at `offset` or behind it."""
    return tuple(each for each in rulings if each.stop > offset)
