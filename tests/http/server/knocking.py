"""A server on a real port, and clients that say exactly what a test wants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from streams.http.server.counts import DoorCounts, Refusal
from streams.http.server.forms import read_form_fields
from streams.http.server.http_server import EVENT_STREAM, DoorLimits, HttpServer
from streams.http.server.proxies import NamedProxies
from streams.settings.values import Address

LIMITS = DoorLimits(connections=50, body_bytes=10_000)
PATIENCE = 10.0
"""Seconds until a test gives up; nothing of it is waited for otherwise."""


class NotedCounter(Counter[Any]):
    """A counter that others can wait for."""

    def __init__(self, counts: Counter[Any]) -> None:
        super().__init__()
        self.changed = asyncio.Event()
        self.update(counts)

    def __setitem__(self, key: Any, value: int) -> None:
        super().__setitem__(key, value)
        self.changed.set()

    async def reaches(self, key: Any, times: int) -> None:
        """Return when it has been counted so often."""
        async with asyncio.timeout(PATIENCE):
            while self[key] < times:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Knocking:
    """The server, what it has refused, and what its handlers have lived through."""

    server: HttpServer
    counts: DoorCounts
    address: Address
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: int = 0

    async def is_refused(self, why: Refusal, times: int = 1) -> None:
        """Return when something was refused so often."""
        assert isinstance(self.counts.refused, NotedCounter)
        await self.counts.refused.reaches(("public", why), times)

    async def hangs(self, requests: int) -> None:
        """Return when so many requests are being answered that don't end."""
        async with asyncio.timeout(PATIENCE):
            while self.hanging < requests:
                self.asked.clear()
                await self.asked.wait()

    def refused(self, why: Refusal) -> int:
        """Return how often something was refused for a reason."""
        return self.counts.refused["public", why]

    async def connect(self) -> Client:
        """Return a client that has said nothing yet."""
        return Client(*await asyncio.open_connection(*self.address))

    async def ask(self, request: bytes) -> bytes:
        """Send some bytes, and return all that is answered until the connection ends."""
        client = await self.connect()
        await client.say(request)
        answer = await client.everything()
        client.close()
        return answer

    async def gets(self, path: str = "/", headers: str = "") -> bytes:
        """Ask properly, and return the answer."""
        return await self.ask(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode()
        )


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send, as far as it is taken."""
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def everything(self) -> bytes:
        """Return all that comes until the other end hangs up."""
        answer = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while more := await self.reader.read(65_536):
                    answer += more
        return answer

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


@asynccontextmanager
async def knocking(
    limits: DoorLimits = LIMITS, proxies: NamedProxies | None = None
) -> AsyncIterator[Knocking]:
    """Open a door with a page, a form, a handler that hangs, a large answer and a stream."""
    counts = DoorCounts()
    counts.refused = NotedCounter(counts.refused)
    server = HttpServer("public", limits=limits, counts=counts, proxies=proxies)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="here you are")

    async def form(request: web.Request) -> web.Response:
        return web.json_response(await read_form_fields(request))

    async def hangs(_request: web.Request) -> web.Response:
        here.hanging += 1
        here.asked.set()
        try:
            await here.go_on.wait()
        except asyncio.CancelledError:
            here.cancelled.set()
            raise
        return web.Response(text="at last")

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=bytes(64 << 20))

    async def defect(_request: web.Request) -> web.Response:
        raise RuntimeError("a defect of ours")

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": EVENT_STREAM})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        here.asked.set()
        if request.query.get("much"):
            while True:
                await answer.write(bytes(1 << 20))
        await here.go_on.wait()
        await answer.write(b"data: 2\n\n")
        return answer

    server.router.add_get("/", page)
    server.router.add_post("/", form)
    server.router.add_get("/hangs", hangs)
    server.router.add_get("/large", large)
    server.router.add_get("/defect", defect)
    server.router.add_get("/stream", stream)
    here = Knocking(server, counts, await server.start(Address("127.0.0.1", 0)))
    try:
        yield here
    finally:
        await server.stop()
        await server.stop()
