"""Posts what the demo's shop sends to the worker's own ingest port, as any shop would."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import BasicAuth, ClientSession, TCPConnector
from pydantic_core import to_json

from schemas.failures import Failure
from schemas.instant import to_rfc3339
from streams.clock import Clock
from streams.http.ingest.cloud_events import BATCHED
from streams.settings.values import Address
from streams.tools import write_keys
from streams.tools.demo.calls import Posting, Sender
from streams.tools.demo.catalogue import SHOP_URL

SOURCE = f"{SHOP_URL}/"
"""Of all that the shop sends, whichever of its systems."""

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""Programs that say in their name that they are one are counted and go nowhere (`bots.py`)."""

_PATHS: Mapping[Sender, str] = {
    Sender.PAGES: "/v1/batch",
    Sender.SERVER: "/v1/batch",
    Sender.IMPORT: "/v1/import",
    Sender.PLUGIN: "/v1/events",
}

_WRONG = 400
"""What the plug-in gets for its mistakes; nobody else makes any."""


class CallsRefused(Failure):
    """The port has refused what the shop has sent; the text says what it has answered."""


class DemoKeys(NamedTuple):
    """What the shop was given to send with."""

    public: str
    secret: str


def make_keys(path: Path) -> DemoKeys:
    """Write a keys file as `ritorno ingest keys new` does. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = write_keys.add(
        path, "pages", secret=False, source=SOURCE, origins=[SHOP_URL], rate=None
    )
    server = write_keys.add(path, "server", secret=True, source=SOURCE, origins=(), rate=None)
    return DemoKeys(pages.value, server.value)


class HttpSender:
    """The shop's systems, which share a connection."""

    def __init__(
        self, session: ClientSession, address: Address, keys: DemoKeys, clock: Clock
    ) -> None:
        self._session = session
        self._keys = keys
        self._clock = clock
        self.address = address
        self.requests = 0
        self.calls: Counter[str] = Counter()
        """Sent so far by each sender, also what comes twice."""
        self.refused: Counter[str] = Counter()
        """Of these, what was refused at the door and left nothing behind, by reason."""

    def invitation(self) -> str:
        """Return how whoever watches sends something, too."""
        return (
            f"curl -u {self._keys.secret}: http://{self.address}/v1/track -d "
            """'{"userId": "anna", "event": "Product Added", "properties": {"sku": "CAF-031"}}'"""
        )

    async def send(self, posting: Posting) -> None:
        """Post it, and return when it is in the log. Raises CallsRefused."""
        self.requests += 1
        self.calls[posting.sender] += len(posting.calls)
        async with self._session.post(
            f"http://{self.address}{_PATHS[posting.sender]}",
            data=self._body(posting),
            headers=self._headers(posting.sender),
            auth=BasicAuth(self._key(posting.sender)),
        ) as response:
            answer: dict[str, Any] = await response.json()
        if posting.sender is Sender.PLUGIN:
            if response.status == _WRONG:
                self.refused[answer["reason"]] += 1
        elif response.status != 200 or len(answer) > 1:  # `success` alone: all of it is taken
            raise CallsRefused(f"{_PATHS[posting.sender]}: {response.status}, {answer}"[:500])

    def _key(self, sender: Sender) -> str:
        return self._keys.public if sender is Sender.PAGES else self._keys.secret

    def _headers(self, sender: Sender) -> Mapping[str, str]:
        match sender:
            case Sender.PAGES:  # so they ask nothing before
                return {"Content-Type": "text/plain", "Origin": SHOP_URL, "User-Agent": BROWSER}
            case Sender.PLUGIN:
                return {"Content-Type": BATCHED}
        return {"Content-Type": "application/json"}

    def _body(self, posting: Posting) -> bytes:
        if posting.sender is Sender.PLUGIN:
            return b"[" + b",".join(map(_as_bytes, posting.calls)) + b"]"
        return to_json({"batch": posting.calls, "sentAt": to_rfc3339(self._clock.now())})


def _as_bytes(call: Mapping[str, Any] | bytes) -> bytes:
    return call if isinstance(call, bytes) else to_json(call)


@asynccontextmanager
async def sending(address: Address, keys: DemoKeys, clock: Clock) -> AsyncIterator[HttpSender]:
    """Yield what sends to the port at `address`."""
    async with ClientSession(connector=TCPConnector(limit=1)) as session:
        yield HttpSender(session, address, keys, clock)
