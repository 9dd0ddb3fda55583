"""Copying what Ritorno keeps to another broker, or to topics with the right number of partitions.

Offsets can't be taken along, and neither can the times at which records were appended, which are
the clock of all decisions. So what was read stays at the old broker, for replays, and the new log
is filled up with ticks to where it was read, with a continuation behind them
(`schemas/continuation.py`): what is kept of customers and mails, which counts by offsets, goes on
there. What nobody has read yet follows by its key, also from partitions beyond the number that
customers have. Nothing is changed at the old broker, so whoever is interrupted begins again with an
empty one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.events import TICK
from schemas.failures import Failure
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import Progress
from streams.log import Log, OnProgress, append_all, no_progress, scan
from streams.messages.plurals import several
from streams.operate.lookup import known_count, latest_progress
from streams.operate.short_logs import furthest, go_on
from streams.partitioner import partition_of
from streams.runtime.log_identity import topic_id_of
from streams.runtime.transports.batch import TopicPartition
from streams.topology import (
    AGENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    FACTS,
    GROUP,
    MAILER_CHANGELOG,
    PRODUCTS,
    SUPPRESSIONS,
    WORKFLOWS,
    AgentSpec,
    topics,
)

WHOLE = (
    CUSTOMERS_CHANGELOG,
    MAILER_CHANGELOG,
    WORKFLOWS,
    PRODUCTS,
    SUPPRESSIONS,
    DEAD_LETTERS,
    FACTS,
)
"""Copied record by record. `customer-signals` is not: who reads it downstream has read it, and an
erasure in it would be carried out again on somebody who has come back since."""

AT_ONCE = 500
"""Records in one append."""


class NotCopied(Failure):
    """The topics can't be copied; the text says why, and nothing is written."""


@dataclass(slots=True)
class CopyReport:
    """What was copied."""

    partitions: int = 0
    """Of the per-customer topics."""
    kept: dict[str, int] = field(default_factory=dict)
    """Records by topic, of those that are copied whole."""
    unread: dict[str, int] = field(default_factory=dict)
    """Records that follow since nobody has read them, by topic."""
    left_out: int = 0
    """Control records among those: they are for one log, and are published anew."""


async def copy(
    source: Log,
    target: Log,
    signer: RecordSigner,
    *,
    replication: int = 1,
    group: str = GROUP,
    on_progress: OnProgress = no_progress,
) -> CopyReport:
    """Copy everything to `target`, whose topics are made where they are missing.

    `group` is that of the old workers. `on_progress` is told of each topic that is copied whole.
    Raises NotCopied, LogError.
    """
    count = await _check(source, target, group)
    reached = {agent: await _reached(source, agent, count) for agent in AGENTS}
    await target.create_topics(topics(count, replication))
    report = CopyReport(count)
    for name in WHOLE:
        report.kept[name] = await _copy_whole(source, target, name, on_progress)
    for agent in AGENTS:
        report.unread[agent.reads] = 0
        await _copy_read(source, target, agent, reached[agent], signer, report)
    return report


async def _check(source: Log, target: Log, group: str) -> int:
    """Return how many partitions the per-customer topics are to have. Raises NotCopied."""
    missing = [name for name in [*WHOLE, *(a.reads for a in AGENTS)]
               if await source.describe(name) is None]  # fmt: skip
    if missing:
        raise NotCopied(f"the old broker lacks {', '.join(missing)}")
    if await source.members(group):
        raise NotCopied("workers are still reading from the old broker: stop them first")
    count = await known_count(source) or await source.partitions(CUSTOMERS_CHANGELOG)
    for spec in topics(count):
        found = await target.describe(spec.name)
        if found is None:
            continue
        if found.partitions != spec.partitions:
            raise NotCopied(
                f"at the new broker {spec.name} has {several(found.partitions, 'partition')}, and "
                f"{spec.partitions} are needed: delete it there, it is made anew"
            )
        if any(span.high_watermark for span in (await target.offsets(spec.name)).values()):
            raise NotCopied(
                f"at the new broker {spec.name} is not empty: delete the topics there first"
            )
    return count


async def _reached(source: Log, agent: AgentSpec, count: int) -> list[int]:
    """Return behind what each partition was read, and nothing that is kept of it lies. Raises
    NotCopied where its log doesn't reach so far: the new one would be filled up to anywhere."""
    spans = await source.offsets(agent.reads)
    reached = [await furthest(source, agent, number) for number in range(count)]
    for number, read in enumerate(reached):
        end = spans[number].high_watermark if number in spans else 0
        if read > end:
            raise NotCopied(
                f"{agent.reads}/{number} of the old broker ends at {end}, and was read up to "
                f"{read}: ritorno topics create mends that there"
            )
    return reached


async def _copy_whole(source: Log, target: Log, topic: str, on_progress: OnProgress) -> int:
    waiting: list[OutRecord] = []
    number = copied = 0
    count = await target.partitions(topic)

    async def write() -> None:
        nonlocal copied
        if waiting:
            await target.append(topic, number, waiting)
            copied += len(waiting)
            waiting.clear()

    async for record in scan(source, topic, on_progress=on_progress):
        # Somebody may have given the old topic more partitions than there are to be.
        place = record.partition
        place = place if place < count else partition_of(record.key or b"", count)
        if place != number or len(waiting) == AT_ONCE:
            await write()
            number = place
        waiting.append(_as_it_was(record))
    await write()
    return copied


async def _copy_read(
    source: Log,
    target: Log,
    agent: AgentSpec,
    reached: Sequence[int],
    signer: RecordSigner,
    report: CopyReport,
) -> None:
    """Let the new log go on where each partition was read, then have follow what nobody has."""
    topic, topic_id = agent.reads, await topic_id_of(target, agent.reads)
    spans = await source.offsets(topic)
    starts = {}
    for number, read in enumerate(reached):
        progress = await latest_progress(source, number, agent.keeps) or Progress()
        starts[number] = progress.next_offset
        if read:
            await go_on(target, TopicPartition(topic, number), read, topic_id, signer)
    for number, span in sorted(spans.items()):
        start = max(span.start, starts.get(number, 0))
        unread: list[Record] = []
        async for record in scan(source, topic, [number], start=start, stop=span.end):
            unread.append(record)
            if len(unread) == AT_ONCE:
                await _follow(target, topic, unread, report)
                unread = []
        await _follow(target, topic, unread, report)


async def _follow(target: Log, topic: str, records: Sequence[Record], report: CopyReport) -> None:
    groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
    for record in records:
        if record.key is None:
            report.left_out += record.header("ce_type") != TICK.encode()
            continue
        groups[topic, partition_of(record.key, report.partitions)].append(_as_it_was(record))
        report.unread[topic] += 1
    await append_all(target, groups)


def _as_it_was(record: Record) -> OutRecord:
    return OutRecord(record.key, record.value, record.headers)
