"""A part of the machine as a process of its own, beside the workers."""

from __future__ import annotations

import asyncio
import signal
from typing import Protocol

from streams.logging import get_logger
from streams.runtime import gc_tuning

_log = get_logger(__name__)


class StandAlone(Protocol):
    """What runs alone."""

    async def start(self) -> None:
        """Begin; nothing is left running when this raises."""

    async def stop(self) -> None:
        """Finish what was begun, and let go."""


async def until_told_to_stop(part: StandAlone, name: str) -> None:
    """Run it until SIGTERM or SIGINT. Raises what its `start` raises."""
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    await part.start()
    gc_tuning.search_less()
    try:
        await told_to_stop.wait()
        _log.info(f"{name} told to stop")
    finally:
        await part.stop()
