"""Replay: the same actors over a recorded log on virtual time, without Faust and without SMTP.

A topic is replayed record by record as the worker has read it: it brings its own append times, its
own ticks and its own forwarded events. A file of events becomes a log on the way: each event is
appended at its own time (a late one when it arrives, since a log's time never goes back), what
actors tell each other is appended behind the event that caused it, and each timer's due second
is a tick. Either way the output depends on nothing else, so two runs agree byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agents.definitions.published import Definitions
from agents.definitions.settings import NO_LIMITS, DeduplicationRules, VisitorLimits
from agents.partition.budget import VISITS
from schemas.commands import SendCommand
from schemas.decisions import Decision
from schemas.events import SET_ASIDE, TIME_RULING
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.set_aside import SetAside, decode_set_aside
from schemas.signing import RecordSigner
from schemas.stored import NEVER, UNDECIDED
from schemas.time_rulings import TimeRuling, counted, decode_time_ruling
from schemas.topics import CUSTOMER_EVENTS
from streams.log import Log, OffsetRange, OnProgress, UnknownTopic, no_progress, scan, within
from streams.operate.lookup import latest_progress
from streams.partitioner import partition_of
from streams.runtime.definitions import versions_of
from streams.tools.replayed_file import FileLog
from streams.tools.replayed_partition import (
    COLLECT_EVERY,
    Outcome,
    ReplayedPartition,
    ReplayError,
    noting_odd,
)


def prepared(
    files: Mapping[str, bytes],
    deduplication_rules: DeduplicationRules | None = None,
    limits: VisitorLimits = NO_LIMITS,
    notation: Notation = DEFAULT_NOTATION,
) -> tuple[Definitions, dict[str, str]]:
    """Return canonical definitions by id, ready to decide by, and the version of each.

    `deduplication_rules`: how an event that comes again is known, by default as without any
    settings; `limits`: those of visitors; `notation`: how the shop's systems write. Raises
    ValueError when a definition can't be read.
    """
    definitions, live = (
        Definitions(deduplication_rules=deduplication_rules, limits=limits, notation=notation),
        versions_of(files),
    )
    for name, content in files.items():
        definitions.add(live[name], content)
    return definitions, live


def replay_file(
    lines: Iterable[bytes],
    *,
    until: int,
    definitions: Definitions,
    live: Mapping[str, str],
    report: Callable[[int], None] | None = None,
    watch: Callable[[SendCommand | Decision], None] | None = None,
) -> Outcome:
    """Replay NDJSON events in the order of the file, up to and including `until` (ms).

    Timers due until then fire also after the last event. What a file says is believed, also what
    only Ritorno may say: who replays it has chosen it. `report` is called with the number of lines
    read so far, `watch` with each mail and each decision, in their order. Raises ReplayError when
    the first event has no time to begin with.
    """
    outcome = Outcome()
    log = FileLog(until, definitions, live, outcome, watch)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            log.take_line(number, line)
        if report is not None and number % COLLECT_EVERY == 0:
            report(number)
    log.finish()
    return outcome


async def replay_topic(
    log: Log,
    *,
    topic: str,
    until: int,
    definitions: Definitions,
    signer: RecordSigner | None = None,
    report: OnProgress = no_progress,
    visits: int = VISITS,
) -> Outcome:
    """Replay a recorded topic up to and including the append time `until` (ms).

    With a `signer` the records of `customer-events` are believed as the worker has believed them;
    without, or of another topic, all are. `report` is called with the records read so far and those
    there are. `visits` is the budget of a record, as the topic's workers have it
    (`agents/partition/budget.py`). Raises ReplayError when there is no such topic, LogError when
    the log can't be read.
    """
    try:
        ranges = await log.offsets(topic)
    except UnknownTopic:
        raise ReplayError(f"there is no topic {topic!r}, and no file of that name") from None
    outcome, done = Outcome(), 0
    total = sum(span.end - span.start for span in ranges.values())
    checks = signer if topic == CUSTOMER_EVENTS else None
    for number, span in sorted(ranges.items()):
        set_aside, time_rulings = await _read_live(log, topic, number, span, checks)
        partition = ReplayedPartition(
            number,
            definitions,
            {},
            outcome,
            parse=noting_odd(outcome, definitions.notation),
            home=lambda key: partition_of(key, len(ranges)),
            set_aside=set_aside,
            time_rulings=time_rulings,
            signer=checks,
            insists_from=0 if checks is None else await _insists_from(log, number),
            visits=visits,
        )
        told = within(report, done, total)
        async for record in scan(
            log, topic, [number], start=span.start, stop=span.end, on_progress=told
        ):
            if counted(record, time_rulings).timestamp <= until:
                partition.absorb(record)
            elif record.key is not None:
                outcome.after_until += 1
        done += span.end - span.start
        partition.finish()
    return outcome


async def _read_live(
    log: Log, topic: str, partition: int, span: OffsetRange, signer: RecordSigner | None
) -> tuple[list[SetAside], list[TimeRuling]]:
    """Return the places that live has passed over, and the rulings on time that it has obeyed; the
    records that name them come after what they are about.

    Raises LogError. Reading through all is a fiftieth of what deciding takes.
    """
    sites: dict[tuple[int, str, str], SetAside] = {}
    rulings: dict[TimeRuling, None] = {}
    async for record in scan(log, topic, [partition], start=span.start, stop=span.end):
        kind = record.header("ce_type") if record.key is None else None
        if kind not in (SET_ASIDE.encode(), TIME_RULING.encode()):
            continue
        try:
            if signer is not None:
                signer.check(CUSTOMER_EVENTS, record)
            if kind == SET_ASIDE.encode():
                site = decode_set_aside(record.value, partition)
                sites.setdefault((site.offset, site.what, site.name), site)
            else:
                rulings[decode_time_ruling(record.value, partition, obeyed=True)] = None
        except ValueError:
            continue  # somebody has made it up, or nobody has obeyed it
    return list(sites.values()), list(rulings)


async def _insists_from(log: Log, partition: int) -> int:
    """Return from where on the worker insists on signatures in a partition."""
    latest = await latest_progress(log, partition)
    if latest is None:
        return 0
    return NEVER if latest.insists_from == UNDECIDED else latest.insists_from
