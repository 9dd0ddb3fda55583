"""What polling is for every shop whose lists are read by time and id: PrestaShop, Magento."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

from schemas.time_units import HOUR_MS
from streams.connect.connection import ShopConnection
from streams.connect.connector import ShopConnector, ShopNews, ShopPage
from streams.connect.newsletter_subscriptions import NewsletterSubscriptions

PRODUCTS_MS = HOUR_MS
"""Between two readings of all products: neither a sale, which changes the stock, nor a special
price changes when a product was changed."""


class PolledConnector(ShopConnector):
    """Remembers who was subscribed, and reads products whole."""

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
