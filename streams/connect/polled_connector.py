"""What polling is for every shop whose lists are read by time and id: PrestaShop, Magento."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.time_units import HOUR_MS
from streams.connect.connector import ShopConnector, ShopNews, ShopPage, ShopUnavailable
from streams.connect.json_fields import Row, text, whole
from streams.connect.keyset import Keyset, Place
from streams.connect.shop_memory import ShopNotes
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


class Before(NamedTuple):
    """What was known of rows before they were read."""

    subscribed: Mapping[int, bool]
    """By customer."""
    waiting: Collection[int]
    """Orders that waited to be paid for."""


UNKNOWN = Before({}, ())


class ShopReading(Protocol):
    """Understands the rows of one shop."""

    async def news(
        self,
        resource: str,
        found: Sequence[Row],
        *,
        now: int,
        history: bool = False,
        before: Before = UNKNOWN,
    ) -> ShopNews:
        """Return what the rows of a resource tell. Raises ShopUnavailable."""

    def notes(self, resource: str, found: Sequence[Row]) -> ShopNotes:
        """Return what a later look has to know of rows that were understood."""


class PolledConnector(ShopConnector):
    """Reads pages by time or by id, knows what was so before, and reads products whole."""

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
            before = self._before(resource, [page.places[each].id for each in unread])
            news = await reading.news(resource, rows, now=now, before=before)
            news.notes = reading.notes(resource, _understood(rows, news))
            following = walk.keyset.after(page.places, more=page.has_more)
            if following == walk.keyset:
                raise _read_again(resource)
            if following is None:
                yield ShopPage(news, finished(walk), len(rows))
            else:
                walk = walk._replace(keyset=following)
                yield ShopPage(news, unfinished(walk), len(rows))
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
            highest = max((each.id for each in page.places), default=0)
            if page.has_more and page.rows and highest <= last:
                raise _read_again(resource)
            news = await reading.news(resource, page.rows, now=now, history=True)
            # A change that a poll has not seen yet is told by the poll.
            notes = reading.notes(resource, _understood(page.rows, news))
            news.notes = ShopNotes(seen=notes.subscribed)
            last = max(last, highest)
            yield ShopPage(news, str(last), len(page.rows), total)
            if not page.has_more or not page.rows:
                return

    def _before(self, resource: str, ids: Collection[int]) -> Before:
        """Return what is known of these rows. Raises Failure."""
        match resource:
            case "customers":
                return Before(self.memory.subscribed(ids), ())
            case "orders":
                return Before({}, self.memory.waiting(ids))
            case _:
                return UNKNOWN

    async def _again(
        self, resource: str, row: Row, reading: ShopReading, *, now: int, history: bool
    ) -> ShopNews:
        """Return what a row tells that could not be read when it came; `now` is what `reading`
        takes for that. Raises ShopUnavailable."""
        id_ = whole(row, "id") or whole(row, "entity_id")
        before = UNKNOWN if history else self._before(resource, [id_])
        news = await reading.news(resource, [row], now=now, history=history, before=before)
        notes = reading.notes(resource, _understood([row], news))
        news.notes = ShopNotes(seen=notes.subscribed) if history else notes
        return news

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


def _understood(rows: Sequence[Row], news: ShopNews) -> list[Row]:
    """Return the rows that are not among those that could not be read."""
    unread = {each.id for each in news.unread}
    if not unread:
        return list(rows)
    return [row for row in rows if (text(row, "id") or text(row, "entity_id")) not in unread]


def id_in(cursor: str) -> int:
    """Return the number that a cursor is, 0 for any other text."""
    return int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 else 0


def _read_again(resource: str) -> ShopUnavailable:
    """Return what is to be raised where reading on leads nowhere, as behind a cache that looks at
    no parameters."""
    return ShopUnavailable(f"GET {resource}: the next page is one that was read")
