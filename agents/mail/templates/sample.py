"""A customer, a cart and all the rest for trying templates out: full, and with as little as may be.

The linter renders each mail with both, previews show the full one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agents.mail.templates.variables import CART, ORDER, PRODUCT

_SHOP = "https://shop.example"
_PICTURES = "https://pictures.example"

REVIEWS = [
    {"author": "Marta, Torino", "rating": 5, "text": "Il caffè è quello del bar."},
    {"author": "Paolo", "rating": 4, "text": "Bella e robusta, il manico scalda un po’."},
]  # fmt: skip

PRODUCTS: list[dict[str, Any]] = [
    {
        "product_id": "moka-3",
        "sku": "MK-3",
        "name": "Moka Alba, 3 tazze",
        "category": "Caffettiere",
        "price": "34.90",
        "old_price": "39.90",
        "currency": "EUR",
        "url": f"{_SHOP}/p/moka-3",
        "image_url": f"{_PICTURES}/moka.jpg",
        "stock": 3,
        "rating": 4.6,
        "reviews": REVIEWS,
        "guide_url": f"{_SHOP}/guide/moka",
        "review_url": f"{_SHOP}/p/moka-3/recensione",
    },
    {
        "product_id": "tazzine-6",
        "name": "Sei tazzine di ceramica fatte a mano, smalto blu e bordo al naturale",
        "category": "In tavola",
        "price": "52.00",
        "currency": "EUR",
        "url": f"{_SHOP}/p/tazzine-6",
        "image_url": f"{_PICTURES}/tazzine.jpg",
        "stock": 40,
        "rating": 4.9,
    },
    {
        "product_id": "miscela-250",
        "name": "Miscela della casa, 250 g",
        "category": "Caffè",
        "price": "7.25",
        "currency": "EUR",
        "url": f"{_SHOP}/p/miscela-250",
        "image_url": f"{_PICTURES}/miscela.jpg",
        "stock": 1,
    },
]

LINES = [
    {**PRODUCTS[0], "quantity": 1, "stock": None, "old_price": None, "rating": None},
    {**PRODUCTS[2], "quantity": 2, "stock": None},
]

_IN_CART = [
    {**PRODUCTS[0], "quantity": 1, "old_price": None},
    {**PRODUCTS[2], "quantity": 2},
]

FULL: dict[str, Any] = {
    "customer": {
        "first_name": "Giulia",
        "id": "c-42",
        "name": "Giulia Verdi",
        "email": "giulia@shop.example",
    },
    "cart": {
        "id": "c-1",
        "url": f"{_SHOP}/cart/c-1?a=1&b=2",
        "currency": "EUR",
        "total": "49.40",
        "lines": _IN_CART,
    },
    "order": {
        "id": "2026-0042",
        "number": "#2026-0042",
        "time": "2026-03-01T09:30:00Z",
        "url": f"{_SHOP}/orders/2026-0042",
        "currency": "EUR",
        "total": "52.30",
        "subtotal": "49.40",
        "shipping": "4.90",
        "discount": "2.00",
        "tax": "9.43",
        "estimated_delivery": "2026-03-05",
        "carrier": "BRT",
        "tracking_number": "IT0123456789",
        "tracking_url": f"{_SHOP}/track/IT0123456789",
        "lines": LINES,
    },
    "product": PRODUCTS[0],
    "products": PRODUCTS,
    "coupon": {
        "code": "GRAZIE10",
        "description": {"it": "10% sul prossimo ordine", "en": "10% off your next order"},
        "kind": "percent",
        "minimum": "30.00",
        "expires": "2026-03-08T22:59:59Z",
    },
    "points": {"balance": 340, "tier": "Silver", "next_tier": "Gold", "missing": 160},
    "links": {"guide": f"{_SHOP}/guide"},
    "survey": {
        "question": {"it": "Come ti sei trovata con noi?", "en": "How was it with us?"},
        "answers": [
            {"label": {"it": "Benissimo", "en": "Great"}, "url": f"{_SHOP}/survey/1"},
            {"label": {"it": "Così così", "en": "So-so"}, "url": f"{_SHOP}/survey/2"},
            {"label": {"it": "Male", "en": "Badly"}, "url": f"{_SHOP}/survey/3"},
        ],
    },
    "support": {
        "topic": {"it": "Un reso", "en": "A return"},
        "hours": {"it": "dal lunedì al venerdì, 9–18", "en": "Monday to Friday, 9 am to 6 pm"},
        "max_wait": {"it": "4 ore", "en": "4 hours"},
    },
    "event": {**PRODUCTS[0], "query": "moka", "topic": "returns"},
    "list": "newsletter",
    "reason": "a sample",
    "zone": "Europe/Rome",
    "preferences_url": "https://mail.shop.example/p/sample",
    "unsubscribe_url": "https://mail.shop.example/u/sample",
    "browser_url": "https://mail.shop.example/b/sample",
    "confirm_url": "https://mail.shop.example/y/sample",
}
"""Everything there is to know."""

_BARE_LINE = {**PRODUCT, "product_id": "moka-3", "quantity": 1}

SPARSE: dict[str, Any] = {
    "customer": {"first_name": None},
    "cart": {**CART, "id": "c-1"},
    "order": {**ORDER, "id": "2026-0042", "total": "52.30", "lines": [_BARE_LINE]},
    "product": _BARE_LINE,
    "points": {},
    "survey": {"answers": [{"label": "1", "url": None}]},
    "support": {},
}
"""The same things, of which hardly anything is known."""

ABOUT = ("cart", "order", "product", "points", "survey", "support")
"""What a mail may be about. One that is about a cart can't be sent without; everything else may be
missing from any mail."""

_COLORS = ("#d8c3a5", "#a9bdb0", "#c9a9a6", "#b3b7c9")


def without(variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return `variables` as they are when nothing is known of `names`."""
    return {name: value for name, value in variables.items() if name not in set(names)}


def with_pictures(html: str) -> str:
    """Return a rendered sample whose pictures need no network: for looking at it."""
    seen = sorted(set(re.findall(re.escape(_PICTURES) + r"/[\w.]+", html)))
    for number, address in enumerate(seen):
        html = html.replace(f'src="{address}"', f'src="{_picture(number)}"')
    return html


def _picture(number: int) -> str:
    color = _COLORS[number % len(_COLORS)]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 12 12" width="480" height="480">'
        f'<rect width="12" height="12" fill="{color}"/>'
        '<path d="M3.6 4.2h4v3a2 2 0 0 1-4 0zM7.6 4.8h.7a1 1 0 0 1 0 2h-.7" fill="none" '
        'stroke="#fff" stroke-width=".45" stroke-linejoin="round"/>'
        '<path d="M3.1 9.9h5" stroke="#fff" stroke-width=".45" stroke-linecap="round"/></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
