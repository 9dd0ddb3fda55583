"""Which webhook of Shopify's is about what.

A webhook's topic stands in a header, which the signature doesn't cover, so each is read by what its
body holds and a body of another kind tells nothing.
"""

from __future__ import annotations

from typing import Final, Literal

Reads = Literal[
    "order", "refund", "fulfillment", "fulfillment_event", "checkout", "cart", "customer",
    "consent", "product", "product_gone", "erasure", "copy", "nothing",
]  # fmt: skip

TOPICS: Final[dict[str, Reads]] = {
    "orders/create": "order",
    "orders/paid": "order",
    "orders/updated": "order",
    "orders/edited": "nothing",  # what was changed, without the order; orders/updated has it all
    "orders/cancelled": "order",
    "orders/fulfilled": "order",
    "orders/partially_fulfilled": "order",
    "orders/delete": "nothing",
    "refunds/create": "refund",
    "fulfillments/create": "fulfillment",
    "fulfillments/update": "fulfillment",
    "fulfillment_events/create": "fulfillment_event",
    "checkouts/create": "checkout",
    "checkouts/update": "checkout",
    "checkouts/delete": "nothing",
    "carts/create": "cart",
    "carts/update": "cart",
    "customers/create": "customer",
    "customers/update": "customer",
    "customers/delete": "nothing",  # of the shop's own records; who wants to be forgotten says so
    "customers_email_marketing_consent/update": "consent",
    "products/create": "product",
    "products/update": "product",
    "products/delete": "product_gone",
    "inventory_levels/update": "nothing",  # products/update comes as well, with all variants
    "customers/data_request": "copy",
    "customers/redact": "erasure",
    "shop/redact": "nothing",
}
"""What isn't here is none of ours either, and is answered by 200."""

PLACING: Final = frozenset({"orders/create", "orders/paid"})
"""With these an order is as it was placed: that tells all, and an update would say it again."""

WANTED: Final = (
    "orders/create",
    "orders/paid",
    "orders/updated",
    "orders/cancelled",
    "refunds/create",
    "fulfillments/create",
    "fulfillments/update",
    "fulfillment_events/create",
    "checkouts/create",
    "checkouts/update",
    "customers/create",
    "customers/update",
    "customers_email_marketing_consent/update",
    "products/create",
    "products/update",
    "products/delete",
)
"""What `setup` subscribes to."""

OF_CARTS: Final = ("carts/create", "carts/update")
"""These, too, where the connection takes carts."""

MANDATORY: Final = ("customers/data_request", "customers/redact", "shop/redact")
"""Only in an app's own configuration: the API makes none of them."""

SCOPES: Final = {
    "read_orders": "orders, refunds, fulfilments, checkouts",
    "read_customers": "customers and their consent",
    "read_products": "the product feed",
}
"""What the token must be allowed to, and for what."""
OLD_ORDERS: Final = "read_all_orders"
"""Without it the API shows orders of the last 60 days only."""
