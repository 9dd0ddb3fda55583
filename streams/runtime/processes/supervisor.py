"""Starts the processes, starts again who dies, and stops all of them."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from streams.http.admin import AdminServer
from streams.http.server.counts import DoorCounts
from streams.http.server.not_listening import why_not_listening
from streams.logging import get_logger
from streams.operate.door_metrics import DoorMetrics
from streams.operate.instruments import Instruments
from streams.runtime.backoff import Backoff
from streams.runtime.failures import WorkerFailed
from streams.runtime.processes import board
from streams.runtime.processes.child import ChildFailed, ChildStarted, Word, run_child
from streams.runtime.processes.shares import shares
from streams.settings import Settings
from streams.settings.loading import SettingsReader
from streams.settings.values import Address

STOP_SECONDS = 15.0
"""A worker leaves within ten seconds; one that has not after these is killed."""

BACKOFF = Backoff(1.0, 30.0)
"""Seconds before a process that has died is started again: doubled each time it dies again…"""

STEADY_SECONDS = 60.0
"""…and back to the first once it has run for so long."""

_SPAWN = multiprocessing.get_context("spawn")
"""A new interpreter each: a fork would take the event loop and its threads along."""

_log = get_logger(__name__)


def run_processes(
    settings: Settings, processes: int, read: Callable[[], Settings] | None = None
) -> None:
    """Run so many workers until SIGTERM or SIGINT. Raises SettingsError, WorkerFailed, AdminError.

    Raises WorkerFailed when one can't start the first time; later ones are started again for ever.
    `read` reads the settings again, for secrets that are exchanged meanwhile.
    """
    with ExitStack() as reserved:
        public_port = reserved.enter_context(
            _ReservedPort("RITORNO_PUBLIC_BIND", settings.public_bind)
        )
        ingest_port = 0
        if settings.ingest_bind is not None:
            ingest_port = reserved.enter_context(
                _ReservedPort("RITORNO_INGEST_BIND", settings.ingest_bind)
            )
        configured = shares(settings, processes, public_port, ingest_port)
        asyncio.run(Supervisor(settings, configured, read).run())


class Supervisor:
    """The parent of the processes."""

    def __init__(
        self,
        settings: Settings,
        configured: list[Settings],
        read: Callable[[], Settings] | None = None,
    ) -> None:
        """`configured`: the settings of each process; `read` reads those of all again."""
        read = read or SettingsReader()
        self._members = [
            _Member(number, each, read) for number, each in enumerate(configured, start=1)
        ]
        self._admin = _Board(settings, self._shown)
        self._told_to_stop = asyncio.Event()

    async def run(self) -> None:
        """Run until told to stop. Raises WorkerFailed, AdminError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        stopping = asyncio.ensure_future(self._told_to_stop.wait())
        keeping = asyncio.ensure_future(self._keep_all())
        try:
            await self._admin.start()
            await asyncio.wait([stopping, keeping], return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                await keeping
            _log.info("told to stop", processes=len(self._members))
        finally:
            stopping.cancel()
            keeping.cancel()
            await asyncio.gather(stopping, keeping, return_exceptions=True)
            await asyncio.gather(*(each.stop() for each in self._members))
            await self._admin.stop()

    async def _keep_all(self) -> None:
        """Start one, which makes ready what all need, then the others; keep them running."""
        first, *others = self._members
        await first.start_first()
        try:
            async with asyncio.TaskGroup() as all_:
                for each in others:
                    all_.create_task(each.start_first())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        _log.info("all processes run", processes=len(self._members))
        async with asyncio.TaskGroup() as all_:
            for each in self._members:
                all_.create_task(each.keep())

    def _shown(self) -> Iterator[board.WorkerProcess]:
        return (each.shown() for each in self._members)


class _Member:
    """One process, and what became of it."""

    def __init__(self, number: int, settings: Settings, read: Callable[[], Settings]) -> None:
        self._read = read
        self._number = number
        self._settings = settings
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._admin: Address | None = None
        self._reason = ""
        self._state = "it has not been started yet"
        self._restarts = 0

    def shown(self) -> board.WorkerProcess:
        """Return what the admin port is to know of it."""
        return board.WorkerProcess(str(self._number), self._admin, self._state, self._restarts)

    async def start_first(self) -> None:
        """Start it, and wait until it runs. Raises WorkerFailed when it doesn't come to that."""
        self._launch()
        try:
            await self._listen(until_started=True)
        except EOFError:
            await self._ended()
            reason = self._reason or f"it has ended, {self._state}"
            raise WorkerFailed(f"Process {self._number} can't start: {reason}") from None

    async def keep(self) -> None:
        """Wait until it dies and start it again, for ever."""
        loop = asyncio.get_running_loop()
        in_a_row = 0
        while True:
            began = loop.time()
            try:
                await self._listen()
            except EOFError:
                await self._ended()
            in_a_row = 1 if loop.time() - began >= STEADY_SECONDS else in_a_row + 1
            pause = BACKOFF.after(in_a_row)
            _log.error("a process has died, starting it again", process=self._number,
                       how=self._state, reason=self._reason, seconds=pause)  # fmt: skip
            await asyncio.sleep(pause)
            self._restarts += 1
            self._launch()

    async def stop(self) -> None:
        """Tell it to stop, and wait until it has. Kills it when it takes too long."""
        process = self._process
        if process is None or not process.is_alive():
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await _ends(process)
        except TimeoutError:
            _log.error("a process did not stop in time, killing it", process=self._number)
            process.kill()
            await _ends(process)

    def _launch(self) -> None:
        self._reason = ""
        self._state = "it is being started"
        self._pipe, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=run_child,
            args=(self._settings, theirs, self._read),
            name=f"ritorno-{self._number}",
        )
        process.start()
        theirs.close()  # so that its end is the end of the pipe
        self._process = process

    async def _listen(self, *, until_started: bool = False) -> None:
        """Hear what it says. Raises EOFError when it has ended."""
        assert self._pipe is not None
        while True:
            word = await _heard(self._pipe)
            match word:
                case ChildStarted(admin):
                    self._admin, self._state = admin, "it runs"
                    _log.info("a process runs", process=self._number, admin=str(admin))
                    if until_started:
                        return
                case ChildFailed(reason):
                    self._reason = reason

    async def _ended(self) -> None:
        assert self._process is not None
        self._admin = None
        await _ends(self._process)
        code = self._process.exitcode or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._state = how


