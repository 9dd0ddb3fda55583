"""Feeds by shape, with invented names, and what is read of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from schemas.products import Product
from streams.feeds.reading import FeedOptions, FeedReading, read_feed

NOW = 1_772_442_900_000
"""2026-03-02T09:15:00Z"""

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Negozio</title>
<link>https://negozio.example.it</link>
<item><g:id>MOKA-3</g:id><title>Non questo</title><g:title>Moka 3 tazze</g:title>
<g:link>https://negozio.example.it/p/moka</g:link>
<g:image_link>https://negozio.example.it/m.jpg</g:image_link>
<g:additional_image_link>https://negozio.example.it/m2.jpg</g:additional_image_link>
<g:availability>in_stock</g:availability><g:price>49.90 EUR</g:price>
<g:sale_price>47.10 EUR</g:sale_price><g:brand>Esempio</g:brand>
<g:product_type>Cucina &gt; Caffè</g:product_type>
<g:shipping><g:country>IT</g:country><g:price>5.00 EUR</g:price></g:shipping></item>
<item><g:id>TAZZA</g:id><title><![CDATA[Tazza & piattino]]></title>
<link>https://negozio.example.it/p/tazza</link><g:availability>out of stock</g:availability>
<g:price>8,50 €</g:price><g:google_product_category>672</g:google_product_category></item>
</channel></rss>
"""
ATOM = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>Negozio</title><link rel="self" href="https://negozio.example.it/atom"/>
<entry><g:id>MOKA-3</g:id><title>Moka 3 tazze</title>
<link href="https://negozio.example.it/p/moka"/><link rel="edit" href="https://x.example.it/"/>
<g:availability>preorder</g:availability><g:price>49.90 EUR</g:price></entry></feed>
"""


def read(feed: str | bytes, now: int = NOW, **options: Any) -> tuple[list[Product], FeedReading]:
    """Return the products of a feed, and what was noted."""
    reading = FeedReading()
    content = feed if isinstance(feed, bytes) else feed.encode()
    return list(read_feed(BytesIO(content), FeedOptions(**options), now, reading)), reading


def shown(product: Product) -> dict[str, Any]:
    """Return what a product says."""
    return product.model_dump(mode="json", exclude_defaults=True)
