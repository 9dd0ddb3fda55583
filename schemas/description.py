"""Kept records for people and programs: named fields, readable instants, no hashes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import msgspec

from schemas.customer import Customer
from schemas.customer.person import Ground
from schemas.instant import to_rfc3339
from schemas.money import amount_text
from schemas.quantity import as_number
from schemas.reference import id_of, is_visitors
from schemas.stored import NEVER

_HIDDEN = frozenset(
    {"seen", "memory", "weight", "order_ids", "digest", "digests", "former"}
    | {"heard", "mailed", "updated", "ground", "stated", "links"}
    | {"changes", "checked", "described", "stepped", "priced"}
    | {"purchase", "beside_lines", "pieces"}
)
_HIDDEN_WHEN_EMPTY = frozenset(
    {"shop", "traceparent", "sku", "variant", "currency", "list_addresses"}
    | {"shipped", "returned", "unshipped", "revived", "early", "revoked", "booked", "released"}
)
_HIDDEN_WITHOUT_MEMBERS = frozenset({"refunds"})
"""A list of an order's, and a number of all orders': that is told, nought or not."""
_QUANTITIES = frozenset({"quantity", "items"})
_INSTANTS = frozenset(
    {
        "time",
        "changed",
        "cleared",
        "begun",
        "due",
        "delivered",
        "first",
        "last",
        "expires",
        "runs_out",
    }
    | {"first_seen", "last_seen", "anchors", "complained"}
    | {"sent_off", "revived", "revoked"}
)


def describe(customer: Customer) -> dict[str, Any]:
    """Return a customer's kept record as plain JSON data; unknown instants are null.

    Of a visitor it has the bare id, and says that it is a visitor's.
    """
    described = _plain(customer, is_instant=False)
    assert isinstance(described, dict)
    if is_visitors(customer.key):
        return {"key": id_of(customer.key), "visitor": True, **_without_key(described)}
    return described


def links_of(customer: Customer) -> list[dict[str, Any]]:
    """Return the links that a customer is registered at, which `describe` leaves out: their names
    are hashes, and what they are of stands elsewhere."""
    return [
        {
            "link": link,
            "ground": get_args(Ground)[own.ground],
            "shared": own.shared,
            "registered": to_rfc3339(own.time) if own.time else None,
            "ordered": to_rfc3339(own.ordered) if own.ordered else None,
        }
        for link, own in sorted(customer.links.registrations.items())
    ]


def _without_key(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name != "key"}


def _plain(value: Any, *, is_instant: bool) -> Any:
    if isinstance(value, msgspec.Struct):
        return {
            name: (
                as_number(getattr(value, name))
                if name in _QUANTITIES
                else _plain(getattr(value, name), is_instant=name in _INSTANTS)
            )
            for name in value.__struct_fields__
            if name not in _HIDDEN and not _is_left_out(name, getattr(value, name))
        }
    if isinstance(value, list):
        return [_plain(item, is_instant=is_instant) for item in value]
    if isinstance(value, dict):
        return {key: _plain(value[key], is_instant=is_instant) for key in sorted(value)}
    if isinstance(value, Decimal):
        return amount_text(value)
    if is_instant and isinstance(value, int):
        return None if value in (0, NEVER) else to_rfc3339(value)
    return value


def _is_left_out(name: str, value: Any) -> bool:
    """Whether a field is not told because it is empty."""
    return (name in _HIDDEN_WHEN_EMPTY and not value) or (
        name in _HIDDEN_WITHOUT_MEMBERS and value == []
    )
