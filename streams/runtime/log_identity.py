"""Is the log of a partition the one that was read?

A topic that is deleted and made anew, restored from a copy or moved to another broker has other
records at the old offsets, and one with more partitions has customers elsewhere: those who are
known would pass over what comes, and nobody would notice. So a progress names the topic by the
broker's id of it, the append time of the last record that was read, and the number of partitions.
Where a topic has no id (the embedded log, a broker before 2.8, a progress of before), the append
time tells. A log that was made anew is read once a continuation says so
(`schemas/continuation.py`).
"""

from __future__ import annotations

from msgspec.structs import replace

from schemas.continuation import LOG_CONTINUED, Continuation, decode_continuation
from schemas.failures import Failure
from schemas.records import Record
from schemas.signing import NotSigned, RecordSigner
from schemas.stored import Progress
from streams.log import Log, OffsetRange, scan
from streams.logging import get_logger
from streams.messages.plurals import several
from streams.topology import CUSTOMER_EVENTS

_log = get_logger(__name__)


class LogTooShort(Failure):
    """The log of a partition ends before what was read of it."""

    def __init__(self, topic: str, partition: int, end: int, read: int) -> None:
        super().__init__(
            f"the log of {topic}/{partition} ends at {end}, and was read up to {read}: the topic "
            "was made anew, or comes from an older copy. ritorno topics create fills it up"
        )


class LogReplaced(Failure):
    """The log of a partition holds other records than those that were read of it."""

    def __init__(self, topic: str, partition: int, read: int) -> None:
        super().__init__(
            f"the log of {topic}/{partition} is another one than was read up to {read}: the topic "
            "was made anew, or comes from a copy. ritorno topics create has what lies below that "
            "follow, and lets it go on"
        )


class PartitionsChanged(Failure):
    """The topic has another number of partitions than it had."""

    def __init__(self, topic: str, before: int, now: int) -> None:
        super().__init__(
            f"{topic} has {several(now, 'partition')} and had {before}: customers and their events "
            "would be in different ones, so nothing is read. Kafka takes no partition back: copy "
            f"the topics to others with {before} (docs/moving.md)"
        )


def check_count(topic: str, before: int, now: int) -> None:
    """Raise PartitionsChanged where a topic had another number of partitions; 0: nobody knows."""
    if before not in (0, now):
        raise PartitionsChanged(topic, before, now)


class LogIdentity:
    """Asks it of each partition that is opened."""

    def __init__(self, log: Log, signer: RecordSigner) -> None:
        """`signer` tells whose continuations are believed."""
        self._log = log
        self._signer = signer
        self._looked: dict[tuple[str, int], int] = {}
        """Below this offset there is no continuation, by topic and partition."""

    async def known(self, topic: str, partition: int, progress: Progress) -> Progress:
        """Return the progress, with what the topic is known by from here on.

        Raises LogTooShort, LogReplaced, PartitionsChanged, LogError.
        """
        # Not where reading ends: older workers have read what an open transaction wrote, too.
        span = (await self._log.offsets(topic))[partition]
        if progress.next_offset > span.high_watermark:
            raise LogTooShort(topic, partition, span.high_watermark, progress.next_offset)
        count = await self._log.partitions(topic)
        if topic == CUSTOMER_EVENTS:
            check_count(topic, progress.partitions, count)
        topic_id = await topic_id_of(self._log, topic)
        if not await is_same(self._log, topic, partition, progress, span, topic_id):
            continued = await self._continued(topic, partition, progress, span, topic_id)
            if not continued:
                raise LogReplaced(topic, partition, progress.next_offset)
            _log.warning("the log was made anew and goes on here", topic=topic, partition=partition)
            # These are places in the log before.
            progress = replace(progress, set_aside=(), time_rulings=())
        return replace(progress, topic_id=topic_id, partitions=count)

    async def _continued(
        self, topic: str, partition: int, progress: Progress, span: OffsetRange, topic_id: str
    ) -> bool:
        start = max(self._looked.get((topic, partition), 0), progress.next_offset)
        async for record in scan(self._log, topic, [partition], start=start, stop=span.end):
            if record.key is None and record.header("ce_type") == LOG_CONTINUED.encode():
                told = self._read(topic, record)
                if (
                    told is not None
                    and (told.topic, told.partition, told.topic_id) == (topic, partition, topic_id)
                    and told.up_to >= progress.next_offset
                ):
                    return True
        self._looked[topic, partition] = max(start, span.end)
        return False

    def _read(self, topic: str, record: Record) -> Continuation | None:
        try:
            self._signer.check(topic, record)
            return decode_continuation(record.value)
        except (NotSigned, ValueError) as error:
            _log.warning("a continuation is not believed", topic=topic, partition=record.partition,
                         offset=record.offset, reason=str(error))  # fmt: skip
            return None


async def topic_id_of(log: Log, topic: str) -> str:
    """Return the broker's id of a topic, empty where it has none. Raises LogError."""
    identity = (await log.identities([topic])).get(topic)
    return "" if identity is None else identity.id


async def is_same(
    log: Log, topic: str, partition: int, progress: Progress, span: OffsetRange, topic_id: str
) -> bool:
    """Whether a log is the one that was read, as far as can be told. Raises LogError."""
    if progress.topic_id and topic_id:
        return progress.topic_id == topic_id
    last = progress.next_offset - 1
    if not progress.applied_at or not span.start <= last < span.end:
        return True
    async for record in scan(log, topic, [partition], start=last, stop=last + 1):
        return record.timestamp == progress.applied_at
    return True  # an end of a transaction, which nobody can read
