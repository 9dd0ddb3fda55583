"""Adobe I/O Events: what Adobe Commerce pushes.

    {"event_id": "…", "recipient_client_id": "…",
     "event": {"specversion": "1.0", "type": "com.adobe.commerce.observer.NAME", "id": "…",
               "time": "…", "data": {"key": "…", "source": "…", "value": {…}}}}

Which fields `value` has is chosen when the event is subscribed to. An order or a customer that is
there whole is taken as it is; of anything else only the id counts, and the shop is asked. Where it
stands is as Adobe's reference of events has it: an order below `order` in
`checkout_submit_all_after`, all else in `value` itself. The quote in
`checkout_cart_product_add_after` has no id there, so nothing could be asked for: open quotes come
by polls. What is delivered comes at least once, in any order, again for 24 hours: all of it is
known by fact ids.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import NamedTuple

from schemas.validation import Unreadable
from streams.connect.json_fields import NOTHING, Row, inside, rows, text, whole
from streams.connect.shop_api import parse_json

CHALLENGE = re.compile(r"[A-Za-z0-9._~=-]{1,200}")
"""What is echoed: Adobe's are UUIDs. Nothing that a browser could run."""

SUBSCRIBER = "newsletter_subscriber_save_commit_after"

_ASKED: Mapping[str, tuple[str, str]] = {
    "sales_order_save_commit_after": ("orders", "entity_id"),
    "sales_order_place_after": ("orders", "entity_id"),
    "checkout_submit_all_after": ("orders", "entity_id"),
    "customer_save_commit_after": ("customers", "entity_id"),
    "sales_order_shipment_save_after": ("shipments", "entity_id"),
    "sales_order_shipment_save_commit_after": ("shipments", "entity_id"),
    "sales_order_creditmemo_save_after": ("creditmemos", "entity_id"),
    "sales_order_creditmemo_save_commit_after": ("creditmemos", "entity_id"),
    "catalog_product_save_commit_after": ("products", "entity_id"),
    "cataloginventory_stock_item_save_commit_after": ("products", "product_id"),
}
"""By the end of the type: what it is about, and the field with its id."""

_ORDER_NEEDS = ("increment_id", "state", "created_at", "updated_at", "grand_total",
                "order_currency_code", "customer_email", "items")  # fmt: skip
_CUSTOMER_NEEDS = ("email", "firstname", "lastname", "created_at", "updated_at")


class Pushed(NamedTuple):
    """What an event is about."""

    name: str = ""
    """`sales_order_save_commit_after`."""
    resource: str = ""
    """Empty: nothing for us."""
    id: int = 0
    row: Row = NOTHING
    """Where it is there whole."""


def read_event(body: bytes, client_id: str) -> Pushed | None:
    """Read a signed event; None for one that is meant for somebody else. Raises Unreadable."""
    try:
        said = parse_json(body)
    except ValueError as error:
        raise Unreadable("invalid_json", f"not JSON: {error}"[:200]) from None
    if not isinstance(said, dict):
        raise Unreadable("invalid_event", f"not an object but {type(said).__name__}")
    if not hmac.compare_digest(text(said, "recipient_client_id").encode(), client_id.encode()):
        return None
    event = inside(said, "event")
    name = text(event, "type").rpartition(".")[2]
    value = inside(event, "data", "value")
    if name == SUBSCRIBER:
        return Pushed(name, "subscribers", whole(value, "subscriber_id"), value)
    resource, field = _ASKED.get(name, ("", ""))
    if not resource:
        return Pushed(name)
    if name == "checkout_submit_all_after":
        value = inside(value, "order") or value
    id_ = whole(value, field) or whole(value, "id")
    if not id_:
        raise Unreadable("missing_id", f"event.data.value.{field}: missing in {name}")
    return Pushed(name, resource, id_, value if _is_whole(resource, value) else {})


def value_of(body: bytes) -> Row:
    """Return the fields of what an event is about, as far as any can be read."""
    try:
        said = parse_json(body)
    except ValueError:
        return NOTHING
    value = inside(said, "event", "data", "value") if isinstance(said, dict) else NOTHING
    return inside(value, "order") or value


def _is_whole(resource: str, value: Row) -> bool:
    """Whether all that we read of it is there; a guest's order has no id of a customer."""
    if resource == "orders":
        return all(name in value for name in _ORDER_NEEDS) and bool(rows(value, "items"))
    return resource == "customers" and all(name in value for name in _CUSTOMER_NEEDS)
