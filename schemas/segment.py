"""Segment's form of an event: the names of its `track` calls, and what its calls say in ours."""

from __future__ import annotations

from typing import Any

from schemas.events import PAYLOADS
from schemas.validation import Unreadable, checked_object

SEGMENT_NAMES = {
    "Product Viewed": "product.viewed",
    "Product List Viewed": "product_list.viewed",
    "Products Searched": "products.searched",
    "Product Added": "cart.product_added",
    "Product Removed": "cart.product_removed",
    "Checkout Started": "checkout.started",
    "Checkout Step Completed": "checkout.step_completed",
    "Order Completed": "order.completed",
    "Order Updated": "order.updated",
    "Order Shipped": "order.shipped",
    "Order Delivered": "order.delivered",
    "Order Cancelled": "order.cancelled",
    "Order Refunded": "order.refunded",
    "Coupon Applied": "coupon.applied",
    "Product Added to Wishlist": "wishlist.added",
    "Product Reviewed": "product.reviewed",
    "Email Delivered": "mail.delivered",
    "Email Opened": "mail.opened",
    "Email Link Clicked": "mail.clicked",
    "Email Bounced": "mail.bounced",
    "Email Marked as Spam": "mail.complained",
    "Unsubscribed": "mail.unsubscribed",
}
# The types that are ours have the type's words in title case: `List Subscribed`.
SEGMENT_NAMES |= {
    type_.replace(".", " ").replace("_", " ").title(): type_
    for type_ in PAYLOADS
    if type_ not in SEGMENT_NAMES.values()
}


def is_call(body: dict[str, Any]) -> bool:
    """Return whether `body` is one of Segment's objects."""
    return isinstance(body.get("type"), str) and body["type"] in _CALLS


def translated(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and data of the event that a Segment object is. Raises Unreadable."""
    return _CALLS[body["type"]](body)


def _track(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = body.get("event")
    if not isinstance(name, str) or name not in SEGMENT_NAMES:
        raise Unreadable("unknown_type", f"event: unknown {str(name)[:64]!r}")
    return SEGMENT_NAMES[name], checked_object(body, "properties")


def _identify(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    traits = checked_object(body, "traits")
    if body.get("userId") is not None and body.get("anonymousId") is not None:
        return "customer.identified", {
            **traits, "anonymous_id": body["anonymousId"], "customer_id": body["userId"]
        }  # fmt: skip
    return "customer.updated", traits


def _alias(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "customer.identified", {
        "anonymous_id": body.get("previousId"), "customer_id": body.get("userId")
    }  # fmt: skip


def _page(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "page.viewed", {"name": body.get("name"), **checked_object(body, "properties")}


_CALLS = {
    "track": _track,
    "identify": _identify,
    "alias": _alias,
    "page": _page,
    "screen": _page,
}
