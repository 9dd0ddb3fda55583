"""How long a process lets one wait for an answer: `python -m benchmarks.pulse URL`.

Asks every few milliseconds from a process of its own, so that whoever measures keeps nobody
waiting, and prints at SIGTERM, as one line of JSON, how many answers there were and the longest
waits.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

import aiohttp

BETWEEN = 0.01
"""Seconds between an answer and the next question."""
LONGEST = 10
"""Waits that are told, the longest first."""


async def listen(url: str) -> list[float]:
    """Ask until SIGTERM; return how long each answer took, in seconds."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    waits: list[float] = []
    async with aiohttp.ClientSession() as http:
        while not over.is_set():
            began = time.monotonic()
            async with http.get(url) as answer:
                await answer.read()
            waits.append(time.monotonic() - began)
            await asyncio.sleep(BETWEEN)
    return waits


if __name__ == "__main__":
    found = asyncio.run(listen(sys.argv[1]))
    print(json.dumps({"answers": len(found), "longest": sorted(found, reverse=True)[:LONGEST]}))
