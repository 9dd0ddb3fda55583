"""The real processes of a run: a broker, workers, peers. All on loopback, all ended by their id."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientError

from benchmarks.pace import Measured, Pace, from_json
from streams.clock import SystemClock
from streams.log import Log
from streams.runtime.definitions import publish, read_files
from streams.runtime.factories import record_signer
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.kafka import KafkaLog
from streams.settings import Settings
from streams.settings.loading import load_settings
from streams.topology import EMBEDDED_PARTITIONS, KAFKA_PARTITIONS, topics
from tests.broker import KafkaBroker, NoBroker, jars
from tests.faults.fleet import Inbox, Worker

POLL_SECONDS = 0.05
"""Between two looks at a worker's metrics; each costs the worker about a millisecond."""

PEER_SECONDS = 30.0
"""Longest time to look at a peer; stock Faust needs minutes for the whole topic."""

DRAIN_SECONDS = 180.0

TOKEN_KEYS = "bench:only-for-the-benches-0123456789"
SIGNER = record_signer(load_settings(token_keys=TOKEN_KEYS))
"""Of whoever publishes or commands here; workers have the same key."""

__all__ = ["Inbox", "Machine", "NoBroker", "Worker", "broker", "embedded", "scratch"]


@dataclass
class Machine:
    """A log with its topics, and the workers on it."""

    log: Log
    url: str
    """As in RITORNO_BROKER."""
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """HOST:PORT of the Kafka broker."""
        return self.url.removeprefix("kafka://")

    @contextmanager
    def worker(self, name: str, **environment: str) -> Iterator[Worker]:
        """A worker that is not started yet, and doesn't outlive the context."""
        worker = Worker(
            name,
            self.directory / name,
            {
                "RITORNO_BROKER": self.url,
                "RITORNO_MAIL_PROVIDER_LOOKUP": "false",
                "RITORNO_TOKEN_KEYS": TOKEN_KEYS,
            }
            | self.environment
            | environment,
        )
        try:
            yield worker
        finally:
            if worker.running:
                worker.kill()

    async def peer(self, module: str, topic: str, events: int) -> Measured:
        """Run one of `benchmarks.peers` on `topic` and return what it has measured."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"benchmarks.peers.{module}",
            *(self.server, topic, str(events), str(PEER_SECONDS)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"FAUST_DATADIR": str(self.directory / module)},
        )  # fmt: skip
        errors = asyncio.create_task(process.stderr.read())  # type: ignore[union-attr]  # it is a pipe
        try:
            async with asyncio.timeout(PEER_SECONDS + 60):
                line = await _first_json(process.stdout)  # type: ignore[arg-type]  # it is a pipe
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            said = await errors
        if not line:
            raise RuntimeError(f"{module} has ended:\n{said.decode()[-2000:]}")
        return from_json(line)


async def _first_json(output: asyncio.StreamReader) -> bytes:
    """Return the first line of JSON, empty when there is none; Faust prints a banner first."""
    async for line in output:
        if line.startswith(b"{"):
            return line
    return b""


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for the run, removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ritorno-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def broker(directory: Path) -> AsyncIterator[Machine]:
    """A real Kafka broker with our topics. Raises NoBroker where it can't run."""
    home = directory / "kafka"
    home.mkdir()
    kafka = KafkaBroker(jars(), home)
    try:
        kafka.start()
        log = KafkaLog([kafka.bootstrap])
        await log.start()
        try:
            await _prepare(log, KAFKA_PARTITIONS)
            yield Machine(log, f"kafka://{kafka.bootstrap}", directory)
        finally:
            await log.stop()
    finally:
        kafka.kill()


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Machine]:
    """An embedded log with our topics."""
    log = EmbeddedLog(directory / "embedded", SystemClock())
    await log.start()
    try:
        await _prepare(log, EMBEDDED_PARTITIONS)
        yield Machine(log, f"embedded://{log.directory}", directory)
    finally:
        await log.stop()


async def _prepare(log: Log, partitions: int) -> None:
    """Create the topics, and make the shop's workflows live before the first event.

    Not its policy: no mail at night would be no mails to measure at night.
    """
    await log.create_topics(topics(partitions))
    files = read_files(Settings().workflows_dir)
    chosen = {name: content for name, content in files.items() if name != "policy"}
    await publish(log, chosen, SIGNER)


async def follow(worker: Worker, events: int) -> Measured:
    """Watch a worker until it has done `events` events since its start."""
    pace = Pace(events, DRAIN_SECONDS)
    async with asyncio.timeout(DRAIN_SECONDS + 60):
        while not pace.over:
            if done := await events_done(worker):
                pace.reached(done)
            await asyncio.sleep(POLL_SECONDS)
    return pace.measured()


async def mailed(inbox: Inbox, worker: Worker, events: int) -> Measured:
    """Watch an SMTP server until it has got all mails that `events` events lead to."""
    pace = Pace(sys.maxsize, DRAIN_SECONDS)
    async with asyncio.timeout(DRAIN_SECONDS + 60):
        while not pace.over:
            metrics = await _metrics(worker)
            if inbox.copies:
                pace.reached(inbox.copies.total())
            asked = total(metrics, "ritorno_mail_requests_total", 'result="commanded"')
            dealt_with = total(metrics, "ritorno_mail_deliveries_total")
            if _events(metrics) >= events and dealt_with >= asked:
                break
            await asyncio.sleep(POLL_SECONDS)
    return pace.measured()


async def events_done(worker: Worker) -> int:
    """Return how many events a worker has applied and committed since its start."""
    return _events(await _metrics(worker))


def _events(metrics: dict[str, float]) -> int:
    """Outcomes of mails are events too, which the worker has written itself."""
    name, applied = "ritorno_events_total", 'result="applied"'
    series = {key: value for key, value in metrics.items() if 'type="mail.' not in key}
    return int(total(series, name, applied))


async def _metrics(worker: Worker) -> dict[str, float]:
    try:
        return await worker.metrics()
    except (OSError, ClientError):  # it doesn't listen yet
        if not worker.running:
            raise RuntimeError(f"{worker.name} has ended:\n{worker.last_words()}") from None
        return {}


def total(metrics: dict[str, float], name: str, label: str = "") -> float:
    """Return the sum of all series called `name` that have `label`."""
    return sum(value for series, value in metrics.items()
               if series.partition("{")[0] == name and label in series)  # fmt: skip
