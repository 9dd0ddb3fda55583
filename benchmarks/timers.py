"""A million customers who each wait for a step, all of them due within ten minutes: how late it is.

The partitions' actors get ticks as their owner would write them (`streams/runtime/ticks.py`): when
the next timer is due, at least a second after the tick before, at once when work was left over. The
clock moves on by the processor time that each tick takes and jumps where nothing is due, so
neighbours on the same cores don't count and nobody waits ten minutes. What a log adds, appending
and reading what was written, is not in it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.definitions.published import Definitions
from agents.partition.partition import PartitionActors
from benchmarks.resident import resident
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.workload import NOON
from schemas.definitions import DEFINITION, canonical
from schemas.records import OutRecord, Record
from schemas.stored import NEVER, Progress
from streams.partitioner import partition_of
from streams.runtime import gc_tuning
from streams.runtime.state.memory import MemoryStore
from streams.runtime.ticks import INTERVAL_MS, TICK
from streams.tools.replay import prepared
from streams.topology import CUSTOMER_EVENTS, EMBEDDED_PARTITIONS

CUSTOMERS = 1_000_000
SPAN_MS = 600_000
"""They come one after the other within ten minutes, wait for as long, and are due so."""
BATCH = 4_000
SAID = 100_000
"""Customers between two lines about how far it is."""
WAITING: Any = {
    "id": "waiting", "definition": "workflow", "title": {"it": "x"},
    "trigger": "page.viewed", "entry": {"once_per": "customer"},
    "steps": [{"id": "waited", "wait": {"for": "10m"}, "tag": "waited"}],
}  # fmt: skip


@dataclass
class _Partition:
    number: int
    actors: PartitionActors
    store: MemoryStore
    waiting: list[Record] = field(default_factory=list)
    offset: int = 0
    ticked: int = 0
    """When the last tick was written, ms since the epoch."""

    def add(self, record: OutRecord, now: int) -> None:
        """Append a record; it is applied with the next ones."""
        self.waiting.append(Record(CUSTOMER_EVENTS, self.number, self.offset, now, *record))
        self.offset += 1

    def apply(self) -> list[int]:
        """Apply what was appended; return how late timers were at their record, in ms."""
        changes = self.actors.receive(self.waiting)
        self.store.write(changes.states, self.offset)
        for effect in changes.effects:
            _ = effect.record
        self.waiting.clear()
        return changes.counts.lateness

    def next_tick(self) -> int:
        """Return when the owner writes one; NEVER when nothing waits."""
        due = self.actors.next_timer
        if due == NEVER or self.actors.unfinished:
            return due
        return max(due, self.ticked + INTERVAL_MS)


def measure(say: Say) -> list[Result]:
    """Let them come, then let the time pass until nobody waits any more."""
    gc_tuning.search_less()  # as the worker does
    before = resident()
    definitions, live = prepared({"waiting": canonical(DEFINITION.validate_python(WAITING))})
    partitions = [_opened(each, definitions, live) for each in range(EMBEDDED_PARTITIONS)]
    say(f"{CUSTOMERS:,} customers begin to wait")
    _let_come(partitions, say)
    gc.collect()
    grown = resident() - before
    say("their time comes")
    began = time.thread_time()
    lateness = _let_pass(partitions, say)
    seconds = time.thread_time() - began
    lateness.sort()
    return [
        result("timers.lateness_p99", lateness[len(lateness) * 99 // 100] / 1_000, "s"),
        result("timers.lateness_worst", lateness[-1] / 1_000, "s"),
        result("timers.fired", len(lateness) / seconds, "timers/s of processor time"),
        result("timers.memory", grown / CUSTOMERS, "bytes of memory/customer who waits"),
    ]


def _opened(number: int, definitions: Definitions, live: dict[str, str]) -> _Partition:
    store = MemoryStore()
    actors = PartitionActors(
        partition=number,
        load=store.get,
        scan=store.scan,
        definitions=definitions,
        progress=Progress(live=live),
    )
    return _Partition(number, actors, store)


def _let_come(partitions: list[_Partition], say: Say) -> None:
    for number, record in enumerate(_events()):
        if number % SAID == SAID - 1:
            say(f"{number + 1:,} of {CUSTOMERS:,} wait")
        partition = partitions[partition_of(record.key or b"", len(partitions))]
        partition.add(record, NOON + number * SPAN_MS // CUSTOMERS)
        if len(partition.waiting) == BATCH:
            partition.apply()
    for partition in partitions:
        partition.apply()


def _events() -> Iterator[OutRecord]:
    for number in range(CUSTOMERS):
        headers = (("ce_id", b"%d" % number), ("ce_source", b"/shop"), ("ce_type", b"page.viewed"))
        yield OutRecord(b"c%07d" % number, b'{"path":"/"}', headers)


def _let_pass(partitions: list[_Partition], say: Say) -> list[int]:
    """Write ticks until no timer is left; return how late each one fired, in ms."""
    lateness: list[int] = []
    clock, said = float(NOON), SAID
    while (due := min(partition.next_tick() for partition in partitions)) != NEVER:
        partition = min(partitions, key=_Partition.next_tick)
        clock = max(clock, due)
        partition.ticked = now = int(clock)
        partition.add(TICK, now)
        began = time.thread_time()
        late = partition.apply()
        spent = (time.thread_time() - began) * 1_000
        clock += spent
        lateness += [int(each + spent) for each in late]
        if len(lateness) >= said:
            said += SAID
            say(f"{len(lateness):,} of {CUSTOMERS:,} were woken")
    return lateness


if __name__ == "__main__":
    for row in measure(print):
        print(row)
