"""`POST /connect/NAME`: the webhooks of shops, on the ingest port. `GET` answers who asks whether
it is ours (`ShopConnector.challenge`).

Read the body as it came, have the shop's connector look at it, append, then answer. 200 means that
it is durable in the log, or that there is nothing in it for us. 401: no or a wrong signature, which
leaves nothing behind but a count, since anybody may post here. 503: the log or the shop doesn't
answer, and the shop is to send it again. What is signed and can't be understood becomes a dead
letter and is answered by 200: sent again it would be no better, and shops give up on an endpoint
that fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from aiohttp import web

from streams.clock import Clock
from streams.connect.connector import (
    DeliveryAnswer,
    DeliveryOutcome,
    NewsOrigin,
    ShopConnector,
    ShopDelivery,
    ShopNews,
    ShopUnavailable,
)
from streams.connect.counts import ShopCounts
from streams.connect.deliveries import LastDeliveries
from streams.connect.facts import with_old_as_history
from streams.connect.news_sink import NewsSink
from streams.http.server.forms import content_encoding
from streams.log import LogError

MOST_BYTES = 1_048_576
"""Of a webhook; an order of 2,000 lines has some 800 kB."""
ASKING_AT_ONCE = 8
"""Webhooks of one shop for which the shop itself is asked; others wait, within the request's time.
"""
RETRY_SECONDS = 30

_STATUS: Mapping[DeliveryOutcome, int] = {"unsigned": 401, "later": 503}


class ShopReceivers:
    """The endpoints of all connections that send webhooks."""

    def __init__(
        self,
        connectors: Iterable[ShopConnector],
        sink: NewsSink,
        *,
        clock: Clock,
        counts: ShopCounts,
        last: LastDeliveries | None = None,
        began: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """`began`: since when a connection has been polled (ms), as far as that is known here;
        what happened before is history."""
        self._connectors = {each.connection.name: each for each in connectors if each.has_receiver}
        self._asking = {name: asyncio.Semaphore(ASKING_AT_ONCE) for name in self._connectors}
        self._sink = sink
        self._clock = clock
        self._counts = counts
        self._last = last
        self._began = began

    def mount(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_post("/connect/{name}", self._handle)
        router.add_get("/connect/{name}", self._challenge)

    async def _handle(self, request: web.Request) -> web.Response:
        connector = self._connectors.get(request.match_info["name"])
        if connector is None:
            return web.json_response({"error": "no such connection"}, status=404)
        if content_encoding(request) != "identity":
            return web.json_response({"error": "compressed bodies are not taken"}, status=415)
        if (request.content_length or 0) > MOST_BYTES:
            return web.json_response({"error": f"at most {MOST_BYTES} bytes"}, status=413)
        body = await request.read()
        if len(body) > MOST_BYTES:
            return web.json_response({"error": f"at most {MOST_BYTES} bytes"}, status=413)
        delivery = ShopDelivery(request.headers, body, self._clock.now())
        answer = await self.receive(connector, delivery)
        self._counts.deliveries[connector.connection.name, answer.outcome] += 1
        status = _STATUS.get(answer.outcome, 200)
        headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None
        return web.json_response(
            {"outcome": answer.outcome, **answer.body}, status=status, headers=headers
        )

    async def _challenge(self, request: web.Request) -> web.Response:
        connector = self._connectors.get(request.match_info["name"])
        said = None if connector is None else connector.challenge(request.query)
        if said is None:
            return web.json_response({"error": "webhooks are posted here"}, status=404)
        return web.Response(text=said)  # never a page: its type is text/plain

    async def receive(self, connector: ShopConnector, delivery: ShopDelivery) -> DeliveryAnswer:
        """Read a webhook and append what it tells."""
        name = connector.connection.name
        try:
            async with self._asking[name]:
                answer = await connector.receive(delivery)
            if answer.news is not None:
                self._tell_history(answer.news, connector, delivery.received)
                await self._sink.take(answer.news, NewsOrigin(name, connector.source, answer.topic))
        except (ShopUnavailable, LogError):
            return DeliveryAnswer("later")
        is_the_shops = answer.verified and answer.outcome not in ("unsigned", "tested")
        if self._last is not None and is_the_shops:
            await self._last.note(name, answer.topic, delivery.received)
        if answer.outcome == "tested" and self._last is not None:
            last = await asyncio.to_thread(self._last.of, name)
            return answer._replace(body={**answer.body, "last": last})
        return answer

    def _tell_history(self, news: ShopNews, connector: ShopConnector, now: int) -> None:
        since = connector.connection.live_since
        began = self._began(connector.connection.name) if since is None else since
        news.events = with_old_as_history(news.events, now=now, began=began, became=news.became)
