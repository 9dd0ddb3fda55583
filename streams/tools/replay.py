"""Replay: the same actors over a recorded log on virtual time, without Faust and without SMTP.

A topic is replayed record by record as the worker has read it: it brings its own append times, its
own ticks and its own forwarded events. A file of events becomes a log on the way: each event is
appended at its own time (a late one when it arrives, since a log's time never goes back), what
actors tell each other is appended behind the event that caused it, and each timer's due second
is a tick. Either way the output depends on nothing else, so two runs agree byte for byte.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agents.customer.visitors import VisitorExpiry
from agents.definitions.published import Definitions
from agents.definitions.settings import NO_LIMITS, DeduplicationRules, VisitorLimits
from agents.effects import Effect
from agents.partition.batch import FailureSite, Poisoned, Unwritable
from agents.partition.budget import VISITS
from agents.partition.partition import PartitionActors
from schemas.commands import SendCommand
from schemas.customer import decode_customer
from schemas.dead_letters import OWN_HEADERS
from schemas.decisions import Decision
from schemas.description import describe
from schemas.events import SET_ASIDE, TICK, Event
from schemas.instant import to_rfc3339
from schemas.records import Headers, OutRecord, Record
from schemas.reserved import reserved
from schemas.set_aside import SetAside, decode_set_aside
from schemas.signing import RecordSigner
from schemas.stored import (
    HELD_BACK_PREFIX,
    NEVER,
    OWN_PREFIX,
    PRODUCT_PREFIX,
    UNDECIDED,
    Progress,
    head,
    is_erased,
)
from schemas.topics import CUSTOMER_EVENTS, DEAD_LETTERS
from schemas.validation import Unreadable
from schemas.wire import ProductUpdate, parse_line, parse_record
from streams.log import Log, OffsetRange, OnProgress, UnknownTopic, no_progress, scan, within
from streams.operate.lookup import latest_progress
from streams.partitioner import partition_of
from streams.runtime.definitions import versions_of
from streams.runtime.product_feed import control_record

SLICE = 2_000
"""Records between two collections of changes; only memory depends on it."""

TICK_HEADERS = (("ce_type", TICK.encode()),)

Line = tuple[int, int, int, bytes]
"""(time, partition, sequence, JSON): sorted, the outputs of all partitions are one timeline."""


class ReplayError(Exception):
    """The source can't be replayed; the text says why."""


@dataclass(slots=True)
class Outcome:
    """What a replay has produced."""

    commands: list[Line] = field(default_factory=list)
    decisions: list[Line] = field(default_factory=list)
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    """(where, reason, detail) of what could not be read."""
    customers: dict[str, bytes] = field(default_factory=dict)
    """Kept records by key."""
    events: int = 0
    after_until: int = 0
    """Events later than `until`, left out."""
    believed: int = 0
    """Records that only Ritorno may write, and whose signature nobody has checked."""

    def refuse(self, where: str, reason: str, detail: str) -> None:
        """Note a record or a line that can't be used."""
        self.refusals.append((where, reason, detail))

    def reasons(self) -> Counter[str]:
        """Return how many were refused, by reason."""
        return Counter(reason for _, reason, _ in self.refusals)


