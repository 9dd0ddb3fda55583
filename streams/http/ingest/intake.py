"""The intake: what many requests bring is appended together, and each hears when its own is in the
log for good.

An append costs about the same for one record as for a thousand: a sync of the disk, or a round trip
to the brokers. So there is one append at a time, and what comes meanwhile goes with the next one. A
request is answered by 2xx only behind `take`, so whatever was answered so is in the log.

What waits is bounded, in bytes and in records. When the log is slower than what comes, those who
come next are told so at once (`IntakeFull`) and send again later: that is theirs to remember.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import chain

from schemas.dead_letters import refuse_line
from schemas.events import Event
from schemas.records import OutRecord
from schemas.validation import Unreadable
from schemas.wire import to_record, too_large
from streams.log import Log, LogError, RecordTooLarge, append_all
from streams.logging import get_logger
from streams.messages.plurals import several
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS

MOST_BYTES = 33_554_432
"""Of records that wait. Some seconds of what one process can read; 32 MiB of memory at most."""

MOST_RECORDS = 50_000
"""The same in number: of small records it is these that cost memory."""

GROUP_RECORDS = 5_000
"""Appended together, so that none waits long for those before it."""

KEPT_OF_TOO_LARGE = 10_000
"""Bytes of an event that is too large: it could not be sent again anyway."""

REFUSED_KEPT = 10_000
"""Events that were too large and are known when they come again."""

Outgoing = Mapping[tuple[str, int], Sequence[OutRecord]]
"""Records by topic and partition."""

_log = get_logger(__name__)


class IntakeFull(LogError):
    """The log is slower than what comes: to be sent again later."""


class _Brought:
    """What one request has brought, and who waits for it."""

    __slots__ = ("bytes", "done", "outgoing", "records")

    def __init__(self, outgoing: Outgoing, done: asyncio.Future[None]) -> None:
        self.outgoing = outgoing
        self.done = done
        self.records = sum(map(len, outgoing.values()))
        self.bytes = sum(_size(record) for group in outgoing.values() for record in group)


class Intake:
    """Appends events, those of many requests together."""

    def __init__(
        self, log: Log, *, most_bytes: int = MOST_BYTES, most_records: int = MOST_RECORDS
    ) -> None:
        self._log = log
        self._most_bytes = most_bytes
        self._most_records = most_records
        self._queue: deque[_Brought] = deque()
        self._refused: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Source and id of events that are dead letters: a poll brings its last ones each time."""
        self._appending: asyncio.Task[None] | None = None
        self.waiting_records = 0
        """That are not durable yet, for whoever shows it."""
        self.waiting_bytes = 0

    async def take(
        self,
        events: Sequence[Event],
        *,
        letters: Sequence[OutRecord] = (),
        refused_at: int | None = None,
    ) -> None:
        """Return once all `events` and `letters` (for `dead-letters`) are durably in the log.

        `refused_at` (ms): an event that is larger than one may be becomes a dead letter of then, as
        nobody could bring it otherwise, and the others are taken; without it all are refused. One
        that comes again is none again.

        Events with the same key stay in their order, also from one call to the next. Raises
        IntakeFull when too much waits, RecordTooLarge, and LogError: then any of them may be in the
        log, and the sender has to send them again.
        """
        if not events and not letters:
            return
        partitions = await self._log.partitions(CUSTOMER_EVENTS)
        refused: list[tuple[str, str]] = []
        outgoing: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        if letters:
            outgoing[DEAD_LETTERS, 0] += letters
        for event in events:
            record = to_record(event)
            why = too_large(record)
            if why is None:
                partition = partition_of(record.key or b"", partitions)
                outgoing[CUSTOMER_EVENTS, partition].append(record)
            elif refused_at is None:
                raise RecordTooLarge(f"{event.type}: {why.detail}")
            elif (fact := (event.source, event.id)) not in self._refused:
                outgoing[DEAD_LETTERS, 0].append(_letter(event, record, why, refused_at))
                refused.append(fact)
        if not outgoing:
            return
        await self._append(_Brought(outgoing, asyncio.get_running_loop().create_future()))
        self._refused.update(dict.fromkeys(refused))
        while len(self._refused) > REFUSED_KEPT:
            self._refused.popitem(last=False)

    async def stop(self) -> None:
        """Return when nothing waits any more."""
        while self._appending is not None:
            await asyncio.wait([self._appending])

    async def _append(self, waiting: _Brought) -> None:
        """Have it appended; who waits may go away, and it is appended all the same."""
        bytes_, records = self.waiting_bytes + waiting.bytes, self.waiting_records + waiting.records
        if self.waiting_records and (bytes_ > self._most_bytes or records > self._most_records):
            waiting_already = several(self.waiting_records, "record")
            raise IntakeFull(f"The log is slower than what comes; waiting: {waiting_already}.")
        self.waiting_bytes, self.waiting_records = bytes_, records
        self._queue.append(waiting)
        if self._appending is None:
            self._appending = asyncio.create_task(self._append_all(), name="intake")
        await waiting.done

    async def _append_all(self) -> None:
        try:
            while self._queue:
                await self._append_group(self._next_group())
        finally:
            self._appending = None

    def _next_group(self) -> list[_Brought]:
        group, records = [self._queue.popleft()], 0
        while self._queue and (records := records + group[-1].records) < GROUP_RECORDS:
            group.append(self._queue.popleft())
        return group

    async def _append_group(self, group: Sequence[_Brought]) -> None:
        try:
            await append_all(self._log, _together(group))
        except RecordTooLarge as error:
            if len(group) > 1:  # one of them is to blame, and nobody else is to suffer from it
                for each in group:
                    await self._append_group([each])
                return
            self._finish(group, error)
        except LogError as error:
            self._finish(group, error)
        except Exception as error:
            _log.exception("what was sent could not be appended", error=repr(error))
            self._finish(group, LogError(f"It can't be appended: {type(error).__name__}"))
        else:
            self._finish(group, None)

    def _finish(self, group: Sequence[_Brought], error: LogError | None) -> None:
        """Tell those who wait, as far as they do still."""
        for each in group:
            self.waiting_records -= each.records
            self.waiting_bytes -= each.bytes
            if each.done.done():
                continue
            if error is None:
                each.done.set_result(None)
            else:
                each.done.set_exception(error)


def _letter(event: Event, record: OutRecord, why: Unreadable, time: int) -> OutRecord:
    return refuse_line(
        (record.value or b"")[:KEPT_OF_TOO_LARGE],
        topic=CUSTOMER_EVENTS,
        number=0,
        reason=why.reason,
        detail=f"{event.type} {event.id}: {why.detail}",
        time=time,
        key=record.key,
        source=event.source,
    )


def _together(group: Sequence[_Brought]) -> Outgoing:
    if len(group) == 1:
        return group[0].outgoing
    outgoing: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
    for each in group:
        for partition, records in each.outgoing.items():
            outgoing[partition] += records
    return outgoing


def _size(record: OutRecord) -> int:
    key, value, headers = record
    return len(key or b"") + len(value or b"") + sum(map(len, chain.from_iterable(headers)))
