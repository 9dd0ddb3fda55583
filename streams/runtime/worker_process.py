"""A worker as a process: until a signal tells it to stop, or it has broken down."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial

from streams.logging import get_logger
from streams.runtime import gc_tuning
from streams.runtime.background import kept_up
from streams.runtime.rereading import Reader
from streams.runtime.worker import Worker
from streams.settings import Settings

_log = get_logger(__name__)


def run_worker(
    settings: Settings,
    *,
    read: Reader | None = None,
    started: Callable[[Worker], None] = lambda _: None,
    shares_ports: bool = False,
) -> None:
    """Run a worker until SIGTERM or SIGINT. Raises what `Worker.start` and `wait_stopped` raise.

    `read` reads the settings again, for secrets that are exchanged while it runs; `started` is
    called once it consumes.
    """
    worker = Worker(settings, read=read, shares_ports=shares_ports)
    gc_tuning.search_less()
    runner = asyncio.Runner()
    loop = runner.get_loop()
    try:
        runner.run(_run(worker, started))
    finally:
        if worker.is_abandoned:
            # Closing would wait for what did not end in time. It ends with the process, and that it
            # was still at work is told already.
            loop.set_exception_handler(lambda _loop, _context: None)
        else:
            runner.close()


async def _run(worker: Worker, started: Callable[[Worker], None]) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    searching = kept_up("garbage", partial(gc_tuning.search_often, worker.memory))
    garbage_collecting = asyncio.ensure_future(searching)
    starting = asyncio.ensure_future(worker.start())
    stopping = asyncio.ensure_future(told_to_stop.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if told_to_stop.is_set():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        started(worker)
        running = asyncio.ensure_future(worker.wait_stopped())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        running.cancel()
        _log.info("worker told to stop")
    finally:
        stopping.cancel()
        garbage_collecting.cancel()
        await worker.stop()
