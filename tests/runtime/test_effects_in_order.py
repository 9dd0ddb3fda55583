"""A law: effects are appended whole and in the order of their decision, per partition.

What partitions hear of each other is exact only because of it (`agents/partition/origins.py`):
after a crash the log holds the first ones of a batch's messages, and never a later one without
those before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from agents.partition.batch import FailureSite
from schemas.records import OutRecord, Record
from schemas.stored import Progress
from schemas.topics import CUSTOMER_EVENTS, FACTS, SEND_COMMANDS
from streams.clock import VirtualClock
from streams.partitioner import partition_of
from streams.runtime.commit_protocol import CommitProtocol
from streams.runtime.customers import CustomersRuntime
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.log_identity import LogIdentity
from streams.runtime.state.memory import open_memory
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from tests.keys import SIGNER
from tests.runtime.doubles import (
    START,
    CountingChanges,
    CountingEffect,
    FakeLeases,
    MemoryLog,
    Seen,
    memory_log,
)
from tests.runtime.test_commit_protocol import FailOnce, NoDefinitions

TP = TopicPartition(CUSTOMER_EVENTS, 0)
TOPICS = (SEND_COMMANDS, CUSTOMER_EVENTS, FACTS)
KEYS = [b"k%d" % number for number in range(9)]
RECORDS = 60


class Talkative:
    """Asks for many effects at each record, to several partitions of several topics."""

    next_timer, timers_pending = 0, 0
    held_back = 0

    def __init__(
        self,
        *,
        partition: int,
        load: Callable[[bytes], bytes | None],
        progress: Progress,
        due: Iterable[tuple[int, bytes]],
        products: Iterable[tuple[bytes, bytes]],
        held_back: Iterable[tuple[bytes, bytes]],
        broadcasts: Iterable[bytes],
        scan: Callable[[], Iterable[tuple[bytes, bytes]]],
    ) -> None:
        self.progress = progress
        self.effects: list[CountingEffect] = []

    def prepare(self) -> Iterable[None]:
        return ()

    def absorbing(self, records: Sequence[Record], *, verifying: bool) -> Iterator[bool]:
        for record in records:
            if record.key is not None:
                self.effects += decided(record.offset)
        self.progress = Progress(next_offset=records[-1].offset + 1)
        yield False

    def encoding(self) -> Iterator[None]:
        yield

    def site_of_effect(self, number: int) -> FailureSite:
        raise NotImplementedError

    def site_of_state(self, key: bytes) -> FailureSite:
        raise NotImplementedError

    def take(self) -> CountingChanges:
        effects, self.effects = self.effects, []
        return CountingChanges(effects, [], self.progress)


def decided(offset: int) -> list[CountingEffect]:
    return [
        CountingEffect(topic, key, OutRecord(key, b"%d/%d/%d" % (offset, number, place)))
        for number, topic in enumerate(TOPICS)
        for place, key in enumerate(KEYS)
    ]


async def run(fault: FailOnce | None = None) -> MemoryLog:
    """Read the partition to its end; what the actors tell themselves is not read."""
    log = await memory_log()
    partition_manager = FakeLeases()
    runtime = CustomersRuntime(
        signer=SIGNER,
        log=log,
        partition_manager=partition_manager,
        open_store=open_memory,
        actors=Talkative,
        loader=DefinitionLoader(log, NoDefinitions()),
        ticks=Ticks(log, CUSTOMER_EVENTS, VirtualClock(START)),
        observer=Seen(),
        time_guard=TimeGuard(log, log.clock, SIGNER),
        identity=LogIdentity(log, SIGNER),
    )
    partition_manager.own(CUSTOMER_EVENTS, runtime)
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"x", b"")] * RECORDS)
    records = log.topics[CUSTOMER_EVENTS][0][:]
    if fault is not None:
        log.fault = fault
    await partition_manager.open(TP)
    for _ in range(20):
        unread = records[partition_manager.start[TP] :]
        if not unread:
            return log
        await runtime.process(PartitionBatch(tp=TP, fetch_epoch=1, records=unread[:20]))
    raise AssertionError("no progress")


async def check(fault: FailOnce | None = None) -> None:
    """Each partition has everything in order; before a repetition stands a beginning of it."""
    log = await run(fault)
    assert fault is None or fault.done
    for topic in TOPICS:
        for number, part in enumerate(log.topics[topic]):
            wanted = [
                effect.record.value
                for offset in range(RECORDS)
                for effect in decided(offset)
                if effect.topic == topic
                and partition_of(effect.key, len(log.topics[topic])) == number
            ]
            batch = len(wanted) // 3
            places = [wanted.index(record.value) for record in part if record.value]
            for before, place in itertools.pairwise([-1, *places]):
                again = place % batch == 0 and place // batch == before // batch
                assert place == before + 1 or again, f"{topic}/{number}: out of order"
            assert max(places, default=-1) == len(wanted) - 1, f"{topic}/{number}: not the whole"


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("kept", [0, 1, 7, 30])
@pytest.mark.parametrize("skip", [0, 1, 3])
async def test_an_append_that_fails_leaves_a_beginning(topic: str, kept: int, skip: int) -> None:
    await check(FailOnce(topic, kept, skip))


async def test_undisturbed() -> None:
    await check()


async def reversed_order(self: Any, effects: Sequence[Any], fenced: Any) -> None:
    await SEND(self, list(reversed(effects)), fenced)


async def skipping(self: Any, effects: Sequence[Any], fenced: Any) -> None:
    await SEND(self, [effect for n, effect in enumerate(effects) if n != len(effects) // 2], fenced)


async def sorted_by_key(self: Any, effects: Sequence[Any], fenced: Any) -> None:
    await SEND(self, sorted(effects, key=lambda effect: effect.key), fenced)


async def last_first(self: Any, effects: Sequence[Any], fenced: Any) -> None:
    await SEND(self, effects[-200:], fenced)
    await SEND(self, effects, fenced)


SEND = CommitProtocol._send


@pytest.mark.parametrize("broken", [reversed_order, skipping, sorted_by_key, last_first])
async def test_who_breaks_it_is_found(
    broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CommitProtocol, "_send", broken)
    with pytest.raises(AssertionError, match=r"out of order|not the whole"):
        await check()
