"""Whose a resource of Shopify's is, also where nothing else of it can be read.

Refunds and fulfilments name their order alone: the owners of the last orders are remembered.
"""

from __future__ import annotations

from collections import OrderedDict

from schemas.bounds import KEY_BYTES, fits
from schemas.public_speech import CART, CHECKOUT
from streams.connect.facts import Subject, browser_id, key_of
from streams.connect.resources import Resource, an_object, text
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.topics import Reads
from streams.connect.shopify.values import attribute

REMEMBERED = 20_000
"""Orders whose owner is known without asking: some 5 MB."""

_ADDRESSES = ("email", "contact_email", "email_address")


class OrderOwners:
    """Those of one shop."""

    def __init__(self, connection: ShopifyConnection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, Subject] = OrderedDict()

    def of(self, order_id: str) -> Subject | None:
        """Return whose an order is, None where that was forgotten or never known."""
        return self._known.get(order_id)

    def remember(self, order_id: str, whose: Subject) -> None:
        """An order was read."""
        self._known[order_id] = whose
        self._known.move_to_end(order_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def key(self, reads: Reads, body: Resource) -> bytes | None:
        """Return the key of whom a resource is about that can't be read."""
        found: bytes | None = None
        match reads:
            case "order" | "checkout" | "erasure" | "copy":
                customer = an_object(body, "customer")
                found = self._key(text(customer, "id"), body, customer)
                if found is None and reads == "checkout":
                    found = _of_token(CHECKOUT, body)
            case "customer" | "consent":
                found = self._key(text(body, "customer_id") or text(body, "id"), body)
            case "refund" | "fulfillment" | "fulfillment_event":
                whose = self.of(text(body, "order_id"))
                found = None if whose is None else whose.customer.encode()
            case "cart":
                said = browser_id(attribute(body, self._connection.anonymous_attribute))
                found = said.encode() or _of_token(CART, body)
            case _:
                pass
        return found

    def _key(self, customer_id: str, *saying: Resource) -> bytes | None:
        addresses = (text(each, name) for each in saying for name in _ADDRESSES)
        return key_of(customer_id, *addresses, prefix=self._connection.customer_prefix)


def _of_token(prefix: str, body: Resource) -> bytes | None:
    key = prefix + (text(body, "token") or text(body, "id"))
    return key.encode() if key != prefix and fits(key, KEY_BYTES) else None
