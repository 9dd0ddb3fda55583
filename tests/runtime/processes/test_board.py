"""The admin port of several processes, over admin ports as workers have them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from streams.http.admin import AdminServer
from streams.http.readiness import Readiness
from streams.runtime.processes import board
from streams.settings.values import Address


async def fine() -> Readiness:
    return Readiness(True, "all is well")


async def starting() -> Readiness:
    return Readiness(False, "0 of 4 partitions open")


@pytest.fixture
async def members() -> AsyncIterator[list[board.WorkerProcess]]:
    """One that is ready, one that isn't, and one that has died."""
    servers, found = [], []
    for number, check in ((1, fine), (2, starting)):
        registry = CollectorRegistry()
        Counter("shop_events", "Events.", ["type"], registry=registry).labels('a"b').inc(number)
        Gauge("shop_waiting", "Who waits.", registry=registry).set(10 * number)
        server = AdminServer(
            bind=Address("127.0.0.1", 0), registry=registry, checks={"partitions": check}
        )
        await server.start()
        servers.append(server)
        found.append(board.WorkerProcess(str(number), server.address, "it runs", 0))
    found.append(board.WorkerProcess("3", None, "killed by SIGKILL", 2))
    yield found
    for server in servers:
        await server.stop()


async def test_metrics_stand_side_by_side_in_the_right_format(
    members: list[board.WorkerProcess],
) -> None:
    text = await board.metrics(lambda: members)
    families = {each.name: each for each in text_string_to_metric_families(text)}
    events = {
        (each.labels["process"], each.labels["type"]): each.value
        for each in families["shop_events"].samples
        if each.name == "shop_events_total"
    }
    assert events == {("1", 'a"b'): 1, ("2", 'a"b'): 2}
    waiting = {each.labels["process"]: each.value for each in families["shop_waiting"].samples}
    assert waiting == {"1": 10, "2": 20}
    up = {each.labels["process"]: each.value for each in families["ritorno_process_up"].samples}
    assert up == {"1": 1, "2": 1, "3": 0}
    again = families["ritorno_process_restarts"].samples
    assert {each.labels["process"]: each.value for each in again} == {"1": 0, "2": 0, "3": 2}
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))


async def test_each_says_whether_it_is_ready(members: list[board.WorkerProcess]) -> None:
    checks = board.checks_of(lambda: members)
    answers = [await check() for check in checks.values()]
    assert list(checks) == ["process 1", "process 2", "process 3"]
    assert answers == [
        Readiness(True, "all is well"),
        Readiness(False, "0 of 4 partitions open"),
        Readiness(False, "killed by SIGKILL"),
    ]


async def test_one_that_does_not_answer_is_not_ready(members: list[board.WorkerProcess]) -> None:
    members[0] = members[0]._replace(address=Address("127.0.0.1", 1))
    assert await board.checks_of(lambda: members)["process 1"]() == (False, "it does not answer")
    assert 'ritorno_process_up{process="1"} 0' in await board.metrics(lambda: members)
