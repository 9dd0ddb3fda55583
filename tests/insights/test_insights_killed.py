"""`ritorno insights` is killed with -9 while it takes facts in: none is lost, none counts twice."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.clock import SystemClock, VirtualClock
from streams.http.internal.signing import RequestSigner
from streams.insights import client
from streams.runtime.factories import signing_keys
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.tools.insights import ask
from streams.topology import FACTS
from tests.insights.stated import outgoing
from tests.insights.test_fact_store import shop
from tests.insights.test_insights_service import log_of
from tests.ports import free_port
from tests.runtime.doubles import START

PATIENCE = 60.0
STATEMENT = "SELECT fact, count(*), sum(total), sum(amount) FROM facts GROUP BY 1 ORDER BY 1"


async def taken(settings: Settings) -> list[Any]:
    found: list[Any] = (await ask(settings, "sql", {"statement": STATEMENT}))["rows"]
    return found


@pytest.mark.processes
@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=pytest.mark.slow)])
async def test_killed_while_it_takes_facts_in(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    told = outgoing(shop(3_000))
    killed, whole = Settings(data_dir=tmp_path / "killed"), Settings(data_dir=tmp_path / "whole")
    async with log_of(whole) as log:
        await log.append(FACTS, 0, told)
    environment = {
        **os.environ,
        "RITORNO_DATA_DIR": str(killed.data_dir),
        "RITORNO_INSIGHTS_BIND": f"127.0.0.1:{free_port()}",
        "RITORNO_ADMIN_BIND": f"127.0.0.1:{free_port()}",
        "RITORNO_LOG_FORMAT": "text",
    }
    async with log_of(killed) as log:
        step = len(told) // (kills + 1)
        for number in range(kills):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from streams.tools.cli import main; main()", "insights",
                env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            assert process.stderr is not None
            async with asyncio.timeout(PATIENCE):
                async for line in process.stderr:
                    if b"insights can be asked" in line:
                        break
            # What a worker told before it died it tells again.
            begin = max(0, number * step - chance.randint(0, 40))
            for at in range(begin, (number + 1) * step, 50):
                await log.append(FACTS, 0, told[at : min(at + 50, (number + 1) * step)])
            process.kill()
            await process.wait()
        await log.append(FACTS, 0, told[kills * step :])
    assert await taken(killed) == await taken(whole)


async def test_a_worker_of_a_small_shop_has_the_store(tmp_path: Path) -> None:
    loopback = Address("127.0.0.1", 0)
    settings = Settings(
        data_dir=tmp_path, admin_bind=loopback, public_bind=loopback, insights_bind=loopback,
        partitions=2, tick_seconds=3600, store="memory",
    )  # fmt: skip
    worker = Worker(settings, clock=VirtualClock(START))
    try:
        async with asyncio.timeout(PATIENCE):
            await worker.start()
            assert worker.insights_address is not None
            await worker.log.append(FACTS, 0, outgoing(shop(3)))
            await worker.insights.feeding.caught_up()
            answer = await asyncio.to_thread(
                client.ask, worker.insights_address, RequestSigner(signing_keys(settings)),
                SystemClock(), "sql", {"statement": "SELECT count(*) FROM facts"},
            )  # fmt: skip
    finally:
        await worker.stop()
    assert answer["rows"] == [[7]]
