"""The webhooks that a Shopify shop is to send: which there are, and making those that are missing.

Shopify deletes a subscription after eight failures in a row, so what `setup` makes once `check`
makes again.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.connect.connector import ShopUnavailable
from streams.connect.resources import text
from streams.connect.shop_api import ShopApi
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.topics import OF_CARTS, WANTED
from streams.operate.check import Check, CheckStatus

MOST_PAGES = 20
"""Of subscriptions, 250 each: nobody has more."""


async def subscribed(api: ShopApi, callback: str) -> set[str]:
    """Return the topics that the shop sends to our endpoint. Raises ShopUnavailable,
    ShopRefuses."""
    topics: set[str] = set()
    answer = await api.get("webhooks.json", {"limit": "250"})
    for _ in range(MOST_PAGES):
        for each in answer.rows("webhooks"):
            if text(each, "address").rstrip("/") == callback:
                topics.add(text(each, "topic"))
        link = answer.next_link()
        if not link:
            return topics
        answer = await api.get(link)
    raise ShopUnavailable(f"GET webhooks.json: more than {MOST_PAGES} pages of subscriptions")


def wanted(connection: ShopifyConnection) -> Sequence[str]:
    """Return the topics that are to be there."""
    return (*WANTED, *OF_CARTS) if connection.carts else WANTED


async def subscribe(api: ShopApi, connection: ShopifyConnection) -> list[Check]:
    """Make the subscriptions that are missing, and say of each what it is. Raises ShopUnavailable,
    ShopRefuses."""
    callback = connection.callback
    if not callback:
        return [
            Check(
                "subscriptions",
                CheckStatus.FAIL,
                "the connection doesn't say where the shop reaches us",
                f"callback: https://YOUR-HOST/connect/{connection.name} in connections.yaml",
            )
        ]
    there = await subscribed(api, callback)
    found = []
    for topic in wanted(connection):
        if topic in there:
            found.append(Check(topic, CheckStatus.OK, "subscribed"))
            continue
        body = {"webhook": {"topic": topic, "address": callback, "format": "json"}}
        await api.ask("POST", "webhooks.json", body=body)
        found.append(Check(topic, CheckStatus.OK, "subscribed, made just now"))
    return found
