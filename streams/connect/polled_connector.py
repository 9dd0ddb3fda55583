"""What polling is for every shop whose lists are read by time and id: PrestaShop, Magento."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from schemas.time_units import HOUR_MS
from streams.connect.connection import ShopConnection
from streams.connect.connector import ShopConnector, ShopNews, ShopPage
from streams.connect.json_fields import Row
from streams.connect.keyset import Keyset, Place
from streams.connect.newsletter_subscriptions import NewsletterSubscriptions
from streams.connect.walk import Walk, finished, unfinished

PRODUCTS_MS = HOUR_MS
"""Between two readings of all products: neither a sale, which changes the stock, nor a special
price changes when a product was changed."""


class RowsPage(NamedTuple):
    """One answer with a shop's rows."""

    rows: Sequence[Row]
    places: Sequence[Place]
    """Of each row."""
    has_more: bool
    """Whether there may be rows behind it."""
    total: int | None = None
    """Of all rows that were asked for, where the shop says so."""


class ShopReading(Protocol):
    """Understands the rows of one shop."""

    async def news(
        self,
        resource: str,
        found: Sequence[Row],
        *,
        now: int,
        history: bool = False,
        subscribed: Mapping[int, bool] | None = None,
    ) -> ShopNews:
        """Return what the rows of a resource tell. Raises ShopUnavailable."""

    def subscriptions(self, found: Sequence[Row]) -> Mapping[int, bool]:
        """Return what customers' rows say of their subscriptions."""


class PolledConnector(ShopConnector):
    """Reads pages by time or by id, remembers who was subscribed, and reads products whole."""

    def __init__(self, connection: ShopConnection) -> None:
        super().__init__(connection)
        self._subscriptions = NewsletterSubscriptions()

    def keep_in(self, directory: Path) -> None:
        """Remember in a directory what a poll has to know of those before it."""
        self._subscriptions.close()
        self._subscriptions = NewsletterSubscriptions.of_shop(directory, self.connection.name)

    async def close(self) -> None:
        """Let go of what is remembered."""
        self._subscriptions.close()

    async def _changes(
        self,
        resource: str,
        walk: Walk,
        read: Callable[[Keyset], Awaitable[RowsPage]],
        reading: ShopReading,
        *,
        now: int,
    ) -> AsyncIterator[ShopPage]:
        """Yield what a walk finds; `now` is what `reading` takes for it. Raises ShopUnavailable,
        ShopRefuses."""
        while True:
            page = await read(walk.keyset)
            unread = walk.keyset.unread(page.places)
            rows = [page.rows[each] for each in unread]
            before = self._subscribed(resource, (page.places[each].id for each in unread))
            news = await reading.news(resource, rows, now=now, subscribed=before)
            following = walk.keyset.after(page.places, more=page.has_more)
            if following is None:
                yield ShopPage(news, finished(walk), len(rows))
            else:
                walk = walk._replace(keyset=following)
                yield ShopPage(news, unfinished(walk), len(rows))
            self._note(resource, reading.subscriptions(rows))  # what was told of it is durable
            if following is None:
                return

    async def _all_by_id(
        self,
        resource: str,
        cursor: str,
        read: Callable[[int], Awaitable[RowsPage]],
        reading: ShopReading,
        *,
        now: int,
    ) -> AsyncIterator[ShopPage]:
        """Yield all rows as history; `read` gives those with ids above one. Raises ShopUnavailable,
        ShopRefuses."""
        last, total = id_in(cursor), None
        while True:
            page = await read(last)
            if last == 0:
                total = page.total
            news = await reading.news(resource, page.rows, now=now, history=True)
            # Noted before it is durable: read again, the same is told again.
            self._note(resource, reading.subscriptions(page.rows))
            last = max([last, *(each.id for each in page.places)])
            yield ShopPage(news, str(last), len(page.rows), total)
            if not page.has_more or not page.rows:
                return

    def _subscribed(self, resource: str, ids: Iterable[int]) -> Mapping[int, bool]:
        """Return what was known of these rows' subscriptions, where they are customers."""
        return self._subscriptions.of(ids) if resource == "customers" else {}

    def _note(self, resource: str, said: Mapping[int, bool]) -> None:
        """Keep what customers' rows say of them, once what was told of it is durable."""
        if resource == "customers":
            self._subscriptions.note(said)

    async def _all_products(self, cursor: str, now: int) -> AsyncIterator[ShopPage]:
        """Yield all products, by id, when that is due; `now`: ms."""
        began, _, last = cursor.partition(":")
        if last == "end" and now - id_in(began) < PRODUCTS_MS:
            return
        if last in ("", "end"):
            began, last = str(now), "0"
        async for page in self.history("products", last):
            yield page._replace(cursor=f"{began}:{page.cursor}")
        yield ShopPage(ShopNews(), f"{began}:end", 0)


def id_in(cursor: str) -> int:
    """Return the number that a cursor is, 0 for any other text."""
    return int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 else 0
