"""Which events may change which parts of what is known.

More than an event changes is only a little slower; less would leave a segment as it was. So the
property tests of `tests/agents/test_segments.py` compare with looking at everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.rules.fields.field import Part
from schemas.events import ACTIVE, PAYLOADS

EVERYTHING: frozenset[Part] = frozenset(
    {"profile", "consents", "lists", "cart", "orders", "activity", "interests", "mails", "scores",
     "tags", "fields", "segments", "tier", "points", "coupons", "acquired"}
)  # fmt: skip

_ORDER: tuple[Part, ...] = ("orders", "interests", "cart", "points", "tier", "coupons")
_TRAITS: tuple[Part, ...] = ("profile", "fields", "mails")
_OBJECTION: tuple[Part, ...] = ("consents", "lists")

_OWN: Mapping[str, tuple[Part, ...]] = {
    "product.viewed": ("interests",),
    "wishlist.added": ("interests",),
    "cart.product_added": ("cart",),
    "cart.product_removed": ("cart",),
    "checkout.started": ("cart", "profile"),
    "checkout.step_completed": ("cart", "profile"),
    "order.completed": (*_ORDER, "profile"),
    "order.updated": ("orders",),
    "order.shipped": ("orders",),
    "order.delivered": ("orders",),
    "order.cancelled": _ORDER,
    "order.refunded": _ORDER,
    "customer.created": _TRAITS,
    "customer.updated": _TRAITS,
    "customer.identified": _TRAITS,
    "list.subscribed": (*_OBJECTION, "profile", "mails"),
    "list.unsubscribed": _OBJECTION,
    "consent.given": _OBJECTION,
    "consent.withdrawn": _OBJECTION,
    "mail.sent": ("mails", "activity"),
    "mail.bounced": ("mails", "activity"),
    "mail.failed": ("activity",),
    "mail.rejected": ("mails", "activity"),
    "mail.skipped": ("activity",),
    "mail.opened": ("mails",),
    "mail.clicked": ("mails", "activity"),
    "mail.complained": (*_OBJECTION, "mails"),
    "mail.unsubscribed": _OBJECTION,
    "address.released": ("mails",),
    "coupon.issued": ("coupons",),
    "visitor.merged": tuple(sorted(EVERYTHING)),
}

CHANGED_BY: Mapping[str, frozenset[Part]] = {
    type_: frozenset(_OWN.get(type_, ())) | ({"activity"} if type_ in ACTIVE else set())
    for type_ in PAYLOADS
}
"""Event type → parts, besides scores, which depend on what a shop scores, and `acquired`, which
any event may change that is older than all before."""


def events_of(part: Part) -> list[str]:
    """Return the types of the events that may change a part; none where any may, or only time."""
    return sorted(type_ for type_, parts in CHANGED_BY.items() if part in parts)
