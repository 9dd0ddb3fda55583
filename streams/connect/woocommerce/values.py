"""How WooCommerce writes sums, times, lines and the fields of plugins.

Times are wanted in UTC: `date_created_gmt`, which has no `Z`; `date_created` beside it is the
shop's local time. Sums of lines are without tax, so what a piece has cost is of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from schemas.events.hints import Hints, of_context
from streams.connect.resources import (
    MAX_LINES,
    Resource,
    amount,
    an_object,
    objects,
    plain_sum,
    rounded,
    text,
    time_of,
)

_UTM = "_wc_order_attribution_utm_"
_YES = frozenset({"1", "yes", "true", "on", "si", "sì", "y"})


def utc(resource: Resource, *names: str) -> int | None:
    """Return the first of the times (`date_paid`…) that is there, in UTC. Raises Unreadable."""
    return time_of(resource, *(f"{name}_gmt" for name in names))


def meta(resource: Resource, key: str) -> str:
    """Return what a plugin has put into a field, empty where there is none."""
    for each in objects(resource, "meta_data"):
        if each.get("key") == key:
            value = each.get("value")
            return "yes" if value is True else text(each, "value")
    return ""


def is_ticked(said: str) -> bool:
    """Whether a plugin's field says yes."""
    return said.strip().lower() in _YES


def with_tax(resource: Resource, name: str, tax: str) -> Decimal | None:
    """Return a sum and its tax."""
    without = amount(resource.get(name))
    return None if without is None else without + (amount(resource.get(tax)) or 0)


def product_lines(lines: Iterable[Resource]) -> list[dict[str, Any]]:
    """Return the lines of an order; one that names no product, since that was deleted, is known by
    its sku or name."""
    return [line for each in lines if (line := _product_line(each)) is not None][:MAX_LINES]


def hints_of(order: Resource) -> Hints | None:
    """Return which campaign an order came from, as core's order attribution has it."""
    source, name = meta(order, f"{_UTM}source"), meta(order, f"{_UTM}campaign")
    named = {"source": source, "name": name}
    return of_context({"campaign": {key: value for key, value in named.items() if value}})


def _product_line(line: Resource) -> dict[str, Any] | None:
    name = text(line, "name")
    product_id = text(line, "product_id")
    product_id = product_id if product_id not in ("", "0") else text(line, "sku") or name[:100]
    if not product_id:
        return None
    quantity = amount(line.get("quantity"))
    total = with_tax(line, "total", "total_tax")
    image = an_object(line, "image")
    said = {
        "product_id": product_id,
        "sku": text(line, "sku") or None,
        "name": text(line, "parent_name") or name or None,
        "variant": _variant(line) or None,
        "price": plain_sum(_piece(total, quantity)),
        "quantity": plain_quantity(quantity),
        "image_url": text(image, "src") or None,
    }
    return {key: value for key, value in said.items() if value is not None}


def plain_quantity(quantity: Decimal | None) -> str | int:
    """Return a quantity; a shop that sells by weight has fractions."""
    if quantity is None:
        return 1
    return int(quantity) if quantity == int(quantity) else str(quantity)


def _piece(total: Decimal | None, quantity: Decimal | None) -> Decimal | None:
    if total is None or not quantity:
        return total
    piece = total / quantity
    exact = rounded(piece)
    return exact if exact * quantity == total else piece


def _variant(line: Resource) -> str:
    """Return what was chosen: fields of a line that people are shown, `Taglia: M`."""
    shown = [
        text(each, "display_value") or text(each, "value")
        for each in objects(line, "meta_data")
        if not text(each, "key").startswith("_")
    ]
    chosen = " / ".join(value for value in shown if value and len(value) <= 100)[:200]
    variation = text(line, "variation_id")
    return chosen or (variation if variation not in ("", "0") else "")
