"""Rows of a shop's lists → what the shop tells; one that can't be read costs no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.events import Event
from schemas.products import Product
from schemas.validation import Unreadable
from streams.connect.connector import ShopNews, UnreadResource
from streams.connect.json_fields import Row, text


class RowsOf(NamedTuple):
    """What the rows of a list are."""

    resource: str
    whose: Callable[[Row], bytes | None] = lambda _: None
    """Returns the key of whom a row is about that can't be read."""
    id: str = "id"
    """The field with their id."""


def told(found: Sequence[Row], tell: Callable[[Row], list[Event]], rows_of: RowsOf) -> ShopNews:
    """Return what rows tell. `tell` raises ValueError for one that can't be read."""
    news = ShopNews()
    for row in found:
        try:
            events = tell(row)
        except ValueError as error:
            news.unread.append(unread(row, error, rows_of))
            continue
        news.events += events
        news.passed_over += not events
    return news


def fed(found: Sequence[Row], read: Callable[[Row], Product | None], rows_of: RowsOf) -> ShopNews:
    """Return the products that rows are; `read` returns None for one that is none for the feed."""
    news = ShopNews()
    for row in found:
        try:
            product = read(row)
        except ValueError as error:
            news.unread.append(unread(row, error, rows_of))
            continue
        if product is None:
            news.passed_over += 1
        else:
            news.products.append(product)
    return news


def unread(row: Row, error: ValueError, rows_of: RowsOf) -> UnreadResource:
    """Return a row that can't be read, and why."""
    why = error if isinstance(error, Unreadable) else Unreadable("invalid_event", str(error))
    body = json.dumps(row, default=str, ensure_ascii=False).encode("utf-8", "replace")
    return UnreadResource(body, why, rows_of.whose(row), rows_of.resource, text(row, rows_of.id))
