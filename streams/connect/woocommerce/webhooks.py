"""The webhooks that a WooCommerce shop is to send: making those that are missing, and switching on
again what the shop has switched off after five failures in a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.time_units import MINUTE_MS
from streams.connect.connector import ShopUnavailable
from streams.connect.resources import Resource, id_of, text
from streams.connect.shop_api import ShopApi
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.operate.check import Check, CheckStatus

WANTED: Final = (
    "order.created",
    "order.updated",
    "order.restored",
    "customer.created",
    "customer.updated",
    "product.created",
    "product.updated",
    "product.deleted",
    "product.restored",
)
MOST_PAGES = 20
"""Of webhooks, 100 each."""
MOST_SKEW_MS = MINUTE_MS


async def there(api: ShopApi, callback: str) -> Mapping[str, Resource]:
    """Return the webhooks that go to our endpoint, by topic; one that is on before one that is off.
    Raises ShopUnavailable, ShopRefuses."""
    found: dict[str, Resource] = {}
    for page in range(1, MOST_PAGES + 1):
        answer = await api.get("webhooks", {"per_page": "100", "page": str(page)})
        for each in answer.rows():
            topic = text(each, "topic")
            ours = text(each, "delivery_url").rstrip("/") == callback
            if ours and (topic not in found or text(each, "status") == "active"):
                found[topic] = each
        if page >= (answer.number("X-WP-TotalPages") or 0):
            return found
    raise ShopUnavailable(f"GET webhooks: more than {MOST_PAGES} pages of webhooks")


async def subscribe(api: ShopApi, connection: WooCommerceConnection, secret: str) -> list[Check]:
    """See that each webhook is there and on, and say of each what it is. Raises ShopUnavailable,
    ShopRefuses."""
    callback = connection.callback
    if not callback:
        return [
            Check(
                "webhooks",
                CheckStatus.FAIL,
                "the connection doesn't say where the shop reaches us",
                f"callback: https://YOUR-HOST/connect/{connection.name} in connections.yaml",
            )
        ]
    known = await there(api, callback)
    found = []
    for topic in WANTED:
        hook = known.get(topic)
        if hook is None:
            body = {
                "name": f"Ritorno {topic}",
                "topic": topic,
                "delivery_url": callback,
                "secret": secret,
                "status": "active",
            }
            await api.ask("POST", "webhooks", body=body)
            found.append(Check(topic, CheckStatus.OK, "on, made just now"))
        elif text(hook, "status") != "active":
            was = text(hook, "status")
            await api.ask("PUT", f"webhooks/{id_of(hook)}", body={"status": "active"})
            found.append(Check(topic, CheckStatus.WARN, f"was {was}, and is switched on again",
                               "what came meanwhile the next poll brings"))  # fmt: skip
        else:
            found.append(Check(topic, CheckStatus.OK, "on"))
    return found
