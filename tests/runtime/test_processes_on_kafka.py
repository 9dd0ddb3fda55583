"""`ritorno worker --processes 2` on a real broker: a process that is killed comes back."""

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

from agents.mail.message.tokens import Preferences, Tokens
from streams.clock import SystemClock
from streams.log import Log
from streams.runtime.definitions import publish, read_files
from streams.runtime.factories import log_from, lookups_of, record_signer, signing_keys
from streams.runtime.processes.supervisor import STOP_SECONDS
from streams.settings import Settings
from streams.topology import topics
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.ports import free_port
from tests.runtime.test_worker import event, tell
from tests.waiting import poll_pause

pytestmark = [pytest.mark.kafka, pytest.mark.processes]

KEYS = "k1:a-secret-of-these-tests"
SECONDS = 90


class Command:
    """`ritorno worker --processes 2` and its ports."""

    def __init__(self, broker: str, directory: Path) -> None:
        self.directory = directory
        self.admin, self.public = free_port(), free_port()
        self.settings = Settings(
            broker=broker,
            data_dir=directory / "data",
            worker_id="processes-of-the-tests",
            token_keys=KEYS,
            workflows_dir=without_policy(directory / "workflows"),
        )
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if "RITORNO" not in name}
        with (self.directory / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from streams.tools.cli import main; main()",
                *("worker", "--processes", "2"),
                stdout=log, stderr=log, cwd=self.directory,
                env=environment | {
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                    "RITORNO_BROKER": self.settings.broker,
                    "RITORNO_DATA_DIR": str(self.settings.data_dir),
                    "RITORNO_WORKER_ID": self.settings.worker_id,
                    "RITORNO_WORKFLOWS_DIR": str(self.settings.workflows_dir),
                    "RITORNO_TOKEN_KEYS": KEYS,
                    "RITORNO_ADMIN_BIND": f"127.0.0.1:{self.admin}",
                    "RITORNO_PUBLIC_BIND": f"127.0.0.1:{self.public}",
                    "RITORNO_MAIL_PROVIDER_LOOKUP": "false",
                    "RITORNO_LOG_FORMAT": "json",
                },
            )  # fmt: skip

    @property
    def said(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    async def got(self, path: str) -> tuple[int, str]:
        """Ask the admin port; 0 while nobody listens there."""
        url = f"http://127.0.0.1:{self.admin}{path}"
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def until(self, status: int) -> None:
        """Wait until it says whether it is ready."""
        try:
            async with asyncio.timeout(SECONDS):
                while (await self.got("/readyz"))[0] != status:
                    assert self.process.returncode is None, self.said[-4000:]
                    await poll_pause()
        except TimeoutError:
            raise AssertionError(self.said[-4000:]) from None

    async def metrics(self) -> dict[str, float]:
        _, page = await self.got("/metrics")
        pairs = (each.rsplit(" ", 1) for each in page.splitlines() if each and each[0] != "#")
        return {name: float(value) for name, value in pairs}


def workers_of(pid: int) -> list[int]:
    """Return the processes that were started as workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    called = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
    return sorted(each for each, how in called.items() if b"spawn_main" in how)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@asynccontextmanager
async def running(broker: str, directory: Path) -> AsyncIterator[tuple[Command, Log]]:
    command = Command(broker, directory)
    log = log_from(command.settings, SystemClock())
    await log.start()
    await log.create_topics(topics(2))
    await publish(log, read_files(command.settings.workflows_dir), record_signer(command.settings))
    await command.start()
    try:
        await command.until(200)
        yield command, log
    finally:
        if command.process.returncode is None:
            command.process.kill()
            await command.process.wait()
        await log.stop()


async def test_one_command_shows_all_and_starts_again_who_was_killed(
    fresh_broker: KafkaBroker, tmp_path: Path
) -> None:
    async with running(f"kafka://{fresh_broker.bootstrap}", tmp_path) as (command, log):
        names = [f"{name}-of-processes" for name in ("anna", "bruno", "carla", "dino")]
        for name in names:
            await tell(log, event("customer.created", f"{name}-1", name, email=f"{name}@a.it"))
        await knows(command, log, names)

        metrics = await command.metrics()
        for number in ("1", "2"):
            assert metrics[f'ritorno_process_up{{process="{number}"}}'] == 1
            assert metrics[f'ritorno_process_restarts_total{{process="{number}"}}'] == 0
            assert (tmp_path / "data" / number / "worker.lock").exists()
        open_ = [
            value for name, value in metrics.items()
            if name.startswith("ritorno_events_total{process=") and 'result="applied"' in name
        ]  # fmt: skip
        assert len({name[:60] for name in metrics if 'process="' in name}) > 10
        assert sum(open_) >= len(names)

        killed = workers_of(command.process.pid)[0]
        os.kill(killed, signal.SIGKILL)
        await command.until(503)
        await command.until(200)
        assert killed not in workers_of(command.process.pid)
        assert len(workers_of(command.process.pid)) == 2
        metrics = await command.metrics()
        again = [v for n, v in metrics.items() if n.startswith("ritorno_process_restarts_total")]
        assert sorted(again) == [0, 1]
        assert "a process has died, starting it again" in command.said
        assert "killed by SIGKILL" in command.said
        for name in names:
            await tell(log, event("list.subscribed", f"{name}-2", name, list="letters",
                                  confirmed=True))  # fmt: skip
        await knows(command, log, names)
        for name in names:
            await page_says(command, name, 'name="list:letters" value="yes" checked')

        children = workers_of(command.process.pid)
        command.process.terminate()
        async with asyncio.timeout(STOP_SECONDS + 5):
            assert await command.process.wait() == 0
        assert not any(map(lives, children))
        assert "Traceback" not in command.said


@pytest.mark.slow
async def test_no_process_outlives_a_command_that_is_killed(
    fresh_broker: KafkaBroker, tmp_path: Path
) -> None:
    async with running(f"kafka://{fresh_broker.bootstrap}", tmp_path) as (command, _):
        children = workers_of(command.process.pid)
        assert len(children) == 2
        command.process.kill()
        await command.process.wait()
        async with asyncio.timeout(STOP_SECONDS + 5):
            while any(map(lives, children)):
                await poll_pause()


async def knows(command: Command, log: Log, names: list[str]) -> None:
    """Wait until all that was told is in the customers' records."""
    lookups = lookups_of(command.settings, log)
    assert lookups is not None
    async with asyncio.timeout(SECONDS):
        for name in names:
            while await lookups.record(name.encode()) is None:
                await poll_pause()


async def page_says(command: Command, customer: str, words: str) -> None:
    """Open the page again and again, each time at any of the processes, until it is right."""
    tokens = Tokens(signing_keys(command.settings))
    token = tokens.make(Preferences(customer, "m1", SystemClock().now()))
    url = f"http://127.0.0.1:{command.public}/p/{token}"
    async with asyncio.timeout(SECONDS):
        while True:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                if answer.status == 200 and words in await answer.text():
                    return
            await poll_pause()
