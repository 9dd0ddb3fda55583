"""How long whoever is due waits for the event loop: all of a worker runs on one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

EVERY = 0.1
"""Seconds between two looks. A batch that keeps the loop for longer than that is seen."""


async def watch_loop(
    observe: Callable[[float], None], *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Tell `observe`, again and again, by how many seconds a pause was longer than asked for."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await pause(EVERY)
        observe(max(0.0, loop.time() - began - EVERY))
