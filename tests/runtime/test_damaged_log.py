"""A disk has damaged the embedded log: the worker stops with a word on it, and tries no more."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from schemas.records import OutRecord
from streams.clock import VirtualClock
from streams.log import LogDamaged, LogError
from streams.runtime.failures import WorkerFailed
from streams.runtime.logs.embedded import EmbeddedLog, file
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS, topics
from tests.runtime.doubles import START

LOOPBACK = Address("127.0.0.1", 0)
RECORDS = 3_000


async def written(directory: Path) -> Path:
    log = EmbeddedLog(directory, VirtualClock(START))
    await log.start()
    await log.create_topics(topics(1))
    headers = (("ce_type", b"page.viewed"),)
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"x" * 900, headers)] * RECORDS)
    await log.stop()
    return directory / file.FILE_NAME


async def test_a_damaged_page_stops_the_worker(tmp_path: Path) -> None:
    path = await written(tmp_path / "data" / "log")
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 4, len(content) // 4 * 3)
    content[middle] = b"\xff" * (middle.stop - middle.start)
    path.write_bytes(content)
    settings = Settings(
        data_dir=tmp_path / "data", admin_bind=LOOPBACK, public_bind=LOOPBACK, store="memory"
    )
    worker = Worker(settings)
    try:
        async with asyncio.timeout(60):
            with pytest.raises((WorkerFailed, LogError), match=r"log\.sqlite3 is damaged.*Restore"):
                await worker.start()
                await worker.wait_stopped()
    finally:
        await worker.stop()


async def test_a_record_with_other_bytes_than_were_written_is_damage_too(tmp_path: Path) -> None:
    path = await written(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE records SET headers = ? WHERE rowid % 100 = 0", (b"\xc1",))
    db.close()
    log, told = EmbeddedLog(tmp_path, VirtualClock(START)), list[str]()
    log.on_damage = told.append
    await log.start()
    with pytest.raises(LogDamaged, match=r"log\.sqlite3 is damaged"):
        async for _ in log.read(CUSTOMER_EVENTS, 0, 0, RECORDS):
            pass
    assert len(told) == 1
    await log.stop()
