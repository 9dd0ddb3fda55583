"""What becomes of a webhook whose signature is right, whichever shop has sent it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from schemas.instant import to_rfc3339
from schemas.validation import Unreadable
from streams.connect.connector import (
    SELF_TEST,
    DeliveryAnswer,
    ShopDelivery,
    ShopNews,
    UnreadResource,
)
from streams.connect.resources import Resource, text
from streams.connect.shop_api import parse_json

LONGEST_TEST = 100
"""Characters of a self-test that are repeated."""

Whose = Callable[[Resource], bytes | None]
"""Returns the key of whom a body is about that can't be read."""

Read = Callable[[Resource], Awaitable[ShopNews | None]]
"""Returns what a body tells, None where it is nothing of ours. Raises Unreadable."""


async def answer_of(delivery: ShopDelivery, topic: str, read: Read, whose: Whose) -> DeliveryAnswer:
    """Read the body of a signed webhook and return what is answered. Raises what `read` does, but
    for Unreadable: that is a dead letter."""
    body: Resource = {}
    try:
        body = read_body(delivery.body)
        if SELF_TEST in body:
            said = str(body[SELF_TEST])[:LONGEST_TEST]
            received = to_rfc3339(delivery.received)
            return DeliveryAnswer("tested", body={SELF_TEST: said, "received": received})
        news = await read(body)
    except Unreadable as error:
        unread = [UnreadResource(delivery.body, error, whose(body), id=text(body, "id"))]
        return DeliveryAnswer("unreadable", ShopNews(unread=unread), topic)
    if news is None:
        return DeliveryAnswer("ignored", topic=topic)
    is_empty = not (news.events or news.products or news.gone)
    return DeliveryAnswer("passed_over" if is_empty else "taken", news, topic)


def read_body(content: bytes) -> Resource:
    """Return the object that a webhook's body is. Raises Unreadable."""
    try:
        body = parse_json(content)
    except ValueError as error:
        raise Unreadable("invalid_json", f"body: {error}"[:300]) from None
    if not isinstance(body, dict):
        raise Unreadable("invalid_event", f"body: not an object but {type(body).__name__}")
    return body
