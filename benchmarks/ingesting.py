"""The ingest port: calls one by one beside a bare aiohttp answer, and batches beside the log's own
append. Who sends shares the cores with who answers, and the log is the embedded one, whose every
append is synced."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.records import OutRecord
from schemas.wire import parse_published, to_record
from streams.clock import SystemClock
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.tools import write_keys
from streams.topology import CUSTOMER_EVENTS, EMBEDDED_PARTITIONS, topics

SENDERS = 32
"""Connections that send, each waiting for its answer."""

WARM_UP, SECONDS = 2.0, 6.0
"""Before it is measured, and for which it is."""

BATCH, BATCH_SENDERS = 100, 8
BATCHES = 300
VISITORS = 5_000

RITORNO = (sys.executable, "-c", "from streams.tools.cli import main; main()", "ingest")
BARE = (sys.executable, "-m", "benchmarks.peers.bare_aiohttp")


async def measure(directory: Path, say: Say) -> list[Result]:
    """Measure both, one after the other."""
    key = write_keys.add(
        directory / "ingest-keys.yaml", "bench", secret=True, source="/b", origins=[], rate=None
    )
    head = f"Authorization: Basic {base64.b64encode(f'{key.value}:'.encode()).decode()}\r\n"
    port = _free_port()
    async with _server([*BARE, str(port)], {}) as pid:
        say("a bare aiohttp answer")
        bare = await _loaded(pid, port, _singles(head), SENDERS)
    environment = {
        "RITORNO_DATA_DIR": str(directory),
        "RITORNO_INGEST_BIND": f"127.0.0.1:{port}",
        "RITORNO_ADMIN_BIND": f"127.0.0.1:{_free_port()}",
        "RITORNO_LOG_FORMAT": "text",
    }
    async with _server(RITORNO, environment) as pid:
        say("single calls")
        single = await _loaded(pid, port, _singles(head), SENDERS)
        before = _resident(pid)
        say("at half of that, one after the other as they are due")
        half = await _loaded(pid, port, _singles(head), SENDERS, rate=single.per_second / 2)
        grown = _resident(pid) - before
        say(f"batches of {BATCH}")
        batches = await _loaded(pid, port, _batches(head), BATCH_SENDERS)
    say("the log's own append of the same events")
    appended, processor = await _appended(directory / "own")
    p99 = sorted(half.waits)[int(len(half.waits) * 0.99)]
    peer, log = "bare aiohttp answer", "the log's append"
    return [
        result("ingest.single_calls", single.per_second, "calls/s", peer, bare.per_second),
        result("ingest.single_processor", single.processor, "µs/call", peer, bare.processor),
        result("ingest.batched_events", batches.per_second * BATCH, "events/s", log, appended),
        result("ingest.batched_processor", batches.processor / BATCH, "µs/event", log, processor),
        result("ingest.p99_at_half", p99 * 1_000, "ms"),
        result("ingest.memory_grown", max(0.0, grown / 1e6), "MB"),
    ]


def _call(number: int) -> dict[str, object]:
    return {
        "type": "track", "event": "Product Viewed", "messageId": f"m-{number}",
        "anonymousId": f"v-{number % VISITORS}", "timestamp": "2026-03-02T09:10:00.000Z",
        "sentAt": "2026-03-02T09:10:00.500Z",
        "context": {"page": {"url": "https://negozio.example.it/p/moka"}, "locale": "it-IT"},
        "properties": {"product_id": "MOKA-3", "name": "Moka 3 tazze", "price": 47.10,
                       "currency": "EUR"},
    }  # fmt: skip


def _request(path: str, head: str, body: object) -> bytes:
    text = json.dumps(body).encode()
    start = f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Type: application/json\r\n"
    return f"{start}Content-Length: {len(text)}\r\n\r\n".encode() + text


def _singles(head: str) -> Callable[[], bytes]:
    numbers = itertools.count()
    return lambda: _request("/v1/track", head, _call(next(numbers)))


def _batches(head: str) -> Callable[[], bytes]:
    made = itertools.cycle([_batch(head, number) for number in range(20)])
    return lambda: next(made)


def _batch(head: str, number: int) -> bytes:
    calls = [_call(1_000_000 + number * BATCH + each) for each in range(BATCH)]
    return _request("/v1/batch", head, {"batch": calls})


class Load(NamedTuple):
    """What a server has done of a load."""

    per_second: float
    """Answers."""
    waits: list[float]
    """How long each took, in seconds."""
    processor: float
    """Its processor time for an answer, in µs: who shares the cores with it changes that least."""


async def _loaded(
    pid: int, port: int, make: Callable[[], bytes], senders: int, *, rate: float = 0.0
) -> Load:
    """Send to a process. With a `rate` requests are due at so many a second, and take as long as
    from then on; without one each sender sends when it is answered."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + WARM_UP
    end = begin + SECONDS
    due = (begin - WARM_UP + number / rate for number in itertools.count()) if rate else None
    waits: list[float] = []
    answered, before, used = 0, 0, 0.0

    async def note() -> None:  # a server's first second is spent on what it does once
        nonlocal before, used
        await asyncio.sleep(WARM_UP)
        before, used = answered, _processor(pid)

    async def send() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while loop.time() < end:
            started = loop.time()
            if due is not None:
                started = next(due)
                await asyncio.sleep(max(0.0, started - loop.time()))
            writer.write(make())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:16]:
                raise RuntimeError(head[:200].decode())
            await reader.readexactly(_length(head))
            answered += 1
            if begin <= started and loop.time() < end:
                waits.append(loop.time() - started)
        writer.close()

    await asyncio.gather(note(), *(send() for _ in range(senders)))
    processor = (_processor(pid) - used) / (answered - before)
    return Load(len(waits) / SECONDS, waits, processor * 1e6)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


async def _appended(directory: Path) -> tuple[float, float]:
    """Return how many of such events a second the log takes, read and written before, and the µs of
    processor for each."""
    log = EmbeddedLog(directory, SystemClock())
    await log.start()
    await log.create_topics(topics(EMBEDDED_PARTITIONS))
    records = [to_record(parse_published(json.dumps(_call(number)))) for number in range(BATCH)]
    groups: dict[int, list[OutRecord]] = {}
    for record in records:
        number = partition_of(record.key or b"", EMBEDDED_PARTITIONS)
        groups.setdefault(number, []).append(record)
    began, used = time.perf_counter(), time.process_time()
    for _ in range(BATCHES):
        await asyncio.gather(
            *(log.append(CUSTOMER_EVENTS, number, group) for number, group in groups.items())
        )
    seconds, used = time.perf_counter() - began, time.process_time() - used
    await log.stop()
    return BATCH * BATCHES / seconds, used / (BATCH * BATCHES) * 1e6


@asynccontextmanager
async def _server(command: Sequence[str], environment: dict[str, str]) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    async for line in process.stderr:
        if b"ready" in line:
            break
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


def _processor(pid: int) -> float:
    """Return the seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    """Return a process's memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
