"""What the shop's server says in the tests of others' libraries, as Segment objects."""

from __future__ import annotations

from typing import Any

WHEN = "2026-03-02T09:15:30.000Z"

_MOKA = {"product_id": "MOKA-3", "name": "Moka 3 tazze", "price": 47.10, "currency": "EUR"}

_CALLS: tuple[dict[str, Any], ...] = (
    {"type": "page", "name": "Moka", "properties": {"url": "https://negozio.example.it/p/moka"}},
    {"type": "track", "event": "Product Viewed", "properties": _MOKA},
    {"type": "track", "event": "Product Added", "properties": {**_MOKA, "quantity": 2}},
    {
        "type": "identify", "userId": "anna",
        "traits": {
            "email": "anna.verdi@example.it", "firstName": "Anna", "note": "perché · 日本 · 😀",
        },
    },
    {"type": "group", "userId": "anna", "groupId": "g-1", "traits": {"name": "Verdi & Figli"}},
    {
        "type": "track", "event": "Order Completed", "userId": "anna",
        "properties": {
            "order_id": "1001", "total": "94.20", "currency": "EUR",
            "email": "anna.verdi@example.it",
            "products": [{**_MOKA, "quantity": 2}],
        },
    },
    {
        "type": "track", "event": "Order Refunded", "userId": "anna",
        "properties": {"order_id": "1001", "total": "47.10", "currency": "EUR"},
    },
    {"type": "track", "event": "Consent Given", "userId": "anna",
     "properties": {"purpose": "marketing", "source": "cassa"}},
    {"type": "track", "event": "Gusto Scelto", "userId": "anna", "properties": {"gusto": "amaro"}},
    {"type": "alias", "userId": "anna", "previousId": "v-7"},
)  # fmt: skip


def calls(sender: str) -> list[dict[str, Any]]:
    """Return them with ids of a sender's own; who has no name is a visitor."""
    return [
        {
            **({} if "userId" in each else {"anonymousId": "v-7"}),
            **each,
            "messageId": f"{sender}-{number}",
            "timestamp": WHEN,
        }
        for number, each in enumerate(_CALLS)
    ]
