"""What can be known of a demo from outside: it reads the topics, as any other program could."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.links.names import PREFIX as LINKS_PREFIX
from schemas.commands import COMMAND, CancelCommand, SendCommand
from schemas.dead_letters import Resolution, read_letter
from schemas.decisions import DECISION, Decision
from schemas.events import TICK
from schemas.facts import is_fact
from schemas.origin import HEADER as ORIGIN
from schemas.outcomes import MailBounced, MailSkipped
from schemas.records import Record
from schemas.signing import SPEAKER
from schemas.stored import OWN_PREFIX, is_erased
from schemas.time_units import MINUTE_MS
from schemas.validation import Unreadable
from schemas.wire import parse_record
from streams.log import Log, scan
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    FACTS,
    SEND_COMMANDS,
)

LAST = 14
"""Decisions remembered for the view."""

NOBODYS = (OWN_PREFIX, LINKS_PREFIX.encode())
"""How keys begin that are not those of customers and visitors."""

DELAYED_MS = 15 * MINUTE_MS
"""A mail that leaves later than this after its decision has waited for the relay."""

_ENDS = frozenset({"completed", "converted", "exited", "cancelled"})

FINAL = ("sent", "bounced", "failed", "rejected", "skipped")


@dataclass(slots=True)
class WorkflowTally:
    """What has become of one workflow's runs."""

    entered: int = 0
    completed: int = 0
    converted: int = 0
    """Whose goal was reached, also after their end."""
    ended: int = 0
    sent: int = 0
    exited: Counter[str] = field(default_factory=Counter)
    """By reason."""

    @property
    def waiting(self) -> int:
        """Runs that wait for their next step."""
        return self.entered - self.ended


@dataclass(slots=True)
class Ledger:
    """Counts of everything in the topics so far; `refresh` reads on."""

    log: Log
    events: Counter[str] = field(default_factory=Counter)
    """By type; also what the machine has written itself."""
    ticks: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and reason."""
    workflows: defaultdict[str, WorkflowTally] = field(
        default_factory=lambda: defaultdict(WorkflowTally)
    )
    last: deque[Decision] = field(default_factory=lambda: deque(maxlen=LAST))
    commanded: dict[str, int] = field(default_factory=dict)
    """Time of each commanded mail by its id."""
    templates: Counter[str] = field(default_factory=Counter)
    taken_back: int = 0
    ended: dict[str, tuple[str, int]] = field(default_factory=dict)
    """How a mail ended, and when, by its id."""
    skipped: Counter[str] = field(default_factory=Counter)
    bounced: Counter[str] = field(default_factory=Counter)
    deferred: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _read: dict[tuple[str, int], int] = field(default_factory=dict)
    _decided: set[tuple[Any, ...]] = field(default_factory=set)
    _letters: set[tuple[Any, ...]] = field(default_factory=set)
    _over: set[tuple[str, str]] = field(default_factory=set)
    """Runs that have ended, by customer."""

    async def refresh(self) -> None:
        """Read what is new in the topics. Raises LogError."""
        async with self._reading:  # who watches and who counts come at the same time
            await self._refresh()

    async def _refresh(self) -> None:
        takers = {
            CUSTOMER_EVENTS: self._event,
            SEND_COMMANDS: self._command,
            FACTS: self._fact,
            DEAD_LETTERS: self._letter,
        }
        for topic, take in takers.items():
            for partition, span in sorted((await self.log.offsets(topic)).items()):
                start = self._read.get((topic, partition), span.start)
                async for record in scan(self.log, topic, [partition], start=start, stop=span.end):
                    take(record)
                self._read[topic, partition] = span.end

    def mails(self) -> Counter[str]:
        """Return how many mails have ended how; `waiting` for those that have not."""
        outcomes = Counter(kind for kind, _ in self.ended.values())
        outcomes["waiting"] = len(self.commanded.keys() - self.ended.keys())
        return outcomes

    def delayed(self) -> int:
        """Return how many mails were sent long after they were decided."""
        return sum(
            kind == "sent" and time - self.commanded[id_] > DELAYED_MS
            for id_, (kind, time) in self.ended.items()
        )

    async def customers(self) -> int:
        """Return of how many customers and visitors something is known. Raises LogError."""
        known: set[bytes] = set()
        async for record in scan(self.log, CUSTOMERS_CHANGELOG):
            _note(known, record)
        return len(known)

    def _event(self, record: Record) -> None:
        header = record.header("ce_type")
        kind = "unreadable" if header is None else header.decode("utf-8", "replace")
        if record.key is None:
            self.ticks += kind == TICK
            return
        if record.header(SPEAKER) is not None and record.header(ORIGIN) is not None:
            return  # what a visitor has done, passed on to the customer
        if not kind.startswith("mail."):
            self.events[kind] += 1
            return
        try:
            event = parse_record(record)
        except Unreadable:
            return  # not by our mailer; it is among the dead letters
        self.events[kind] += 1
        self._outcome(kind.removeprefix("mail."), event.data, record.timestamp)

    def _outcome(self, kind: str, data: Any, time: int) -> None:
        if kind == "deferred":
            self.deferred += 1
        if kind not in FINAL or data.command_id in self.ended:
            return
        self.ended[data.command_id] = (kind, time)
        if isinstance(data, MailSkipped):
            self.skipped[data.reason] += 1
        elif isinstance(data, MailBounced):
            self.bounced[data.kind] += 1

    def _command(self, record: Record) -> None:
        command = COMMAND.validate_json(record.value or b"")
        if isinstance(command, CancelCommand):
            self.taken_back += 1
        elif isinstance(command, SendCommand) and command.id not in self.commanded:
            self.commanded[command.id] = command.time
            self.templates[command.template] += 1

    def _fact(self, record: Record) -> None:
        if is_fact(record):
            return
        decision = DECISION.validate_json(record.value or b"")
        key = (decision.customer, decision.run, decision.step, decision.decision, decision.time)
        if key in self._decided:
            return  # a batch was repeated
        self._decided.add(key)
        self.decisions[decision.decision, decision.reason] += 1
        self.last.append(decision)
        workflow = self.workflows[decision.workflow]
        run = (decision.customer, decision.run)
        if decision.decision == "entered":
            self._over.discard(run)  # it may begin anew
        elif decision.decision in _ENDS and run not in self._over:
            self._over.add(run)
            workflow.ended += 1
        workflow.entered += decision.decision == "entered"
        workflow.completed += decision.decision == "completed"
        workflow.converted += decision.decision == "converted"
        workflow.sent += decision.decision == "sent"
        if decision.decision in ("exited", "cancelled"):
            workflow.exited[decision.reason] += 1

    def _letter(self, record: Record) -> None:
        letter = read_letter(record)
        if isinstance(letter, Resolution):
            return
        # What came by HTTP never was in a partition: only what it says tells two apart.
        told = letter.origin, letter.original.key, letter.original.value
        if told not in self._letters:
            self._letters.add(told)
            self.refused[letter.reason] += 1


def latest(decisions: deque[Decision]) -> list[Decision]:
    """Return the decisions in order of time: partitions are read one after the other."""
    return sorted(decisions, key=lambda decision: decision.time)


def counts(counter: Mapping[str, int]) -> dict[str, int]:
    """Return a counter as JSON data, without what never happened."""
    return {name: count for name, count in sorted(counter.items()) if count}


def _note(known: set[bytes], record: Record) -> None:
    if record.key is None or record.key.startswith(NOBODYS):
        return
    if record.value is None or is_erased(record.value):
        known.discard(record.key)
    else:
        known.add(record.key)
