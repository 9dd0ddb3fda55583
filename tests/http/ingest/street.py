"""A shop's pages and the ingest that hears of them, each at an origin of its own, as in the world.

The ingest is the real one, on an embedded log; the pages are those of `shop/`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from schemas.events import Event
from schemas.records import OutRecord
from schemas.wire import parse_record
from streams.clock import SystemClock
from streams.log import LogUnavailable
from streams.operate.ingest_metrics import IngestMetrics
from streams.operate.instruments import Instruments
from streams.runtime.ingest_port import IngestPort
from streams.runtime.logs.embedded import EmbeddedLog
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, topics
from tests.mail.chromium import Page
from tests.node import PACKAGES

PAGES = Path(__file__).parent / "shop"
PUBLIC_KEY, SECRET_KEY = "rp_bottega-del-colle", "rs_bottega-del-colle"
IDENTITY_SECRET = "the shop's server knows it, and no page"

SECONDS = 20
"""For what a browser does to arrive in the log."""

STUB = "<script>ritorno=(...said)=>ritorno.q.push(said);ritorno.q=[]</script>"
"""For pages that speak before the script is there."""

_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)

ITALIAN = (
    f"--user-agent={_AGENT}",
    "--accept-lang=it-IT",
    "--disable-features=BackForwardCache",
)
"""Flags of a browser like any other: one without a window says so, and is taken for a bot. A page
that is left is gone: where it is kept for the way back, its requests go on."""


class StreetLog(EmbeddedLog):
    """A log that can't be reached while the test says so."""

    is_down = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, SystemClock())
        self.asked_in_vain = asyncio.Event()

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        if self.is_down:
            self.asked_in_vain.set()
            raise LogUnavailable("it is down")
        return await super().append(topic, partition, records)


class Street:
    """What a test sees of both."""

    def __init__(self, log: StreetLog) -> None:
        self.shop = self.ingest = ""
        """Their origins."""
        self.attributes = ""
        """Of the script's tag, besides the key."""
        self.head = STUB
        """Of each page, before the tag."""
        self.log = log

    async def heard(self, count: int) -> list[Event]:
        """Return the first `count` events, when they have come: one that comes again is one."""
        return (await self._until(count))[:count]

    async def heard_of(self, type_: str) -> Event:
        """Return the event of a type, when it has come."""
        count = 1
        while True:
            events = await self._until(count)
            found = [each for each in events if each.type == type_]
            if found:
                return found[0]
            count = len(events) + 1

    async def so_far(self) -> list[Event]:
        """Return what has come, each once."""
        found: dict[str, Event] = {}
        end = self.log.end(CUSTOMER_EVENTS, 0)
        async for chunk in self.log.read(CUSTOMER_EVENTS, 0, 0, end):
            for event in map(parse_record, chunk):
                found.setdefault(event.id, event)
        return list(found.values())

    async def dead_letters(self) -> int:
        """Return how many there are."""
        return (await self.log.offsets(DEAD_LETTERS))[0].end

    async def refused(self) -> None:
        """Wait until the ingest has been asked in vain."""
        async with asyncio.timeout(SECONDS):
            await self.log.asked_in_vain.wait()
        self.log.asked_in_vain.clear()

    async def _until(self, count: int) -> list[Event]:
        found: list[Event] = []
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    version = self.log.version
                    found = await self.so_far()
                    if len(found) >= count:
                        return found
                    await self.log.wait_beyond(version)
        except TimeoutError:
            heard = [(each.type, each.data) for each in found]
            raise AssertionError(f"{count} events have not come, but {heard}") from None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer for the shop."""
        path = request.match_info["path"]
        if path.startswith("analytics-next/"):
            return web.FileResponse(PACKAGES / "@segment" / "analytics-next" / "dist" / "umd"
                                    / Path(path).name)  # fmt: skip
        file = PAGES / (path if "." in path else "vetrina.html")
        text = file.read_text(encoding="utf-8").replace("<!-- ritorno -->", self.tag())
        return web.Response(text=text, content_type=f"text/{file.suffix[1:]}")

    def tag(self) -> str:
        """Return what a page has of us."""
        source = f'src="{self.ingest}/ritorno.js" data-key="{PUBLIC_KEY}"'
        return f"{self.head}<script async {source} {self.attributes}></script>"


@asynccontextmanager
async def street(directory: Path) -> AsyncIterator[Street]:
    """Open the shop, and the ingest."""
    log = StreetLog(directory / "log")
    await log.start()
    found = Street(log)
    application = web.Application()
    application.router.add_get("/{path:.+}", found.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    shop = web.TCPSite(runner, "127.0.0.1", 0)
    await shop.start()
    found.shop = f"http://127.0.0.1:{runner.addresses[0][1]}"
    keys = directory / "keys.yaml"
    write_keys(keys, found.shop)
    settings = Settings(data_dir=directory, ingest_keys=keys)
    metrics = IngestMetrics(Instruments(CollectorRegistry()))
    port = IngestPort(settings, log=log, clock=SystemClock(), metrics=metrics)
    await log.create_topics(topics(1))
    address = await port.start(Address("127.0.0.1", 0))
    found.ingest = f"http://127.0.0.1:{address.port}"
    try:
        yield found
    finally:
        await port.stop()
        await runner.cleanup()
        await log.stop()


def write_keys(file: Path, shop: str) -> None:
    """Write the keys of a page and of the shop's server."""
    secret = file.parent / "identity-secret"
    secret.write_text(IDENTITY_SECRET, encoding="utf-8")
    file.write_text(
        f"""
keys:
  - id: site
    kind: public
    source: /bottega/site
    values: [{PUBLIC_KEY}]
    origins: ["{shop}"]
    address_rate: 1000
    identity_secrets: ["file:{secret}"]
  - id: server
    kind: secret
    source: /bottega/server
    hashes: ["sha256:{hashlib.sha256(SECRET_KEY.encode()).hexdigest()}"]
""",
        encoding="utf-8",
    )


@asynccontextmanager
async def visitor(page: Page) -> AsyncIterator[Page]:
    """Give a tab of a new visitor, in Italy."""
    tab = await page.stranger()
    await tab.command("Emulation.setTimezoneOverride", timezoneId="Europe/Rome")
    try:
        yield tab
    finally:
        await tab.close()
