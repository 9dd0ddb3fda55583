"""Shopify's custom pixel: each event that Shopify tells it is one of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.events import Event
from streams.http.ingest.site_script import shopify_pixel
from tests import node
from tests.http.ingest.street import PUBLIC_KEY, Street, street

pytestmark = node.needs_node

SHOP = "https://negozio.example.it"

VARIANT = {
    "id": "90011", "sku": "MOKA-3", "title": "Rossa", "image": {"src": "https://cdn.example.it/m.jpg"},
    "price": {"amount": 47.1, "currencyCode": "EUR"},
    "product": {"id": "9001", "title": "Moka 3 tazze", "vendor": "Colle", "type": "Moka",
                "url": "/products/moka?variant=90011"},
}  # fmt: skip

CHECKOUT = {
    "token": "k1-aa", "email": "anna.verdi@example.it", "currencyCode": "EUR",
    "totalPrice": {"amount": 99.1, "currencyCode": "EUR"},
    "order": {"id": "820001"},
    "lineItems": [
        {"title": "Moka 3 tazze", "quantity": 2, "variant": VARIANT},
        {"title": "Confezione regalo", "quantity": 1, "variant": None},
    ],
}  # fmt: skip

TOLD: list[tuple[str, dict[str, Any]]] = [
    ("page_viewed", {}),
    ("product_viewed", {"productVariant": VARIANT}),
    ("collection_viewed", {"collection": {"id": "gid://shopify/Collection/7", "title": "Caffè"}}),
    ("search_submitted", {"searchResult": {"query": "moka", "productVariants": []}}),
    ("product_added_to_cart", {"cartLine": {"quantity": 2, "merchandise": VARIANT}}),
    ("product_removed_from_cart", {"cartLine": {"quantity": 1, "merchandise": VARIANT}}),
    ("cart_viewed", {"cart": {"id": "gid://shopify/Cart/c1"}}),
    ("checkout_started", {"checkout": {**CHECKOUT, "email": None, "order": None}}),
    ("checkout_contact_info_submitted", {"checkout": CHECKOUT}),
    ("checkout_address_info_submitted", {"checkout": CHECKOUT}),
    ("checkout_shipping_info_submitted", {"checkout": CHECKOUT}),
    ("payment_info_submitted", {"checkout": CHECKOUT}),
    ("checkout_completed", {"checkout": CHECKOUT}),
]


def told(number: int, name: str, data: dict[str, Any]) -> dict[str, Any]:
    place = {"href": f"{SHOP}/it/p", "pathname": "/it/p", "search": ""}
    document = {"location": place, "title": "Negozio", "referrer": f"{SHOP}/"}
    return {
        "id": f"sh-{number}", "name": name, "clientId": "visitor-1",
        "timestamp": f"2026-03-02T09:10:{number:02}.000Z", "data": data,
        "context": {"document": document, "navigator": {"language": "it-IT"}},
    }  # fmt: skip


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as found:
        yield found


def said(event: Event) -> dict[str, Any]:
    return event.data.model_dump(mode="json", exclude_none=True, exclude_defaults=True)  # type: ignore[no-any-return] # pydantic's


async def test_each_of_shopifys_events_is_one_of_ours(here: Street) -> None:
    pixel = shopify_pixel(f"{here.ingest}/", PUBLIC_KEY)
    events = [told(number, *each) for number, each in enumerate(TOLD)]
    await node.run("pixel.mjs", given={"pixel": pixel, "events": events})
    heard = {each.id: each for each in await here.so_far()}
    assert [heard[each["id"]].type for each in events] == [
        "page.viewed", "product.viewed", "product_list.viewed", "products.searched",
        "cart.product_added", "cart.product_removed", "custom.cart_viewed", "checkout.started",
        "checkout.step_completed", "checkout.step_completed", "checkout.step_completed",
        "checkout.step_completed", "order.hinted",
    ]  # fmt: skip
    assert {each.customer for each in heard.values()} == {"visitor-1"}
    by_number = [heard[each["id"]] for each in events]
    moka = {
        "product_id": "9001", "sku": "MOKA-3", "variant": "Rossa", "name": "Moka 3 tazze",
        "brand": "Colle", "category": "Moka", "price": "47.10", "currency": "EUR",
        "url": f"{SHOP}/products/moka?variant=90011", "image_url": "https://cdn.example.it/m.jpg",
    }  # fmt: skip
    assert said(by_number[1]) == moka
    assert said(by_number[2]) == {"list_id": "7", "category": "Caffè"}
    assert said(by_number[3]) == {"query": "moka"}
    assert said(by_number[4]) == {**moka, "quantity": 2}
    lines = [{**moka, "quantity": 2}]  # a line that names no product is none
    assert said(by_number[7]) == {"checkout_id": "k1-aa", "currency": "EUR", "products": lines}
    assert [said(each)["step"] for each in by_number[8:12]] == [
        "contact", "shipping_address", "shipping_method", "payment"
    ]  # fmt: skip
    assert all(said(each)["checkout_id"] == "k1-aa" for each in by_number[7:])
    assert said(by_number[12])["order_id"] == "820001"
    assert not any(each.odd for each in by_number)


def test_address_and_key_stand_in_it_as_text() -> None:
    pixel = shopify_pixel("https://ingest.example.it", 'rp_"; alert(1); "')
    assert 'const ENDPOINT = "https://ingest.example.it/v1/batch";' in pixel
    assert 'const KEY = "rp_\\"; alert(1); \\"";' in pixel
