"""The time guard: a partition waits in front of a record whose append time has not come yet.

The log is the clock of all decisions, so a broker's clock that leaps days ahead would make receipts
too old and carts late, and no later record could take that back. A record that is further ahead of
this process' own clock than a limit is therefore not read: its partition stays closed, which
readiness and metrics show, and decides nothing. The wait ends when its time has come, or when a
person rules what it counts as (`schemas/time_rulings.py`). That clocks go back, or that nothing was
written for long, proves nothing and is let pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from schemas.events import TIME_RULING
from schemas.failures import Failure
from schemas.instant import to_rfc3339
from schemas.records import Record
from schemas.signing import NotSigned, RecordSigner
from schemas.stored import Progress
from schemas.time_rulings import TimeRuling, counted, decode_time_ruling
from schemas.time_units import HOUR_MS
from streams.clock import Clock
from streams.log import Log, scan
from streams.logging import get_logger
from streams.topology import CUSTOMER_EVENTS

LIMIT_MS = HOUR_MS
"""By so much a record may be ahead: clocks without NTP drift by seconds a day, and what leaps does
so by a wrong zone or by days."""

_log = get_logger(__name__)


class AheadOfClock(Failure):
    """The append time of the next record has not come yet."""

    def __init__(self, partition: int, offset: int, time: int, now: int) -> None:
        super().__init__(
            f"the record at offset {offset} of {CUSTOMER_EVENTS}/{partition} was stamped "
            f"{to_rfc3339(time)}, and here it is {to_rfc3339(now)}: the clock of the broker or of "
            "this machine is wrong. Set it right; if it was the broker's, ritorno clock rule "
            "says what time such records count as"
        )


@dataclass(slots=True)
class _Waiting:
    """The first record of a partition that is ahead."""

    offset: int
    time: int
    looked: int
    """Below this offset there is no ruling on it."""


class TimeGuard:
    """Watches the partitions of `customer-events` that this process reads."""

    def __init__(
        self, log: Log, clock: Clock, signer: RecordSigner, limit_ms: int = LIMIT_MS
    ) -> None:
        """`clock` is this process' own; `signer` tells whose rulings are believed."""
        self._log = log
        self._clock = clock
        self._signer = signer
        self._limit = limit_ms
        self._watched: set[int] = set()
        self._waiting: dict[int, _Waiting] = {}

    def ahead(self) -> Mapping[int, int]:
        """Return by how many ms the next record of each partition is ahead; 0 where none waits."""
        now = self._clock.now()
        ahead = {number: each.time - now for number, each in self._waiting.items()}
        return dict.fromkeys(self._watched, 0) | ahead

    def in_time(
        self, partition: int, records: Sequence[Record], rulings: Sequence[TimeRuling]
    ) -> Sequence[Record]:
        """Return the records before the first one that is ahead; the partition waits if there is
        one."""
        latest = self._clock.now() + self._limit
        for index, record in enumerate(records):
            if record.timestamp > latest and counted(record, rulings).timestamp > latest:
                self._waiting[partition] = _Waiting(record.offset, record.timestamp, record.offset)
                return records[:index]
        return records

    def refusal(self, partition: int) -> AheadOfClock:
        """Return why a partition waits."""
        waits = self._waiting[partition]
        return AheadOfClock(partition, waits.offset, waits.time, self._clock.now())

    async def ruled(self, partition: int, progress: Progress) -> Progress:
        """Return the progress of a partition that is being opened, with what has been ruled since.

        Raises AheadOfClock while it has to wait, LogError.
        """
        self._watched.add(partition)
        waits = self._waiting.get(partition)
        if waits is None:
            return progress
        is_past = progress.next_offset > waits.offset  # another one has read it meanwhile
        if not is_past and waits.time > self._clock.now() + self._limit:
            ruling = await self._find(partition, waits, progress)
            if ruling is None:
                raise self.refusal(partition)
            progress = replace(progress, time_rulings=(*progress.time_rulings, ruling))
            _log.warning("records count as another time", partition=partition,
                         start=ruling.start, stop=ruling.stop, time=ruling.time)  # fmt: skip
        del self._waiting[partition]
        return progress

    def keep_only(self, partitions: Collection[int]) -> None:
        """Others are not this process' any more."""
        self._watched &= set(partitions)
        for number in self._waiting.keys() - self._watched:
            del self._waiting[number]

    async def _find(self, partition: int, waits: _Waiting, progress: Progress) -> TimeRuling | None:
        end = (await self._log.offsets(CUSTOMER_EVENTS))[partition].end
        records = scan(self._log, CUSTOMER_EVENTS, [partition], start=waits.looked, stop=end)
        async for record in records:
            waits.looked = record.offset + 1
            if record.key is None and record.header("ce_type") == TIME_RULING.encode():
                ruling = self._read(partition, record, progress)
                if ruling is not None and ruling.start <= waits.offset < ruling.stop:
                    return ruling
        return None

    def _read(self, partition: int, record: Record, progress: Progress) -> TimeRuling | None:
        try:
            self._signer.check(CUSTOMER_EVENTS, record)
            ruling = decode_time_ruling(record.value, partition, progress.log_epoch)
        except (NotSigned, ValueError) as error:
            _log.warning("a ruling on time is not believed", partition=partition,
                         offset=record.offset, reason=str(error))  # fmt: skip
            return None
        # What was read already has counted as what it is, in every replay as well.
        return ruling if ruling.start >= progress.next_offset else None
