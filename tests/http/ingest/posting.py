"""The ingest port over the embedded log, and who posts to it by a real HTTP client."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, DummyCookieJar
from prometheus_client import CollectorRegistry, generate_latest

from schemas.dead_letters import DeadLetter, read_letter
from schemas.events import Event
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.log import scan
from streams.operate.ingest_metrics import IngestMetrics
from streams.operate.instruments import Instruments
from streams.runtime.ingest_port import IngestPort
from streams.runtime.logs.embedded import EmbeddedLog
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, topics

START = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""

PUBLIC, OLD_PUBLIC, SECRET = (
    "rp_public_of_the_tests",
    "rp_before_that_one_xx",
    "rs_secret_of_the_tests",
)
ORIGIN = "https://negozio.example.it"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0 Safari/537.36"}
PROOF = "the secret of the shop's server"

KEYS = f"""
# of the tests
keys:
  - id: site
    kind: public
    source: /negozio/sito
    values: [{PUBLIC}, {OLD_PUBLIC}]
    origins: ["{ORIGIN}"]
    identity_secrets: ["file:PROOF"]
  - id: till
    kind: secret
    source: /negozio/cassa
    hashes: ["sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}"]
"""


@dataclass
class Answered:
    """What was answered."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Posting:
    """The port, and who posts there."""

    port: IngestPort
    log: EmbeddedLog
    clock: VirtualClock
    session: ClientSession
    root: str
    keys: Path
    registry: CollectorRegistry

    async def post(
        self, path: str, body: Any = None, key: str = SECRET, **options: Any
    ) -> Answered:
        """Post JSON, under a key as Basic authentication."""
        headers = dict(options.pop("headers", {}))
        if key:
            basic = base64.b64encode(f"{key}:".encode()).decode()
            headers.setdefault("Authorization", f"Basic {basic}")
        given = {"json": body} if body is not None else {}
        async with self.session.post(
            self.root + path, headers=headers, **given, **options
        ) as answer:
            return Answered(answer.status, await answer.json(), dict(answer.headers))

    async def events(self) -> list[Event]:
        """Return what is in customer-events."""
        return [parse_record(record) async for record in scan(self.log, CUSTOMER_EVENTS)]

    async def letters(self) -> list[DeadLetter]:
        """Return what is among the dead letters."""
        found = [read_letter(record) async for record in scan(self.log, DEAD_LETTERS)]
        return [each for each in found if isinstance(each, DeadLetter)]

    def metric(self, line: str) -> str:
        """Return the value of a metric with its labels; empty if there is none."""
        for each in generate_latest(self.registry).decode().splitlines():
            if each.startswith(line + " "):
                return each.removeprefix(line + " ")
        return ""


@asynccontextmanager
async def posting(directory: Path, keys: str = KEYS) -> AsyncIterator[Posting]:
    """Open the port."""
    (directory / "proof").write_text(PROOF + "\n")
    path = directory / "keys.yaml"
    path.write_text(keys.replace("file:PROOF", f"file:{directory / 'proof'}"))
    clock = VirtualClock(START)
    log = EmbeddedLog(directory / "log", clock)
    await log.start()
    await log.create_topics(topics(2))
    registry = CollectorRegistry()
    settings = Settings(ingest_keys=path, data_dir=directory)
    port = IngestPort(settings, log=log, clock=clock, metrics=IngestMetrics(Instruments(registry)))
    address = await port.start(Address("127.0.0.1", 0))
    try:
        async with ClientSession(cookie_jar=DummyCookieJar(), headers=BROWSER) as session:
            root = f"http://{address}"
            yield Posting(port, log, clock, session, root, path, registry)
    finally:
        await port.stop()
        await log.stop()
