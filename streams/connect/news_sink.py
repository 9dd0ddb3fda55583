"""Where what shops tell goes: events and dead letters through an intake, products into the feed.

Both are durable when `take` returns, and only then is the shop told that we have it. Products of
many webhooks are published together: a change of prices is a webhook for each product, and what is
published is a record in every partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

from schemas.dead_letters import ShopResource, refuse_resource
from schemas.events import Event
from schemas.products import Product
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.connect.connector import NewsOrigin, ShopNews, UnreadResource
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.runtime import product_feed
from streams.topology import CUSTOMER_EVENTS

MOST_PRODUCTS = 20_000
"""That wait to be published; who brings more is to come again later."""

KEPT_OF_UNREAD = 1_048_576
"""Bytes of a resource that is kept as a dead letter: all of what a webhook may have."""

_log = get_logger(__name__)


class EventIntake(Protocol):
    """Appends what many bring together."""

    async def take(
        self,
        events: Sequence[Event],
        *,
        letters: Sequence[OutRecord] = (),
        refused_at: int | None = None,
    ) -> None:
        """Return once all are durable; an event that is too large becomes a dead letter of
        `refused_at` (ms). Raises LogError."""


class NewsSink:
    """Takes what shops tell."""

    def __init__(
        self,
        log: Log,
        intake: EventIntake,
        *,
        clock: Clock,
        signer: Callable[[], RecordSigner],
    ) -> None:
        """`signer` is asked for at the first product: the feed is Ritorno's own to tell."""
        self._log = log
        self._intake = intake
        self._clock = clock
        self._signer = signer
        self._known: product_feed.ReadProducts | None = None
        self._waiting: dict[str, Product] = {}
        self._whole: dict[str, None] = {}
        """Ids of products of which what is told now is all."""
        self._publishing: asyncio.Task[None] | None = None
        self._told: asyncio.Future[None] | None = None
        """For those whose products wait."""

    async def take(self, news: ShopNews, origin: NewsOrigin) -> None:
        """Return once all of it is durable; what can't be read, and an event that is larger than
        one may be, as a dead letter, so that it costs no other. Raises LogError."""
        letters = [self._letter(each, origin) for each in news.unread]
        if news.events or letters:
            now = self._clock.now()
            await self._intake.take(news.events, letters=letters, refused_at=now)
        if news.products or news.gone:
            await self._publish(news)

    def _letter(self, unread: UnreadResource, origin: NewsOrigin) -> OutRecord:
        detail, size = unread.why.detail, len(unread.body)
        if size > KEPT_OF_UNREAD:
            detail = f"{detail} (the beginning of {size} bytes)"
        came = ShopResource(
            origin.connection,
            origin.source,
            unread.resource,
            origin.topic,
            origin.history,
            unread.id,
        )
        return refuse_resource(
            unread.body[:KEPT_OF_UNREAD],
            came,
            topic=CUSTOMER_EVENTS,
            reason=unread.why.reason,
            detail=detail,
            time=self._clock.now(),
            key=unread.key,
        )

    async def stop(self) -> None:
        """Return when no product waits any more."""
        while self._publishing is not None:
            await asyncio.wait([self._publishing])

    async def _publish(self, news: ShopNews) -> None:
        more = len(news.products) + len(news.gone)
        if self._waiting and len(self._waiting) + more > MOST_PRODUCTS:
            raise LogError(f"{len(self._waiting)} products wait to be published already.")
        for id_ in (*news.gone, *news.complete):
            self._whole[id_] = None
            for sku in [sku for sku, each in self._waiting.items() if each.id == id_]:
                del self._waiting[sku]  # what was told of it before is over
        self._waiting.update((each.sku, each) for each in news.products)
        if self._told is None:
            self._told = asyncio.get_running_loop().create_future()
        told = self._told
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publish_all(), name="products")
        await asyncio.shield(told)  # whoever asked may go away, and the others wait on

    async def _publish_all(self) -> None:
        try:
            while self._told is not None:
                told, self._told = self._told, None
                waiting, self._waiting = self._waiting, {}
                whole, self._whole = self._whole, {}
                try:
                    await self._publish_together(waiting, whole)
                except LogError as error:
                    _tell(told, error)
                except Exception as error:
                    _log.exception("products could not be published", error=repr(error))
                    _tell(told, LogError(f"Products can't be published: {type(error).__name__}"))
                else:
                    told.set_result(None)
        finally:
            self._publishing = None

    async def _publish_together(
        self, waiting: Mapping[str, Product], whole: Container[str]
    ) -> None:
        """Publish products, and that those are gone which `whole` ids have had besides."""
        before, self._known = self._known, None  # should it fail, all is read again
        read = await product_feed.read_on(self._log, before)  # feeds publish as well
        known = read.products
        gone = (
            each.model_copy(update={"availability": "out_of_stock"})
            for sku, each in known.items()
            if each.id in whole and sku not in waiting and each.availability != "out_of_stock"
        )
        await product_feed.publish(self._log, [*gone, *waiting.values()], self._signer(), known)
        self._known = read


def _tell(told: asyncio.Future[None], error: LogError) -> None:
    told.set_exception(error)
    told.exception()  # perhaps nobody waits any more
