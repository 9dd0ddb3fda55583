"""What is remembered of orders for ever: that they were counted, and which refunds were.

An order is known by its shop and number, on whichever way and under whichever id its events come.
"""

from __future__ import annotations

from agents import digests
from agents.refusals import EventRefused
from schemas.customer import ORDER_IDS_BYTES, SEEN_BYTES, Customer


def note(customer: Customer, token: str) -> bool:
    """Remember something of an order for ever; return whether it was new.

    Raises EventRefused when it is and there is no room for it.
    """
    digest = digests.digest(token)
    if digests.contains(customer.order_ids, digest):
        return False
    require_room(customer, 1)
    customer.order_ids += digest
    return True


def is_noted(customer: Customer, token: str) -> bool:
    """Return whether `note` was told this before."""
    return digests.contains(customer.order_ids, digests.digest(token))


def note_of_shop(customer: Customer, what: str, id_: str, shop: str) -> bool:
    """Remember something of a shop's order; return whether it was new. See `note`."""
    return not _is_noted_of_all(customer, what, id_, shop) and note(
        customer, _token(what, id_, shop)
    )


def is_noted_of_shop(customer: Customer, what: str, id_: str, shop: str) -> bool:
    """Return whether it was noted."""
    token = _token(what, id_, shop)
    return is_noted(customer, token) or _is_noted_of_all(customer, what, id_, shop)


def require_room(customer: Customer, more: int) -> None:
    """Raise EventRefused when `more` cannot be remembered besides what is: nothing is ever
    forgotten."""
    if len(customer.order_ids) + more * SEEN_BYTES > ORDER_IDS_BYTES:
        known = len(customer.order_ids) // SEEN_BYTES
        detail = f"order_id: {known} orders and the like of this customer are remembered for ever, "
        raise EventRefused("orders_full", detail + "and no more fit")


def has_room(customer: Customer) -> bool:
    """Return whether one more can be remembered."""
    return len(customer.order_ids) + SEEN_BYTES <= ORDER_IDS_BYTES


def unknown(customer: Customer, other: Customer) -> list[bytes]:
    """Return what only the other one remembers of orders."""
    theirs = other.order_ids
    each = (theirs[index : index + SEEN_BYTES] for index in range(0, len(theirs), SEEN_BYTES))
    return [digest for digest in each if not digests.contains(customer.order_ids, digest)]


def _is_noted_of_all(customer: Customer, what: str, id_: str, shop: str) -> bool:
    """Whether it was noted before the shops were told apart."""
    return shop != "" and is_noted(customer, _token(what, id_, ""))


def _token(what: str, id_: str, shop: str) -> str:
    return f"{what}:{shop}\0{id_}" if shop else f"{what}:{id_}"
