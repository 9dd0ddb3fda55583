"""Real worker processes, a real SMTP server, and the ways in which they are hurt."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

import aiohttp
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.ports import free_port
from tests.waiting import poll_pause

READY_SECONDS = 90
"""A worker that recovers behind a broker that has just been killed needs a group session more."""


class Inbox:
    """An SMTP server that counts each mail it has taken, by Message-ID."""

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        self.classes: dict[str, str] = {}
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd calls it by this name
        """Take a mail."""
        content = envelope.content
        headers = BytesHeaderParser().parsebytes(content if isinstance(content, bytes) else b"")
        message_id = str(headers["Message-ID"])
        self.copies[message_id] += 1
        marketing = headers["List-Unsubscribe"] is not None
        self.classes[message_id] = "marketing" if marketing else "transactional"
        return "250 taken"


@dataclass
class Worker:
    """One `ritorno worker` process."""

    name: str
    directory: Path
    environment: dict[str, str]
    admin_port: int = field(default_factory=free_port)
    command: Sequence[str] = (str(Path(sys.executable).parent / "ritorno"), "worker")
    process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process; its log goes to a file beside its data."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=os.environ
                | self.environment
                | {
                    "RITORNO_WORKER_ID": self.name,
                    "RITORNO_DATA_DIR": str(self.directory / "data"),
                    "RITORNO_ADMIN_BIND": f"127.0.0.1:{self.admin_port}",
                    "RITORNO_PUBLIC_BIND": f"127.0.0.1:{free_port()}",
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end of the process and return its exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    async def ready(self) -> None:
        """Wait until the worker says that it is ready."""
        url = f"http://127.0.0.1:{self.admin_port}/readyz"
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
            while True:
                if not self.running:
                    raise AssertionError(f"{self.name} has ended:\n{self.last_words()}")
                try:
                    async with http.get(url) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass  # it doesn't listen yet
                await poll_pause()

    async def metrics(self) -> dict[str, float]:
        """Return the samples of /metrics by name and labels."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            lines = (await answer.text()).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")
        return {name: float(value) for name, value in pairs}

    def last_words(self) -> str:
        """Return the end of the process's log."""
        return (self.directory / "log").read_text(errors="replace")[-4000:]


class Fleet:
    """Workers by name, all of one consumer group."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self._directory = directory
        self._environment = {name.upper(): value for name, value in environment.items()}
        self.workers: dict[str, Worker] = {}

    def worker(self, name: str) -> Worker:
        """Return a worker, made when it is new."""
        if name not in self.workers:
            self.workers[name] = Worker(name, self._directory / name, self._environment)
        return self.workers[name]

    def command(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `ritorno` with the fleet's settings and return what it prints."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ritorno"), *arguments],
            env=os.environ | self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == exit_code, done.stderr
        return done.stdout

    async def start(self, *names: str) -> None:
        """Start workers and wait until they are ready."""
        for name in names:
            self.worker(name).start()
        for name in names:
            await self.worker(name).ready()

    def stop(self) -> dict[str, int]:
        """End all by SIGTERM and return their exit codes."""
        living = [worker for worker in self.workers.values() if worker.running]
        for worker in living:
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGTERM)
        return {worker.name: worker.wait() for worker in living}

    def kill(self) -> None:
        """Leave no process behind, whatever happened."""
        for worker in self.workers.values():
            if worker.running:
                worker.kill()


def counts_of(metrics: dict[str, Any], name: str) -> float:
    """Return the sum of all samples of a metric."""
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name)
