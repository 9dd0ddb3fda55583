"""Who asks whom to get ready, and which partitions each is given."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from hypothesis import given
from hypothesis import strategies as st

from streams.http.internal.client import NoAnswer
from streams.http.internal.owners import published
from streams.log import GroupMember, LogUnavailable
from streams.runtime.standby import Standby, gains_of, shares_of
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS

UUID = "-01234567-89ab-cdef-0123-456789abcdef"
PORTS = {"a": 1, "b": 2, "c": 3, "d": 4}


def members(*names: str, partitions: int = 8) -> list[GroupMember]:
    """A group that is settled."""
    shares = shares_of([name + UUID for name in names], partitions)
    return [
        GroupMember(
            published(Address("127.0.0.1", PORTS[name])),
            {CUSTOMER_EVENTS: frozenset(shares[name + UUID])},
            name + UUID,
        )
        for name in names
    ]


class Log:
    def __init__(self, group: list[GroupMember] | None) -> None:
        self.group = group
        self.away = False

    async def members(self, _: str) -> list[GroupMember] | None:
        if self.away:
            raise LogUnavailable("away")
        return self.group

    async def partitions(self, _: str) -> int:
        return 8


class Others:
    """The other workers: who leaves itself, who doesn't answer."""

    def __init__(self, leaving: str = "", silent: str = "") -> None:
        self.leaving, self.silent = leaving, silent
        self.asked: list[tuple[str, list[int]]] = []

    async def prepare(self, address: Address, partitions: Iterable[int], _: float) -> bool:
        name = next(each for each, port in PORTS.items() if port == address.port)
        self.asked.append((name, list(partitions)))
        if name in self.silent:
            raise NoAnswer("silent")
        return name not in self.leaving


class Runtime:
    def __init__(self) -> None:
        self.prepared: list[int] = []
        self.asked, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.may_go_on.set()

    async def prepare(self, partition: int) -> None:
        self.prepared.append(partition)
        self.asked.set()
        await self.may_go_on.wait()


def standby(log: Log, others: Others | None = None, *runtimes: Runtime) -> Standby:
    return Standby(
        log=log,  # type: ignore[arg-type]  # what it asks of one
        group="g",
        worker_id="a",
        lookups=others,  # type: ignore[arg-type]  # as above
        runtimes=runtimes,
    )


@given(st.sets(st.text("ab-1", min_size=1, max_size=4), min_size=1, max_size=6), st.integers(1, 20))
def test_shares_are_those_of_the_group(names: Collection[str], partitions: int) -> None:
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda _: set(range(partitions)))
    told = {name: RangePartitionAssignor.metadata(["t"]) for name in names}
    assigned = RangePartitionAssignor.assign(cluster, told)
    shares = shares_of(names, partitions)
    for name in names:
        theirs = dict(assigned[name].assignment).get("t", [])
        assert list(shares[name]) == theirs


def test_who_stays_gains_what_it_does_not_have() -> None:
    group = members("a", "b", "c")
    assert gains_of(group, {"a" + UUID}, 8) == {"b" + UUID: [0, 1, 2], "c" + UUID: [4, 5]}
    assert gains_of(group, {each.id for each in group}, 8) == {}


async def test_who_leaves_waits_for_those_who_stay() -> None:
    others = Others()
    await standby(Log(members("a", "b")), others).before_leaving()
    assert others.asked == [("b", [0, 1, 2, 3])]


async def test_of_several_who_leave_each_asks_those_who_stay() -> None:
    """The processes of one command stop together."""
    others = Others(leaving="b")
    await standby(Log(members("a", "b", "c", "d")), others).before_leaving()
    assert others.asked == [
        *[("b", [0, 1]), ("c", [3])],
        *[("c", [0, 1, 2, 3]), ("d", [4, 5])],
    ]


async def test_nobody_is_waited_for_in_vain() -> None:
    for log, others in (
        (Log(members("a")), Others()),
        (Log(None), Others()),  # the embedded log
        (Log([]), Others()),  # the group is being formed
        (Log(members("b", "c")), Others()),  # we are not in it
        (Log(members("a", "b")), Others(leaving="b")),
    ):
        await standby(log, others).before_leaving()
        assert len(others.asked) <= 1
    silent = Others(silent="b")
    await standby(Log(members("a", "b", "c")), silent).before_leaving()
    assert [name for name, _ in silent.asked] == ["b", "c"]
    away = Log(members("a", "b"))
    away.away = True
    await standby(away, Others()).before_leaving()
    await standby(away, Others()).before_joining()


async def test_who_joins_has_its_share_ready_and_what_was_written_meanwhile() -> None:
    runtimes = Runtime(), Runtime()
    await standby(Log(members("b", "c")), None, *runtimes).before_joining()
    for each in runtimes:
        assert each.prepared == [0, 1, 2] * 2


async def test_who_is_alone_joins_at_once() -> None:
    for group in (None, [], members("a")):  # the last one: itself, before a restart
        runtime = Runtime()
        await standby(Log(group), None, runtime).before_joining()
        assert runtime.prepared == []


async def test_who_leaves_gets_nothing_ready_and_says_so_at_once() -> None:
    runtime, others = Runtime(), Others()
    runtime.may_go_on.clear()
    worker = standby(Log(members("a", "b")), others, runtime)
    asked = asyncio.create_task(worker.prepare([5]))
    await runtime.asked.wait()
    await worker.before_leaving()
    assert await asked is False
    assert await worker.prepare([6]) is False
    runtime.may_go_on.set()
    assert await standby(Log([]), None, runtime).prepare([7]) is True
