"""Damages a file of events as producers and networks do: some events come twice, late, in another
order, or have optional fields that nobody can read. The same each time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random
from typing import Any

from schemas.instant import parse_instant

HOUR_MS = 3_600_000
LATEST_MS = 48 * HOUR_MS
"""How late an event comes at most."""

KINDS = ("twice", "late", "swapped", "odd")

ODD_PROPERTIES: tuple[tuple[str, Any], ...] = (
    ("shipping", "free"),
    ("tax", "NaN"),
    ("discount", ""),
    ("coupon", ["A", "B"]),
    ("currency", "EUR "),
    ("payment_method", False),
    ("estimated_delivery", {"from": 1}),
    ("carrier", []),
    ("tracking_url", []),
    ("order_url", "javascript:alert(1)"),
    ("email", "n/a"),
    ("cart_url", "x" * 9_000),
    ("cart_id", ""),
    ("checkout_id", ""),
    ("sku", []),
    ("variant", {}),
    ("brand", 7),
    ("birthday", {"day": 1}),
    ("phone", ["39055"]),
    ("mail_frequency", "weekly"),
    ("zone", "Nowhere/Land"),
)
"""Of the event itself."""
ODD_LINES: tuple[tuple[str, Any], ...] = (
    ("url", "data:image/png;base64," + "A" * 4_000),
    ("image_url", 7),
    ("category", ["a", "b"]),
    ("coupon", False),
    ("color", {}),
    ("size", ""),
    ("currency", ""),
    ("name", "x" * 9_000),
)
"""Of one of its products."""
AMOUNTS = ("total", "price")
"""Fields of which another spelling is the same amount."""


def damaged(lines: Iterable[bytes], kinds: Iterable[str], chance: Random) -> list[bytes]:
    """Return the lines, one in twenty damaged in a way of `kinds`, in the order of arrival."""
    kinds = sorted(kinds)
    arrived: list[tuple[int, int, bytes]] = []
    for number, line in enumerate(lines):
        body = json.loads(line)
        time = parse_instant(body["time"])
        how = chance.choice(kinds) if chance.random() < 0.05 else ""
        told = line
        if how == "odd" and "specversion" in body:
            told = json.dumps(body | {"data": _odd(body["data"], chance)}).encode()
        elif how == "twice":
            arrived.append((time + chance.randint(1, LATEST_MS), number, line))
        if how == "late":
            time += chance.randint(1, LATEST_MS)
        elif how == "swapped":
            time += chance.randint(1, HOUR_MS)
        arrived.append((time, number, told))
    return [line for *_, line in sorted(arrived, key=lambda each: each[:2])]


def _odd(data: dict[str, Any], chance: Random) -> dict[str, Any]:
    """Return the properties with one of the optional ones damaged, or an amount spelt otherwise."""
    products = data.get("products") or []
    spelt = [name for name in AMOUNTS if name in data]
    if products and chance.random() < 0.4:
        number = chance.randrange(len(products))
        return data | {"products": [
            _odd_line(each, chance) if place == number else each
            for place, each in enumerate(products)
        ]}  # fmt: skip
    if spelt and chance.random() < 0.3:
        name = chance.choice(spelt)
        return data | {name: _respelt(data[name], chance)}
    name, value = chance.choice(ODD_PROPERTIES)
    return data | {name: value}


def _odd_line(line: dict[str, Any], chance: Random) -> dict[str, Any]:
    if chance.random() < 0.3:
        return line | {"price": _respelt(line["price"], chance)}
    if chance.random() < 0.2:
        return line | {"quantity": f"{line['quantity']}.0"}
    name, value = chance.choice(ODD_LINES)
    return line | {name: value}


def _respelt(amount: str, chance: Random) -> str:
    comma = amount.replace(".", ",")
    return chance.choice((f"{amount} EUR", f" {amount} ", comma, f"{comma} €"))