class _Board(AdminServer):
    """The admin port, with the metrics of all processes."""

    def __init__(self, settings: Settings, members: board.Members) -> None:
        counts, self._registry_of_parent = DoorCounts(), CollectorRegistry()
        DoorMetrics(Instruments(self._registry_of_parent)).of(counts)
        super().__init__(
            bind=settings.admin_bind,
            checks=board.checks_of(members),
            roles=board.roles_of(members),
            answer_seconds=board.READY_SECONDS,
            counts=counts,
        )
        self._members = members

    async def _metrics(self, request: web.Request) -> web.Response:
        del request  # in one format only
        own = generate_latest(self._registry_of_parent).decode()
        text = await board.metrics(self._members, own)
        return web.Response(body=text.encode(), headers={"Content-Type": board.TEXT})


async def _heard(pipe: Connection) -> Word:
    """Wait for a word of the process. Raises EOFError."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(pipe.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    try:
        word: Word = pipe.recv()
    except OSError as error:
        raise EOFError from error
    return word


async def _ends(process: SpawnProcess) -> None:
    """Wait for the end of a process."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()


class _ReservedPort:
    """Reserves a port that all share, so that a taken one is told once and port 0 is one for all.

    It doesn't listen there, so the kernel gives it no connection.
    """

    def __init__(self, setting: str, bind: Address) -> None:
        self._setting = setting
        self._bind = bind
        self._socket: socket.socket | None = None

    def __enter__(self) -> int:
        family = socket.AF_INET6 if ":" in self._bind.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            self._socket.bind((self._bind.host, self._bind.port))
        except OSError as error:
            self._socket.close()
            raise WorkerFailed(why_not_listening(self._setting, self._bind, error)) from None
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        assert self._socket is not None
        self._socket.close()
