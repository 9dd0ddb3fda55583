"""What an event costs, stage by stage: processor time, beside `json.loads` of the same records.

    python benchmarks/cost.py      prints the figures as JSON

measures the tree on PYTHONPATH, so that another commit's worktree can be put beside this one's.

A partition's actors take a shop's events in batches, in one thread, without a log. What a stage
costs is told by leaving it out: the actors alone have nothing live; then segments, scores and the
other settings are; then the workflows. Nothing is instrumented, so any commit can be measured.

Everything is measured in turns, and the median of the turns counts: what neighbours on the same
cores do to one stage they do to all.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from agents.definitions.published import Definitions
from agents.partition.batch import BatchChanges
from agents.partition.partition import PartitionActors
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import NOON, Workload
from schemas.definitions.workflow import Workflow
from schemas.events import Event
from schemas.records import Record
from schemas.stored import Progress
from schemas.wire import parse_record
from streams.runtime import gc_tuning
from streams.runtime.definitions import read_files
from streams.settings import Settings
from streams.tools.replay import prepared
from streams.topology import CUSTOMER_EVENTS

EVENTS = 40_000
"""Of 5,000 customers: one in eight is a first contact."""
BATCH = 4_000
"""Records, as many as a worker gets at once from a full topic."""
ROUNDS = 5
"""The median counts."""

PEER = "json.loads"

Prepared = tuple[Definitions, dict[str, str]]
"""Definitions, and which of them are live."""


@dataclass
class _Spent:
    """Processor time of one way through all events, in ns."""

    absorbed: int = 0
    encoded: int = 0
    effects: int = 0

    @property
    def all(self) -> int:
        return self.absorbed + self.encoded + self.effects


def measure(say: Say) -> list[Result]:
    """Return the microseconds an event of each stage, beside `json.loads` of the same records."""
    events = Workload(seed=SEED, now=NOON).events(EVENTS)  # of the suite `kafka`
    records = [
        Record(CUSTOMER_EVENTS, 0, offset, NOON, *record) for offset, record in enumerate(events)
    ]
    directory = Settings().workflows_dir
    first, every = read_files(directory), read_files(directory, everything=True)
    bench = _Bench(records, prepared(_settings(first)), prepared(first), prepared(every))
    gc_tuning.search_less()  # as the worker does
    found: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(1, ROUNDS + 1):
        say(f"{len(records):,} events, stage by stage, {number} of {ROUNDS}")
        for name, spent in (bench.by_stage() | bench.by_type()).items():
            found[name].append(spent)
    base = median(found.pop(PEER))
    return [
        result(f"cost.{name}", median(each), "µs/event", PEER, base) for name, each in found.items()
    ]


def _settings(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return segments, scores, fields, coupons, loyalty and policy: all but the workflows."""
    definitions, version = Definitions(), "any"
    return {
        name: content
        for name, content in files.items()
        if not isinstance(definitions.add(version, content), Workflow)
    }


class _Bench:
    """The records, and what is live when actors take them."""

    def __init__(
        self, records: Sequence[Record], settings: Prepared, first: Prepared, every: Prepared
    ) -> None:
        self._records = records
        self._events = [parse_record(record) for record in records]
        self._settings, self._first, self._every = settings, first, every

    def by_stage(self) -> dict[str, float]:
        """Measure every stage once; return µs an event."""
        texts = [record.value or b"" for record in self._records]
        base = _cpu(lambda: _each(json.loads, texts))
        parsing = _cpu(lambda: _each(parse_record, self._records))
        alone = self._pass((Definitions(), {}), self._read)
        settings = self._pass(self._settings, self._read)
        first = self._pass(self._first, self._read)
        every = self._pass(self._every, self._read)
        spent = {
            PEER: base,
            "parsing": parsing,
            "actors_alone": alone.absorbed,
            "segments_scores_settings": settings.absorbed - alone.absorbed,
            "first_workflows": first.absorbed - settings.absorbed,
            "every_workflow": every.absorbed - settings.absorbed,
            "encoding": first.encoded,
            "effects": first.effects,
            "all": self._pass(self._first, parse_record).all,
            "all_with_every_workflow": self._pass(self._every, parse_record).all,
        }
        return {name: ns / 1_000 / len(self._records) for name, ns in spent.items()}

    def by_type(self) -> dict[str, float]:
        """Return what the actors take for an event of each type, and for a customer's first."""
        actors, store = _actors(self._first, self._read)
        taken: defaultdict[str, list[float]] = defaultdict(list)
        known: set[str] = set()
        clock = median(_cpu(lambda: None) for _ in range(1_000))
        gc.collect()
        for batch in _batches(self._records):
            for record in batch:
                began = time.thread_time_ns()
                actors.absorb((record,))
                spent = time.thread_time_ns() - began - clock
                event = self._read(record)
                name = event.type if event.customer in known else "first_contact"
                known.add(event.customer)
                taken[name].append(spent)
            _keep(actors.take(), store)
        return {f"of.{name}": sum(each) / len(each) / 1_000 for name, each in sorted(taken.items())}

    def _read(self, record: Record) -> Event:
        return self._events[record.offset]

    def _pass(self, live: Prepared, parse: Callable[[Record], Event]) -> _Spent:
        """Let actors take all records."""
        (actors, store), spent = _actors(live, parse), _Spent()
        gc.collect()  # what was before is not this one's
        for batch in _batches(self._records):
            began = time.thread_time_ns()
            actors.absorb(batch)
            absorbed = time.thread_time_ns()
            changes = actors.take()
            encoded = time.thread_time_ns()
            for effect in changes.effects:
                _ = effect.record
            spent.effects += time.thread_time_ns() - encoded
            spent.encoded += encoded - absorbed
            spent.absorbed += absorbed - began
            _keep(changes, store)
        return spent


def _actors(
    prepared: Prepared, parse: Callable[[Record], Event]
) -> tuple[PartitionActors, dict[bytes, bytes]]:
    (definitions, live), store = prepared, dict[bytes, bytes]()
    actors = PartitionActors(
        partition=0,
        load=store.get,
        definitions=definitions,
        progress=Progress(live=live),
        parse=parse,
    )
    return actors, store


def _keep(changes: BatchChanges, store: dict[bytes, bytes]) -> None:
    store.update((key, state) for key, state in changes.states if state is not None)


def _batches(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    return (records[start : start + BATCH] for start in range(0, len(records), BATCH))


def _each(do: Callable[[Any], Any], things: Sequence[Any]) -> None:
    for thing in things:
        do(thing)


def _cpu(do: Callable[[], object]) -> int:
    """Return the processor time that `do` takes, in ns."""
    began = time.thread_time_ns()
    do()
    return time.thread_time_ns() - began


if __name__ == "__main__":
    rows = measure(lambda text: print(text, file=sys.stderr))
    print(json.dumps({row.name: [row.value, row.ratio] for row in rows}, indent=1))
