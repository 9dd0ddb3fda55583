"""A real worker is killed while it delivers: every signal arrives, none before another's order."""

from __future__ import annotations

import asyncio
import signal as signals
from pathlib import Path

import pytest

from streams.clock import SystemClock
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import CUSTOMER_SIGNALS, EMBEDDED_PARTITIONS
from tests.outbound.doubles import LIMIT, receiver, signal, webhook, write
from tests.ports import free_port
from tests.runtime.test_worker_process import launch, ready
from tests.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.slow]

SIGNALS = 150


async def begun(log: EmbeddedLog) -> None:
    """Poll the positions of a process, which has no other way to tell."""

    async def are_there() -> bool:
        return len(await log.committed("ritorno-webhook-till")) >= EMBEDDED_PARTITIONS

    await eventually(are_there, "the webhook follows", seconds=LIMIT)


async def test_a_worker_that_is_killed_loses_no_signal(tmp_path: Path) -> None:
    webhooks, log = tmp_path / "webhooks.yaml", EmbeddedLog(tmp_path / "log", SystemClock())
    settings = {"RITORNO_WEBHOOKS": str(webhooks), "SHOP_SECRET": "uno"}
    async with receiver() as till:
        write(webhooks, webhook("till", till.url, types=["segment.changed"]))
        port = free_port()
        process = await launch(tmp_path, port, **settings)
        try:
            await ready(port)
            await log.start()
            await begun(log)
            for number in range(SIGNALS):
                customer = f"c{number % 10}"
                partition = partition_of(customer.encode(), EMBEDDED_PARTITIONS)
                await log.append(CUSTOMER_SIGNALS, partition, [signal(f"s{number}", customer)])
            await till.until(20)
            process.send_signal(signals.SIGKILL)
            await process.wait()
            taken = len(till.got)
            assert taken < SIGNALS, "it was killed too late to show anything"
            process = await launch(tmp_path, port, **settings)
            async with asyncio.timeout(2 * LIMIT), till.changed:
                await till.changed.wait_for(lambda: len(set(till.ids())) == SIGNALS)
        finally:
            await log.stop()
            if process.returncode is None:
                process.kill()
                await process.wait()
    for customer in {each["data"]["customer"] for each in till.got}:
        theirs = [each["data"]["id"] for each in till.got if each["data"]["customer"] == customer]
        first_seen = list(dict.fromkeys(theirs))
        assert first_seen == sorted(first_seen, key=lambda id_: int(id_[1:]))
