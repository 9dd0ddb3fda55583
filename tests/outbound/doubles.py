"""An endpoint on a real socket, and signals in an embedded log."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from schemas.records import OutRecord
from schemas.topics import CUSTOMER_SIGNALS
from streams.clock import Clock, VirtualClock
from streams.log import Log
from streams.outbound.counts import DeliveryResult, OutboundCounts
from streams.outbound.runtime import Outbound, OutboundFiles
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import topics
from tests.keys import SIGNER

START = 1_772_357_400_000
LIMIT = 20
PARTITIONS = 2


@dataclass
class Receiver:
    """A web server that answers by its plan, 200 when there is none."""

    answers: list[Any] = field(default_factory=list)
    """Statuses for the next requests; `hang` never answers."""
    always: int = 200
    """For those that are not planned."""
    got: list[dict[str, Any]] = field(default_factory=list)
    """Bodies that were taken with a 2xx."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies, whatever was answered."""
    headers: list[Any] = field(default_factory=list)
    retry_after: str = ""
    url: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.read()
        answer = self.answers.pop(0) if self.answers else self.always
        self.headers.append((dict(incoming.headers), body))
        self.asked.append(json.loads(body))
        if answer == 200:
            self.got.append(json.loads(body))
        async with self.changed:
            self.changed.notify_all()
        if answer == "hang":
            await asyncio.get_running_loop().create_future()
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=int(answer), headers=headers)

    async def until(self, count: int, *, asked: bool = False) -> None:
        """Wait until so many were taken, or only asked about."""
        async with asyncio.timeout(LIMIT), self.changed:
            await self.changed.wait_for(lambda: len(self.asked if asked else self.got) >= count)

    def ids(self) -> list[str]:
        return [each["data"]["id"] for each in self.got]


@asynccontextmanager
async def receiver(*answers: Any, port: int = 0) -> AsyncIterator[Receiver]:
    here = Receiver(list(answers))
    app = web.Application()
    app.router.add_post("/{path:.*}", here.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    here.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"  # type: ignore[union-attr]  # it listens
    try:
        yield here
    finally:
        await runner.cleanup()


def is_signed(headers: Any, body: bytes, secret: str) -> bool:
    """As the libraries of Standard Webhooks verify."""
    signed = b".".join(
        (headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body)
    )
    wanted = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split(" ")


def signal(id_: str, customer: str = "anna", kind: str = "segment.changed", **more: Any) -> Any:
    data = {"segment": "vip", "change": "entered"} if kind == "segment.changed" else {}
    value = {"signal": kind, "id": id_, "time": "2026-03-01T09:30:00Z", "customer": customer}
    return OutRecord(customer.encode(), json.dumps({**value, **data, **more}).encode())


async def tell(log: Log, records: Iterable[OutRecord]) -> None:
    for record in records:
        await log.append(CUSTOMER_SIGNALS, partition_of(record.key or b"", PARTITIONS), [record])


def webhook(name: str, url: str, **more: Any) -> dict[str, Any]:
    found = {"name": name, "url": url, "types": ["*"], "private": True,
             "secrets": ["env:SHOP_SECRET"]}  # fmt: skip
    return {**found, **more}


def write(path: Path, *webhooks: dict[str, Any]) -> None:
    path.write_text(json.dumps({"webhooks": webhooks}))  # JSON is YAML


class Noted(OutboundCounts):
    """Counts for which one can wait."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def note(self, outlet: str, result: DeliveryResult, times: int = 1) -> None:
        super().note(outlet, result, times)
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, outlet: str, result: DeliveryResult, count: int) -> None:
        async with asyncio.timeout(LIMIT):
            while self.results[outlet, result] < count:
                await self._changed.wait()


@dataclass
class Shop:
    """An embedded log, and what is outbound of it."""

    log: EmbeddedLog
    clock: VirtualClock
    path: Path
    crm: Path = Path("crm.yaml")
    addresses: dict[str, str] = field(default_factory=dict)
    """Of the customers that there are."""
    counts: Noted = field(default_factory=Noted)
    outbound: Outbound | None = None
    owned: set[int] = field(default_factory=lambda: set(range(PARTITIONS)))

    def start(self, clock: Clock | None = None) -> None:
        self.outbound = Outbound(
            log=self.log, group="ritorno", files=OutboundFiles(self.path, self.crm),
            data_dir=self.path.parent, signer=SIGNER, clock=clock or self.clock,
            owned=lambda: self.owned, counts=self.counts, address_of=self.address_of,
            pause=lambda _: asyncio.sleep(0.02),
        )  # fmt: skip
        self.outbound.start()

    async def address_of(self, customer: str) -> str:
        return self.addresses.get(customer, "")

    async def stop(self) -> None:
        if self.outbound is not None:
            await self.outbound.stop()

    async def begun(
        self, *names: str, topic: str = CUSTOMER_SIGNALS, kind: str = "webhook"
    ) -> None:
        """Wait until webhooks follow: what comes from then on is theirs."""
        async with asyncio.timeout(LIMIT):
            while True:
                version = self.log.version
                positions = [await self.log.committed(f"ritorno-{kind}-{name}") for name in names]
                if all((topic, n) in each for each in positions for n in range(PARTITIONS)):
                    return
                await asyncio.wait([asyncio.ensure_future(self.log.wait_beyond(version))],
                                   timeout=0.05)  # fmt: skip  # a commit is no news of the log

    def pass_time(self, milliseconds: int) -> None:
        self.clock.advance(self.clock.now() + milliseconds)


@asynccontextmanager
async def shop(directory: Path) -> AsyncIterator[Shop]:
    clock = VirtualClock(START)
    log = EmbeddedLog(directory / "log", clock)
    await log.start()
    await log.create_topics(topics(PARTITIONS))
    here = Shop(log, clock, directory / "webhooks.yaml", directory / "crm.yaml")
    try:
        yield here
    finally:
        await here.stop()
        await log.stop()
