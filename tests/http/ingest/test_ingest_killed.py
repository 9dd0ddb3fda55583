"""`ritorno ingest` is killed with -9 under load: whatever was answered 2xx is in the log."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from schemas.wire import parse_record
from streams.clock import SystemClock
from streams.log import scan
from streams.runtime.logs.embedded import EmbeddedLog
from streams.tools import write_keys
from streams.topology import CUSTOMER_EVENTS
from tests.ports import free_port

SENDERS = 8
ENOUGH = 150
"""Calls that are answered 2xx until it is killed, in the middle of others."""

PATIENCE = 40.0


@pytest.mark.processes
async def test_what_was_answered_is_there(tmp_path: Path) -> None:
    key = write_keys.add(
        tmp_path / "ingest-keys.yaml", "till", secret=True, source="/t", origins=[], rate=None
    )
    port, admin = free_port(), free_port()
    environment = {
        **os.environ,
        "RITORNO_DATA_DIR": str(tmp_path),
        "RITORNO_INGEST_BIND": f"127.0.0.1:{port}",
        "RITORNO_ADMIN_BIND": f"127.0.0.1:{admin}",
        "RITORNO_LOG_FORMAT": "text",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from streams.tools.cli import main; main()", "ingest",
        env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    answered: set[str] = set()
    enough = asyncio.Event()
    async with asyncio.timeout(PATIENCE):
        async for line in process.stderr:
            if b"ingest ready" in line:
                break
    basic = base64.b64encode(f"{key.value}:".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}

    async def send(sender: int) -> None:
        number = 0
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                number += 1
                ids = [f"{sender}-{number}-{each}" for each in range(3)]
                calls = [{"type": "track", "event": "Product Viewed", "anonymousId": f"v{sender}",
                          "messageId": id_, "properties": {"product_id": "p"}}
                         for id_ in ids]  # fmt: skip
                try:
                    async with session.post(
                        f"http://127.0.0.1:{port}/v1/batch", json={"batch": calls}
                    ) as answer:
                        if answer.status != 200:
                            continue
                        await answer.read()
                except (aiohttp.ClientError, OSError):
                    return
                answered.update(ids)
                if len(answered) >= ENOUGH:
                    enough.set()

    sending = [asyncio.create_task(send(number)) for number in range(SENDERS)]
    async with asyncio.timeout(PATIENCE):
        await enough.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*sending)
    log = EmbeddedLog(tmp_path / "log", SystemClock())
    await log.start()
    kept = {parse_record(record).id async for record in scan(log, CUSTOMER_EVENTS)}
    await log.stop()
    assert len(answered) >= ENOUGH
    assert answered <= kept
