"""A worker of this release and one of the next share a group while they are exchanged.

The next release is this one with a higher format, in a process of its own. It may take partitions
and lose them again: the older worker then leaves them alone, and says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from schemas.stored import FORMAT, format_of, head, is_erased
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, MAILER_CHANGELOG
from streams.clock import SystemClock
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime.factories import log_from
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import topics
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.faults.run import SESSION_SECONDS
from tests.frozen.copies import KEYS
from tests.frozen.make import event
from tests.runtime.test_worker import LOOPBACK

pytestmark = [pytest.mark.kafka, pytest.mark.processes]

PARTITIONS = 4
NAMES = [f"c{number}" for number in range(24)]
NEXT = f"""
import sys
import schemas.stored
schemas.stored.FORMAT = {FORMAT + 1}
from streams.tools.cli import main
main(sys.argv[1:])
"""


@asynccontextmanager
async def next_release(settings: Settings, directory: Path) -> AsyncIterator[None]:
    """Run a worker of the next release until it is told to stop."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NEXT, "worker",
        env=os.environ | {
            "RITORNO_BROKER": settings.broker, "RITORNO_DATA_DIR": str(directory),
            "RITORNO_WORKER_ID": "next",
            "RITORNO_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS), "RITORNO_TOKEN_KEYS": KEYS,
            "RITORNO_ADMIN_BIND": "127.0.0.1:0", "RITORNO_PUBLIC_BIND": "127.0.0.1:0",
            "RITORNO_WORKFLOWS_DIR": str(settings.workflows_dir),
            "RITORNO_SMTP_URL": "smtp://127.0.0.1:9",
        },
    )  # fmt: skip
    try:
        yield
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


Written = dict[tuple[int, bytes], list[bytes]]


async def written(log: Log, topic: str) -> Written:
    """Return each key's records, in their order."""
    found: Written = {}
    for number, span in (await log.offsets(topic)).items():
        async for chunk in log.read(topic, number, span.start, span.end):
            for record in chunk:
                if record.value is not None:
                    found.setdefault((number, record.key or b""), []).append(record.value)
    return found


async def everybody_looks(log: Log, round_: int) -> dict[str, int]:
    """Append an event of each customer; return at which offsets."""
    offsets = {}
    for name in NAMES:
        look = event("product.viewed", f"{name}-{round_}", name, product_id="p")
        number = partition_of(name.encode(), PARTITIONS)
        offsets[name] = await log.append(CUSTOMER_EVENTS, number, [look])
    return offsets


async def applied(log: Log, offsets: dict[str, int]) -> dict[str, int]:
    """Wait until each customer's state holds its event; return the states' formats."""
    while True:
        found = await written(log, CUSTOMERS_CHANGELOG)
        latest = {}
        for name, offset in offsets.items():
            states = found.get((partition_of(name.encode(), PARTITIONS), name.encode()), [])
            if states and head(states[-1]).applied >= offset:
                latest[name] = format_of(states[-1])
        if len(latest) == len(offsets):
            return latest


async def test_the_older_worker_never_writes_over_what_the_newer_knows(
    fresh_broker: KafkaBroker, tmp_path: Path
) -> None:
    settings = Settings(
        broker=f"kafka://{fresh_broker.bootstrap}", data_dir=tmp_path / "data", store="memory",
        worker_id="this", kafka_session_seconds=SESSION_SECONDS, token_keys=KEYS,
        admin_bind=LOOPBACK, public_bind=LOOPBACK,
        smtp_url="smtp://127.0.0.1:9", workflows_dir=without_policy(tmp_path / "workflows"),
    )  # fmt: skip
    log = log_from(settings, SystemClock())
    await log.start()
    await log.create_topics(topics(PARTITIONS))
    worker = Worker(settings)

    try:
        async with asyncio.timeout(180):
            await worker.start()
            formats = await applied(log, await everybody_looks(log, 1))
            assert set(formats.values()) == {FORMAT}

            async with next_release(settings, tmp_path / "next"):
                await worker.partition_manager.until(
                    lambda: 0 < len(_customers(worker)) < PARTITIONS
                )
                formats = await applied(log, await everybody_looks(log, 2))
                assert set(formats.values()) == {FORMAT, FORMAT + 1}
            theirs = {partition_of(name.encode(), PARTITIONS)
                      for name, number in formats.items() if number > FORMAT}  # fmt: skip
            await worker.partition_manager.until(
                lambda: {tp.partition for tp in worker.partition_manager.problems()
                         if tp.topic == CUSTOMER_EVENTS} == theirs
            )  # fmt: skip
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{worker.admin.address}/readyz") as answer,
            ):
                text = await answer.text()
            assert answer.status == 503
            assert f"format {FORMAT + 1}, and this one reads up to {FORMAT}" in text

            offsets = await everybody_looks(log, 3)
            ours = {name: offset for name, offset in offsets.items()
                    if partition_of(name.encode(), PARTITIONS) not in theirs}  # fmt: skip
            await applied(log, ours)
            async with next_release(settings, tmp_path / "next"):
                await worker.partition_manager.until(
                    lambda: 0 < len(_customers(worker)) < PARTITIONS
                )
                await worker.stop()
                formats = await applied(log, await everybody_looks(log, 4))
                assert set(formats.values()) == {FORMAT + 1}
        for topic in (CUSTOMERS_CHANGELOG, MAILER_CHANGELOG):
            for key, states in (await written(log, topic)).items():
                numbers = [format_of(state) for state in states if not is_erased(state)]
                assert numbers == sorted(numbers), f"{topic}: {key} lost what the newer one knew"
    finally:
        await worker.stop()
        await log.stop()


def _customers(worker: Worker) -> set[TopicPartition]:
    return {tp for tp in worker.partition_manager.owned() if tp.topic == CUSTOMER_EVENTS}
