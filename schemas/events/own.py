"""What our own actors and commands write into the log; `publish` refuses it."""

from __future__ import annotations

from typing import Literal, get_args

from schemas.customer.person import Ground
from schemas.customer_parts import CustomerPart
from schemas.event_type import EventType
from schemas.events.fields import Id, Payload, Reference, Text


class AddressReleased(Payload):
    """Ours: a person has decided that a suppressed address gets mails again."""

    address: Text = ""
    """Its hash (`agents/digests.py`); empty, as releases wrote that knew only the profile's."""
    reason: Text = ""
    by: Text = ""


class CustomerReviewed(Payload):
    """Ours: look at a silent customer by the definitions that are live now."""


MergeGround = Literal["", "identified", "signed_in", "confirmed"]
"""What proves that a visitor is a customer: the shop says so (identify, alias), it names both at
once of what was done while signed in, or the visitor has confirmed the address that one account
has. Empty: told by a release that didn't say."""


class VisitorLinked(Payload):
    """Ours: tells a visitor's actor who the visitor is."""

    customer_id: Id
    ground: MergeGround = ""


class VisitorForgotten(Payload):
    """Ours: tells a visitor's actor that the customer it has become was erased, or the one who has
    the same id."""

    customer_id: Id


class VisitorMerged(Payload):
    """Ours: what a visitor's actor knows, sent to the customer's actor once."""

    anonymous_id: Reference
    state: str
    """The visitor's kept record; `agents/customer/handover_state.py` writes and reads it."""
    format: int = 1
    """Of that record (`schemas/stored.py`); release 0.1 named none."""
    ground: MergeGround = ""


class VisitorUnlinked(Payload):
    """Ours: an operator says that a visitor is not a customer after all."""

    customer_id: Id
    anonymous_id: Reference
    state: str = ""
    """What the visitor had handed over, as `VisitorMerged` has it; empty where the log has it no
    more."""
    format: int = 1
    """Of that record."""


class LinkRegistered(Payload):
    """Ours: a customer or visitor has an address, a cart id or a checkout id, as it tells the actor
    of that; once, and again when the ground has become a better one or an order names it."""

    customer_id: Reference
    ground: Ground = ""
    """Of an address: on which it is the customer's (`agents/customer/grounds.py`)."""
    replaces: Reference | None = None
    """The visitor who has become the customer: what it was registered for is the customer's."""
    ordered: int = 0
    """When an order was placed that names it, ms; 0 when it is told of for another reason."""
    bought: str = ""
    """What the order holds: hashes of the products, in hex; empty when it isn't known."""


class LinkOrdered(Payload):
    """Ours: a customer has placed an order that concerns a link which others have, too."""

    customer_id: Reference
    ordered: int
    bought: str = ""


class LinkLeft(Payload):
    """Ours: a customer or visitor does not have it any more, or was erased."""

    customer_id: Reference


class LinkShared(Payload):
    """Ours: a link's actor tells its holders that they are several."""

    link: Text


class OrderPlacedElsewhere(Payload):
    """Ours: a link's actor tells a holder that another one has placed an order; nothing else of who
    that is. When it was is the event's time."""

    link: Text
    bought: str = ""


class AddressSaid(Payload):
    """Ours: a holder of an address that others have, too, tells its actor what was said of it under
    the holder's id. Instants are ms, 0 where nothing was."""

    customer_id: Reference
    objected: int = 0
    agreed: int = 0
    ended: int = 0
    released: int = 0
    sent: tuple[int, ...] = ()
    """Marketing mails that were commanded since the holder has told of some."""
    former: bool = False
    """It is said of an address that the sender has had: somebody who reads its mails has said it.
    """
    asks: bool = False
    """The holder wants to hear what others have said: it is new."""


class AddressTold(Payload):
    """Ours: an address's actor tells a holder what others have said of the address."""

    link: Text
    objected: int = 0
    agreed: int = 0
    ended: int = 0
    released: int = 0
    sent: tuple[int, ...] = ()


class ConfirmationRequested(Payload):
    """Ours: before an address is asked to confirm, its actor is asked whether it may be."""

    customer_id: Reference
    run: str
    step: str


class ConfirmationAnswered(Payload):
    """Ours: the answer."""

    run: str
    step: str
    allowed: bool


class MarketingRequested(Payload):
    """Ours: before marketing goes to an address that several have, its actor is asked for a place
    within the shop's caps."""

    customer_id: Reference
    run: str
    step: str
    zone: Text = ""
    """The customer's, for caps of a calendar day."""


class MarketingAnswered(Payload):
    """Ours: the answer."""

    run: str
    step: str
    until: int = 0
    """When (ms) there may be a place; 0: this one has it."""


class AddressConfirmed(Payload):
    """Ours: somebody has confirmed an address, which may be asked anew from now on."""

    customer_id: Reference


class CouponRequested(Payload):
    """Ours: a customer's step asks a coupon pool's actor for a code."""

    campaign: str
    customer_id: Reference
    run: str
    step: str


class CouponIssued(Payload):
    """Ours: the answer of a coupon pool's actor. No code: none is left."""

    campaign: str
    run: str
    step: str
    code: str = ""


EVENT_TYPES = (
    EventType("address.released", AddressReleased, changes=("mails",), internal=True),
    EventType("customer.reviewed", CustomerReviewed, internal=True, stays_with_visitor=True),
    EventType(
        "visitor.linked", VisitorLinked, internal=True, stays_with_visitor=True, visitors_own=True
    ),
    EventType("visitor.merged", VisitorMerged, changes=get_args(CustomerPart), internal=True),
    EventType(
        "visitor.forgotten",
        VisitorForgotten,
        takes_away=True,
        erases=True,
        internal=True,
        stays_with_visitor=True,
        visitors_own=True,
    ),
    EventType(
        "visitor.unlinked",
        VisitorUnlinked,
        changes=get_args(CustomerPart),
        internal=True,
        stays_with_visitor=True,
        of_operators=True,
    ),
    EventType("link.registered", LinkRegistered, internal=True, told_to_links=True),
    EventType("link.ordered", LinkOrdered, internal=True, told_to_links=True),
    EventType("link.left", LinkLeft, takes_away=True, internal=True, told_to_links=True),
    EventType("link.shared", LinkShared, internal=True, is_answer=True),
    EventType(
        "order.placed_elsewhere",
        OrderPlacedElsewhere,
        changes=("cart",),
        internal=True,
        is_answer=True,
    ),
    EventType("address.said", AddressSaid, internal=True, told_to_links=True),
    EventType(
        "address.told",
        AddressTold,
        changes=("mails", "consents"),
        internal=True,
        is_answer=True,
    ),
    EventType("confirmation.requested", ConfirmationRequested, internal=True, told_to_links=True),
    EventType("confirmation.answered", ConfirmationAnswered, internal=True, is_answer=True),
    EventType("marketing.requested", MarketingRequested, internal=True, told_to_links=True),
    EventType("marketing.answered", MarketingAnswered, internal=True, is_answer=True),
    EventType("address.confirmed", AddressConfirmed, internal=True, told_to_links=True),
    EventType("coupon.requested", CouponRequested, internal=True),
    EventType("coupon.issued", CouponIssued, changes=("coupons",), internal=True, is_answer=True),
)
