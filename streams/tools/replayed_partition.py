"""One partition replayed in memory: its actors, its store, and what it has led to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agents.customer.visitors import VisitorExpiry
from agents.definitions.published import Definitions
from agents.effects import Effect
from agents.insights.event_quality import OddKind
from agents.links.names import is_link
from agents.partition.batch import FailureSite, Poisoned, Unwritable
from agents.partition.budget import VISITS
from agents.partition.partition import PartitionActors
from schemas.commands import SendCommand
from schemas.customer import decode_customer
from schemas.dead_letters import OWN_HEADERS
from schemas.decisions import Decision
from schemas.description import describe
from schemas.events import LINK_TYPES, Event
from schemas.instant import to_rfc3339
from schemas.notation import Notation
from schemas.records import OutRecord, Record
from schemas.set_aside import SetAside
from schemas.signing import RecordSigner
from schemas.stored import HELD_BACK_PREFIX, OWN_PREFIX, PRODUCT_PREFIX, Progress, head, is_erased
from schemas.time_rulings import TimeRuling
from schemas.topics import DEAD_LETTERS
from schemas.wire import parse_record

COLLECT_EVERY = 2_000
"""Records between two collections of changes; only memory depends on it."""

ODD_SHOWN = 3
"""Examples of each kind of odd field."""
UNDECLARED_KEPT = 1_000
"""Names of undeclared events that are told apart."""
LONGEST_NAME = 100
"""Characters of one of them that are told."""

Line = tuple[int, int, int, bytes]
"""(time, partition, sequence, JSON): sorted, the outputs of all partitions are one story."""


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
    links: dict[str, int] = field(default_factory=dict)
    """The partition of each link's actor, by key, where a file is played as several of them."""
    events: int = 0
    after_until: int = 0
    """Events later than `until`, left out."""
    believed: int = 0
    """Records that only Ritorno may write, and whose signature nobody has checked."""
    odd: Counter[OddKind] = field(default_factory=Counter)
    """What of events was read otherwise than it was written, or left out."""
    undeclared: Counter[str] = field(default_factory=Counter)
    """Events of the shop's own that what was live didn't declare, by type."""
    odd_examples: dict[OddKind, list[tuple[str, str]]] = field(default_factory=dict)
    """(where, value) of the first ODD_SHOWN of each kind."""

    def note_undeclared(self, counts: Mapping[str, int]) -> None:
        """Add what was not declared; of very many names the rest is `(others)`."""
        for type_, count in counts.items():
            known = type_ in self.undeclared or len(self.undeclared) < UNDECLARED_KEPT
            self.undeclared[type_[:LONGEST_NAME] if known else "(others)"] += count

    def note_odd(self, where: str, event: Event) -> None:
        """Note what of an event was odd."""
        for odd in event.odd:
            kind = OddKind(event.type, odd.name, odd.problem, odd.kept)
            self.odd[kind] += 1
            examples = self.odd_examples.setdefault(kind, [])
            if len(examples) < ODD_SHOWN:
                examples.append((where, odd.value))

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
        parse: Callable[[Record], Event] | None = None,
        home: Callable[[bytes], int] | None = None,
        set_aside: Iterable[SetAside] = (),
        time_rulings: Iterable[TimeRuling] = (),
        signer: RecordSigner | None = None,
        insists_from: int = 0,
        location: Callable[[int], str] = "offset {}".format,
        watch: Callable[[SendCommand | Decision], None] | None = None,
        visits: int = VISITS,
    ) -> None:
        """`set_aside` is what live has set aside, `time_rulings` what it has obeyed of those.
        Without a `signer` everybody is believed, with one whoever has signed or stands before the
        offset `insists_from`. `location` says where the record at an offset was read, for whoever
        looks for it; `watch` is told of each mail and each decision."""
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
            live=dict(live),
            set_aside=tuple(set_aside),
            insists_from=insists_from,
            time_rulings=tuple(time_rulings),
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
        if len(self._since) >= COLLECT_EVERY:
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
        self._outcome.events += sum(
            number
            for (type_, _), number in changes.counts.events.items()
            if type_ not in LINK_TYPES
        )
        self._outcome.believed += sum(changes.counts.unsigned.values())
        self._outcome.note_undeclared(changes.counts.undeclared)
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


def noting_odd(outcome: Outcome, notation: Notation) -> Callable[[Record], Event]:
    """Return a reading of one partition's records that notes what of each event was odd, once."""
    noted = -1

    def parse(record: Record) -> Event:
        nonlocal noted
        event = parse_record(record, notation)
        if event.odd and record.offset > noted:  # after a defect records are read again
            noted = record.offset
            if not event.forwarded:
                outcome.note_odd(f"offset {record.offset}", event)
        return event

    return parse


def write(outcome: Outcome, directory: Path) -> None:
    """Write the three files into `directory`, which is made when it is missing. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_lines(directory / "commands.ndjson", [line[-1] for line in sorted(outcome.commands)])
    _write_lines(directory / "decisions.ndjson", [line[-1] for line in sorted(outcome.decisions)])
    customers = sorted(
        (key, stored)
        for key, stored in outcome.customers.items()
        if not (is_erased(stored) or is_link(key))
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
