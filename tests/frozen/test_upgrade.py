"""The way of docs/upgrading.md, walked on a real broker with the release before: two workers of its
code are exchanged one after the other, and the older release is tried again when it is too late.

The release is taken out of this repository's history, at the commit at which it was frozen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest

from schemas.customer import decode_customer
from schemas.stored import FORMAT, UNMARKED, is_erased
from schemas.topics import CUSTOMERS_CHANGELOG
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime.factories import log_from
from streams.settings import Settings
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.faults.run import SESSION_SECONDS
from tests.frozen.copies import KEYS
from tests.frozen.test_rolling_update import (
    NAMES,
    PARTITIONS,
    applied,
    everybody_looks,
    written,
)

pytestmark = [pytest.mark.kafka, pytest.mark.processes, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BEFORE = "33add6f"
"""Release 0.1, as `make.py` froze it."""
ENTRY_POINTS = """
[faust.transports]
ritorno-kafka = streams.transports.kafka:Transport
ritorno-embedded = streams.transports.embedded:Transport
"""
OLD = ("-c", "import sys; from streams.cli import main; sys.argv[0] = 'ritorno'; main()")
NEW = ("-c", "import sys; from streams.tools.cli import main; main(sys.argv[1:])")


@pytest.fixture(scope="module")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before, importable from this directory."""
    archive = subprocess.run(
        ["git", "archive", BEFORE, "schemas", "agents", "streams", "workflows"],
        cwd=ROOT, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    if archive.returncode:
        pytest.skip(f"the history of this checkout lacks {BEFORE}: git fetch --unshallow")
    path = tmp_path_factory.mktemp("release-0.1")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(path, filter="data")
    about = path / "ritorno-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ritorno\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return path


class Site:
    """Two places for a worker, and which release runs there."""

    def __init__(self, broker: KafkaBroker, directory: Path, before: Path) -> None:
        self.broker = f"kafka://{broker.bootstrap}"
        self._directory = directory
        self._before = before
        self._workflows = without_policy(directory / "workflows")

    def _environment(self, place: str, **more: str) -> dict[str, str]:
        return os.environ | {
            "RITORNO_BROKER": self.broker, "RITORNO_DATA_DIR": str(self._directory / place),
            "RITORNO_WORKER_ID": place, "RITORNO_PARTITIONS": str(PARTITIONS),
            "RITORNO_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS), "RITORNO_TOKEN_KEYS": KEYS,
            "RITORNO_ADMIN_BIND": "127.0.0.1:0", "RITORNO_PUBLIC_BIND": "127.0.0.1:0",
            "RITORNO_SMTP_URL": "smtp://127.0.0.1:9", **more,
        }  # fmt: skip

    async def start(
        self, place: str, *command: str, old: bool = False, **more: str
    ) -> asyncio.subprocess.Process:
        environment = self._environment(place, **more)
        if not old:
            environment["RITORNO_WORKFLOWS_DIR"] = str(self._workflows)
        return await asyncio.create_subprocess_exec(
            sys.executable, *(OLD if old else NEW), *command,
            cwd=self._before if old else ROOT, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def run(self, place: str, *command: str, old: bool = False) -> str:
        """Run a command to its end; return what it says, its exit code behind it."""
        process = await self.start(place, *command, old=old)
        said, _ = await process.communicate()
        return f"{said.decode()}\nexit {process.returncode}"

    @asynccontextmanager
    async def worker(self, place: str, *, old: bool = False, **more: str) -> AsyncIterator[Worker]:
        worker = Worker(await self.start(place, "worker", old=old, **more))
        try:
            await worker.says("worker ready")
            yield worker
            await worker.stop()
        finally:
            await worker.kill()


class Worker:
    """A worker process, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._said = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._said:
                self.lines.append(line.decode())
                self._said.notify_all()
        async with self._said:
            self.lines.append("(it has ended)")
            self._said.notify_all()

    async def says(self, *words: str) -> str:
        """Wait until it says one of these; return the line."""

        def found() -> str:
            return next((line for line in self.lines if any(each in line for each in words)), "")

        async with self._said:
            await self._said.wait_for(lambda: found() or self.lines[-1:] == ["(it has ended)"])
        assert found(), "".join(self.lines)
        return found()

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), 40)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._listening


async def views(log: Log, names: Sequence[str] = NAMES) -> set[int]:
    """Return how many products each customer has looked at."""
    found = await written(log, CUSTOMERS_CHANGELOG)
    latest = {
        name: found[partition_of(name.encode(), PARTITIONS), name.encode()][-1] for name in names
    }
    assert not any(is_erased(stored) for stored in latest.values())
    return {decode_customer(name, stored).views for name, stored in latest.items()}


async def test_two_workers_are_exchanged_and_there_is_no_way_back(
    fresh_broker: KafkaBroker, release_before: Path, tmp_path: Path
) -> None:
    site = Site(fresh_broker, tmp_path, release_before)
    log = log_from(Settings(broker=site.broker, data_dir=tmp_path / "here", token_keys=KEYS))
    await log.start()
    accept = {"RITORNO_ACCEPT_UNSIGNED": "true"}

    async def look(round_: int) -> set[int]:
        """Have everybody look at something; return the formats that are written then."""
        formats = await applied(log, await everybody_looks(log, round_))
        assert await views(log) == {round_}, "each event counts once"
        return set(formats.values())

    try:
        async with asyncio.timeout(300):
            assert (await site.run("a", "topics", "create", old=True)).endswith("exit 0")
            async with site.worker("b", old=True):
                async with site.worker("a", old=True):
                    assert await look(1) == {UNMARKED}
                async with site.worker("a", **accept):
                    await look(2)  # both releases, side by side
            async with site.worker("b"), site.worker("a"):
                assert await look(3) == {FORMAT}
            said = await site.run("a", "doctor", "--deep")
            assert "their changelogs say" in said, said
            failed = [line for line in said.splitlines() if line.startswith("fail")]
            assert [line.split()[1] for line in failed] == ["relay:"], said

            before = await written(log, CUSTOMERS_CHANGELOG)
            async with site.worker("old", old=True) as older:
                await older.says("ValidationError", "DecodeError")
            assert await written(log, CUSTOMERS_CHANGELOG) == before, "it has changed nothing"
            async with site.worker("a"):
                assert await look(4) == {FORMAT}
    finally:
        await log.stop()
