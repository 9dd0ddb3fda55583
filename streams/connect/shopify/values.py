"""How Shopify writes sums, times, addresses and lines.

Sums are in the shop's own currency: `total_price` beside `currency`, or the `shop_money` of a
`…_set`. What a customer saw in another currency is `presentment_money`, and never added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from schemas.events.hints import Hints, of_context
from schemas.validation import Unreadable
from streams.connect.resources import (
    MAX_LINES,
    Resource,
    amount,
    an_object,
    objects,
    plain_sum,
    text,
)


def shop_money(resource: Resource, name: str, currency: str = "") -> Decimal | None:
    """Return a sum in the shop's currency: of `name_set`, else of `name` itself. Raises Unreadable
    where the set is in another currency than the order."""
    money = an_object(an_object(resource, f"{name}_set"), "shop_money")
    if money.get("amount") is None:
        return amount(resource.get(name))
    code = text(money, "currency_code")
    if currency and code and code != currency:
        problem = f"{name}_set.shop_money.currency_code: {code!r} in an order in {currency!r}"
        raise Unreadable("invalid_event", problem)
    return amount(money["amount"])


def rate_to_shop(resource: Resource, name: str) -> Decimal | None:
    """Return by what a sum that the customer saw is multiplied to be one of the shop's."""
    both = an_object(resource, f"{name}_set")
    ours = amount(an_object(both, "shop_money").get("amount"))
    theirs = amount(an_object(both, "presentment_money").get("amount"))
    return ours / theirs if ours and theirs else None


def product_line(line: Resource, currency: str = "") -> dict[str, Any] | None:
    """Return a line as our events have it; None for one that names nothing at all. A line that the
    shop has typed in by hand has no product: its sku, else its title, stands for one."""
    title = text(line, "title") or text(line, "name")
    product_id = text(line, "product_id") or text(line, "sku") or title[:100]
    if not product_id:
        return None
    price = shop_money(line, "price", currency)
    return {
        "product_id": product_id,
        "sku": text(line, "sku") or None,
        "name": title or None,
        "brand": text(line, "vendor") or None,
        "variant": text(line, "variant_title") or None,
        "price": plain_sum(price),
        "quantity": line.get("quantity", 1),
    }


def product_lines(lines: Iterable[Resource], currency: str = "") -> list[dict[str, Any]]:
    """Return the lines of an order or a cart."""
    found = (product_line(line, currency) for line in lines)
    return [line for line in found if line is not None][:MAX_LINES]


def attribute(resource: Resource, name: str) -> str:
    """Return a note attribute; those of a cart or an order, `[{name, value}]` or an object."""
    found = resource.get("note_attributes", resource.get("attributes"))
    if isinstance(found, dict):
        return text(found, name)
    for each in objects(resource, "note_attributes"):
        if each.get("name") == name:
            return text(each, "value")
    return ""


def traits_of(person: Resource, address: Resource) -> dict[str, Any]:
    """Return what is known of somebody, as far as it is said; an empty field says nothing."""
    locale = text(person, "locale") or text(person, "customer_locale")
    said = {
        "first_name": text(person, "first_name") or text(address, "first_name"),
        "last_name": text(person, "last_name") or text(address, "last_name"),
        "phone": text(person, "phone") or text(address, "phone"),
        "city": text(address, "city"),
        "country": text(address, "country_code"),
        "locale": locale,
    }
    return {name: value for name, value in said.items() if value}


def hints_of(order: Resource) -> Hints | None:
    """Return the language of an order and the campaign that it came from: `landing_site` is a path
    with its query."""
    landed, query = text(order, "landing_site")[:4_000], dict[str, list[str]]()
    if "utm_" in landed:
        with suppress(ValueError):
            query = parse_qs(urlsplit(landed).query, max_num_fields=100)
    campaign = {
        name: query[f"utm_{given}"][0]
        for name, given in (("source", "source"), ("name", "campaign"))
        if query.get(f"utm_{given}")
    }
    return of_context({"campaign": campaign, "locale": text(order, "customer_locale")})
