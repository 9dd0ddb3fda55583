"""`ritorno worker` as a process: it stops when told to and says in one line why it can't start."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from streams.runtime import open_files
from streams.runtime.worker import STOP_SECONDS
from tests.keys import SECRET
from tests.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.processes

READY_SECONDS = 30


async def launch(
    directory: Path,
    admin_port: int = 0,
    arguments: tuple[str, ...] = (),
    preexec_fn: Callable[[], None] | None = None,
    **settings: str,
) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if "RITORNO" not in name}
    defaults = {
        "RITORNO_DATA_DIR": str(directory),
        "RITORNO_ADMIN_BIND": f"127.0.0.1:{admin_port}",
        "RITORNO_PUBLIC_BIND": "127.0.0.1:0",
        "RITORNO_LOG_FORMAT": "json",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from streams.tools.cli import main; main()", "worker", *arguments,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env=environment | defaults | settings,
        preexec_fn=preexec_fn,
    )  # fmt: skip


async def ready(port: int) -> None:
    """Poll the readiness of a process, which has no other way to tell."""
    async with aiohttp.ClientSession() as session:

        async def is_ready() -> bool:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(is_ready, "the worker is ready", seconds=READY_SECONDS)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
async def test_it_stops_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    process = await launch(tmp_path, port)
    try:
        await ready(port)
        process.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"RITORNO_BROKER": "kafka://127.0.0.1:1"}, "RITORNO_TOKEN_KEYS"),
        (
            {"RITORNO_BROKER": "kafka://127.0.0.1:1", "RITORNO_TOKEN_KEYS": f"k1:{SECRET}"},
            "127.0.0.1:1",
        ),
        ({"RITORNO_WORKFLOWS_DIR": "/nowhere"}, "/nowhere"),
        ({"RITORNO_DATA_DIR": "/proc/nowhere"}, "RITORNO_DATA_DIR"),
    ],
)
async def test_one_line_says_why_it_cannot_start(
    tmp_path: Path, settings: dict[str, str], complaint: str
) -> None:
    process = await launch(tmp_path, **settings)
    async with asyncio.timeout(READY_SECONDS):
        _, errors = await process.communicate()
    text = errors.decode()
    assert process.returncode in (1, 2)
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("ritorno: ")]
    assert complaint in line


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "--processes 2: the embedded log is read by one process"),
        ({"RITORNO_BROKER": "kafka://127.0.0.1:1", "RITORNO_TOKEN_KEYS": "k1:a-secret-of-tests"},
         "Process 1 can't start: "),
    ],
)  # fmt: skip
async def test_one_line_says_why_several_processes_cannot_start(
    tmp_path: Path, settings: dict[str, str], complaint: str
) -> None:
    process = await launch(tmp_path, arguments=("--processes", "2"), **settings)
    async with asyncio.timeout(READY_SECONDS):
        _, errors = await process.communicate()
    text = errors.decode()
    assert process.returncode in (1, 2)
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("ritorno: ")]
    assert complaint in line


def with_files(limit: int) -> Callable[[], None]:
    """Return what gives a process that is about to begin so many open files and no more."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


async def test_idle_connections_silence_no_worker(tmp_path: Path) -> None:
    """960 of them took all its files: nobody was answered, and 60 MB were logged in 45 s."""
    open_files.raised(8_000)
    admin, public = free_port(), free_port()
    process = await launch(
        tmp_path,
        admin,
        preexec_fn=with_files(1_024),
        RITORNO_PUBLIC_BIND=f"127.0.0.1:{public}",
    )
    try:
        await ready(admin)
        idle = [
            await asyncio.open_connection("127.0.0.1", port)
            for _ in range(1_100)
            for port in (public, admin)
        ]
        async with asyncio.timeout(5), aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{public}/u/none") as answer:
                assert answer.status == 404
            async with session.get(f"http://127.0.0.1:{admin}/readyz") as answer:
                assert answer.status == 200
            async with session.get(f"http://127.0.0.1:{admin}/metrics") as answer:
                shown = await answer.text()
        for _, writer in idle:
            writer.close()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    for door in ("public", "admin"):
        (pushed,) = re.findall(rf'refusals_total{{door="{door}",reason="pushed_out"}} (.+)', shown)
        assert float(pushed) > 500
        assert f'refusals_total{{door="{door}",reason="accept"}} 0.0' in shown
    assert process.returncode == 0
    told = [json.loads(line) for line in errors.splitlines()]
    warned = [line["message"] for line in told if line["level"] != "info"]
    assert len(warned) == 1, warned
    assert warned[0].startswith("few files may be open")