class ReplayedPartition:
    """One partition's actors with a store in memory, collecting what they ask for."""

    def __init__(
        self,
        number: int,
        definitions: Definitions,
        live: Mapping[str, str],
        outcome: Outcome,
        *,
        parse: Callable[[Record], Event] = parse_record,
        home: Callable[[bytes], int] | None = None,
        set_aside: Iterable[SetAside] = (),
        signer: RecordSigner | None = None,
        insists_from: int = 0,
        location: Callable[[int], str] = "offset {}".format,
        watch: Callable[[SendCommand | Decision], None] | None = None,
        visits: int = VISITS,
    ) -> None:
        """`set_aside` is what live has set aside. Without a `signer` everybody is believed, with
        one whoever has signed or stands before the offset `insists_from`. `location` says where the
        record at an offset was read, for whoever looks for it; `watch` is told of each mail and
        each decision."""
        self._number = number
        self._location = location
        self._home = home
        self._signer = signer
        self._definitions = definitions
        self._outcome = outcome
        self._parse = parse
        self._watch = watch
        self._visits = visits
        self._store: dict[bytes, bytes] = {}
        self._since: list[Record] = []
        self._told = 0
        self._sequence = 0
        self._failed: set[FailureSite] = set()
        self._verifying = False
        self._progress = Progress(
            live=dict(live), set_aside=tuple(set_aside), insists_from=insists_from
        )
        self._actors = self._build()

    @property
    def next_timer(self) -> int:
        """When the earliest timer is due."""
        return self._actors.next_timer

    @property
    def unfinished(self) -> bool:
        """Whether the last record has left work to the next one."""
        return self._actors.unfinished

    def absorb(self, record: Record) -> list[Event]:
        """Apply one record and return what it made actors tell each other.

        One at which they fail is refused, as the worker would.
        """
        self._since.append(record)
        try:
            self._actors.absorb((record,), verifying=self._verifying)
        except Poisoned as poisoned:
            self._start_over(poisoned)
        asked = self._actors.effects
        told = [effect.content for effect in asked[self._told :]]
        self._told = len(asked)
        if len(self._since) >= SLICE:
            self.collect()
        return [content for content in told if isinstance(content, Event)]

    def collect(self) -> None:
        """Move the changes so far into the store and the outcome.

        What can't be written now may be writable later, as it was where batches ended in live.
        """
        try:
            changes = self._actors.take()
        except Unwritable:
            return
        self._progress = changes.progress
        for key, value in changes.states:
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value
        for effect in changes.effects:
            self._keep(effect)
        self._outcome.events += sum(changes.counts.events.values())
        self._outcome.believed += sum(changes.counts.unsigned.values())
        self._since.clear()
        self._told = 0

    def finish(self) -> None:
        """Hand over the final states."""
        self.collect()
        if self._since:  # something can't be written: find out what it is, as the worker would
            self._verifying = True
            self._begin_again()
            self.collect()
        forgetting = VisitorExpiry(self._definitions.limits)
        forgetting.pass_to(self._progress.log_time)
        self._outcome.customers.update(
            (key.decode(), stored)
            for key, stored in self._store.items()
            # Whom the worker has forgotten it may have removed by then, or not yet.
            if not key.startswith(OWN_PREFIX) and not forgetting.is_of(key, stored)
        )

    def _start_over(self, poisoned: Poisoned) -> None:
        """Build the actors again from the last collection, with one more place to pass over."""
        if poisoned.site in self._failed:
            raise poisoned
        self._failed.add(poisoned.site)
        self._progress = replace(
            self._progress, set_aside=(*self._progress.set_aside, poisoned.set_aside)
        )
        self._begin_again()

    def _begin_again(self) -> None:
        self._actors = self._build()
        try:
            self._actors.absorb(self._since, verifying=self._verifying)
        except Poisoned as another:
            self._start_over(another)

    def _build(self) -> PartitionActors:
        return PartitionActors(
            partition=self._number,
            load=self._store.get,
            definitions=self._definitions,
            progress=self._progress,
            due=[(head(stored).due, key) for key, stored in self._store.items()],
            products=self._kept_under(PRODUCT_PREFIX),
            held_back=self._kept_under(HELD_BACK_PREFIX),
            scan=self._store.items,
            home=self._home,
            parse=self._parse,
            signer=self._signer,
            visits=self._visits,
        )

    def _kept_under(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return [item for item in self._store.items() if item[0].startswith(prefix)]

    def _keep(self, effect: Effect) -> None:
        content, outcome = effect.content, self._outcome
        if self._watch is not None and isinstance(content, SendCommand | Decision):
            self._watch(content)
        if isinstance(content, SendCommand):
            line = _json_line(_command_line(content))
            outcome.commands.append(self._line(content.time, line))
        elif isinstance(content, Decision):
            text = content.model_dump_json(by_alias=True, exclude_none=True)
            outcome.decisions.append(self._line(content.time, text.encode() + b"\n"))
        elif isinstance(content, OutRecord) and effect.topic == DEAD_LETTERS:
            own = content.headers[-len(OWN_HEADERS) :]  # the record's own may be called alike
            headers = {name: value.decode() for name, value in own}
            location = self._location(int(headers["dl_offset"]))
            outcome.refuse(location, headers["dl_reason"], headers["dl_detail"])

    def _line(self, time: int, line: bytes) -> Line:
        self._sequence += 1
        return (time, self._number, self._sequence, line)


def prepared(
    files: Mapping[str, bytes],
    deduplication_rules: DeduplicationRules | None = None,
    limits: VisitorLimits = NO_LIMITS,
) -> tuple[Definitions, dict[str, str]]:
    """Return canonical definitions by id, ready to decide by, and the version of each.

    `deduplication_rules`: how an event that comes again is known, by default as without any
    settings; `limits`: those of visitors. Raises ValueError when a definition can't be read.
    """
    definitions, live = (
        Definitions(deduplication_rules=deduplication_rules, limits=limits),
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
        if report is not None and number % SLICE == 0:
            report(number)
    log.finish()
    return outcome


class FileLog:
    """Plays the log's part for a file: appends, stamps and ticks."""

    def __init__(
        self,
        until: int,
        definitions: Definitions,
        live: Mapping[str, str],
        outcome: Outcome,
        watch: Callable[[SendCommand | Decision], None] | None = None,
        *,
        partition: int = 0,
        tells: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """`tells` is called with what actors of this `partition` tell each other."""
        self._number = partition
        self._tells = tells
        self._until = until
        self._outcome = outcome
        self._events: dict[int, Event] = {}
        self._lines: dict[int, int] = {}
        self._partition = ReplayedPartition(
            partition,
            definitions,
            live,
            outcome,
            parse=lambda record: self._events[record.offset],
            location=lambda offset: f"line {self._lines[offset]}",
            watch=watch,
        )
        self._waiting: deque[Event] = deque()
        self._line = 0
        self._offset = 0
        self._now = 0

    def take_line(self, number: int, line: bytes, *, since: int = 0, counts: bool = True) -> None:
        """Append the event of one line, after the ticks that come before it.

        `since` is when one happened that doesn't say so, at the earliest; a line that several
        partitions take `counts` in one of them. Raises ReplayError.
        """
        try:
            told = parse_line(line)
        except Unreadable as error:
            if counts:
                self._outcome.refuse(f"line {number}", error.reason, error.detail)
            return
        if told.time is None and not max(self._now, since):
            raise ReplayError(f"line {number}: the first event has no time to begin with")
        time = max(self._now, since if told.time is None else told.time)
        if time > self._until:
            self._outcome.after_until += counts
            return
        self._tick_until(time)
        self._line = number
        if isinstance(told, ProductUpdate):
            self._append(time, *control_record([told.product]))
        else:
            self._outcome.believed += counts and bool(reserved(told))
            self._append_event(told, time)

    def finish(self) -> None:
        """Let the time pass that is left."""
        self._tick_until(self._until)
        self._partition.finish()

    def _tick_until(self, time: int) -> None:
        """Append a tick at each second, up to `time`, in which a timer is due; at once, as long as
        work is left over."""
        while True:
            tick = self._now
            if not self._partition.unfinished:
                tick = max(tick, -(-self._partition.next_timer // 1_000) * 1_000)
                if tick > time:
                    return
            self._append(tick, None, b"", TICK_HEADERS)

    def _append_event(self, event: Event, time: int) -> None:
        self._events[self._offset] = event
        self._append(time, event.customer.encode(), b"")

    def _append(
        self, time: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Append a record, and behind it what it makes actors tell each other."""
        self._lines[self._offset] = self._line
        record = Record(CUSTOMER_EVENTS, self._number, self._offset, time, key, value, headers)
        for event in self._partition.absorb(record):
            self._tells(event)
            self._waiting.append(event)
        self._now = time
        self._offset += 1
        if self._offset % SLICE == 0:
            self._partition.collect()
            self._events.clear()
            self._lines.clear()
        if self._waiting:
            self._append_event(self._waiting.popleft(), time)


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
        partition = ReplayedPartition(
            number,
            definitions,
            {},
            outcome,
            home=lambda key: partition_of(key, len(ranges)),
            set_aside=await _read_set_aside(log, topic, number, span, checks),
            signer=checks,
            insists_from=0 if checks is None else await _insists_from(log, number),
            visits=visits,
        )
        told = within(report, done, total)
        async for record in scan(
            log, topic, [number], start=span.start, stop=span.end, on_progress=told
        ):
            if record.timestamp <= until:
                partition.absorb(record)
            elif record.key is not None:
                outcome.after_until += 1
        done += span.end - span.start
        partition.finish()
    return outcome


async def _read_set_aside(
    log: Log, topic: str, partition: int, span: OffsetRange, signer: RecordSigner | None
) -> list[SetAside]:
    """Return the places that live has passed over; the record that names one comes after it.

    Raises LogError. Reading through all is a fiftieth of what deciding takes.
    """
    found: dict[tuple[int, str, str], SetAside] = {}
    async for record in scan(log, topic, [partition], start=span.start, stop=span.end):
        if record.key is None and record.header("ce_type") == SET_ASIDE.encode():
            try:
                if signer is not None:
                    signer.check(CUSTOMER_EVENTS, record)
                site = decode_set_aside(record.value, partition)
            except ValueError:
                continue  # somebody has made it up
            found.setdefault((site.offset, site.what, site.name), site)
    return list(found.values())


async def _insists_from(log: Log, partition: int) -> int:
    """Return from where on the worker insists on signatures in a partition."""
    latest = await latest_progress(log, partition)
    if latest is None:
        return 0
    return NEVER if latest.insists_from == UNDECIDED else latest.insists_from


def write(outcome: Outcome, directory: Path) -> None:
    """Write the three files into `directory`, which is made when it is missing. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_lines(directory / "commands.ndjson", [line[-1] for line in sorted(outcome.commands)])
    _write_lines(directory / "decisions.ndjson", [line[-1] for line in sorted(outcome.decisions)])
    customers = sorted(
        (key, stored) for key, stored in outcome.customers.items() if not is_erased(stored)
    )  # of an erased customer only the offset is left, which is nobody's business
    _write_lines(
        directory / "customers.ndjson",
        (_json_line(describe(decode_customer(key, stored))) for key, stored in customers),
    )


def _command_line(command: SendCommand) -> dict[str, str]:
    return {
        "id": command.id,
        "time": to_rfc3339(command.time),
        "customer": command.customer,
        "email": command.email,
        "workflow": command.workflow,
        "step": command.step,
        "class": command.mail_class,
        "kind": command.kind,
        "template": command.template,
    }


def _json_line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(lines)
