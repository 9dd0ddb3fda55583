"""Rows of a shop's lists → what the shop tells; one that can't be read costs no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from schemas.events import Event
from schemas.products import Product
from schemas.validation import Unreadable
from streams.connect.connector import ShopNews, UnreadResource
from streams.connect.json_fields import Row, text


def told(found: Sequence[Row], tell: Callable[[Row], list[Event]], whose: str = "") -> ShopNews:
    """Return what rows tell. `tell` raises ValueError for one that can't be read; `whose`: the
    field with the id of its customer."""
    news = ShopNews()
    for row in found:
        try:
            events = tell(row)
        except ValueError as error:
            news.unread.append(unread(row, error, whose))
            continue
        news.events += events
        news.passed_over += not events
    return news


def fed(found: Sequence[Row], read: Callable[[Row], Product | None]) -> ShopNews:
    """Return the products that rows are; `read` returns None for one that is none for the feed."""
    news = ShopNews()
    for row in found:
        try:
            product = read(row)
        except ValueError as error:
            news.unread.append(unread(row, error))
            continue
        if product is None:
            news.passed_over += 1
        else:
            news.products.append(product)
    return news


def unread(row: Row, error: ValueError, whose: str = "") -> UnreadResource:
    """Return a row that can't be read, and why."""
    why = error if isinstance(error, Unreadable) else Unreadable("invalid_event", str(error))
    body = json.dumps(row, default=str).encode()
    return UnreadResource(body, why, text(row, whose).encode() or None if whose else None)
