"""On what ground an address is somebody's, weakest first.

    typed       somebody has typed it: a visitor, a form, whoever speaks in public
    ordered     an order was placed with it
    account     the shop says that it is the customer's
    confirmed   whoever reads its mails has said so (double opt-in), here or upstream

What is said on a weaker ground never moves an address that is there on a stronger one: whoever
fills in a form doesn't take an account over. What the shop says of an account always counts, since
addresses change.
"""

from __future__ import annotations

from agents.customer import deliverability, speaker
from schemas.addresses import same_address
from schemas.bounds import ADDRESS_BYTES, fits
from schemas.customer import Customer
from schemas.customer.person import Ground
from schemas.events import Event

_RANK: dict[str, int] = {"": -1, "typed": 0, "ordered": 1, "account": 2, "confirmed": 3}


def ground_of(customer: Customer) -> Ground:
    """Return on what ground the profile's address is the customer's, empty when there is none.

    Of what was kept before grounds were, the shop's word on the customer is all that is known.
    """
    if not customer.profile.email:
        return ""
    if customer.profile.ground:
        return customer.profile.ground
    return "account" if speaker.is_customers(customer) else "typed"


def is_owned(customer: Customer) -> bool:
    """Return whether the profile's address is the customer's own by the shop's word or a proof."""
    return _RANK[ground_of(customer)] >= _RANK["account"]


def is_consent_stated(customer: Customer) -> bool:
    """Return whether the shop states, of this customer, that marketing is agreed to."""
    consent = customer.consents.get("marketing")
    return consent is not None and consent.given and consent.stated


def is_at_least(ground: Ground, least: Ground) -> bool:
    """Return whether a ground is as strong as another one."""
    return _RANK[ground] >= _RANK[least]


def is_of_visitor(event: Event) -> bool:
    """Return whether an event says what somebody typed: a visitor of itself, the public, or a
    visitor's actor that passes on what it has heard of a device. What the shop said when it named
    whose visitor that is names the customer."""
    if speaker.by_visitor(event):
        return True
    if not event.forwarded:
        return False
    customer_id = getattr(event.data, "customer_id", None)
    return customer_id is None


def of_statement(event: Event) -> Ground:
    """Return the ground of an address that an event states as the customer's own."""
    return "typed" if is_of_visitor(event) else "account"


def may_move(customer: Customer, ground: Ground) -> bool:
    """Return whether an address stated on a ground replaces the one there is."""
    held = ground_of(customer)
    if ground == "account":
        return True
    if ground == "typed":
        return held == "" or (held == "typed" and not is_consent_stated(customer))
    return _RANK[held] < min(_RANK[ground], _RANK["account"])


def take(customer: Customer, address: str, ground: Ground, now: int) -> bool:
    """Take over an address that is stated on a ground at `now` (ms), as far as that may move the
    one there is; return whether it is the customer's after that.

    Of one and the same address the stronger ground is kept; the shop's word also spells it.
    """
    profile = customer.profile
    if not address or not fits(address, ADDRESS_BYTES):
        return False
    if profile.email and same_address(profile.email, address):
        if ground == "account":
            profile.email = address
        if _RANK[ground] > _RANK[ground_of(customer)]:
            profile.ground = ground
        return True
    if not may_move(customer, ground):
        return False
    if profile.email:
        deliverability.moved(customer, profile.email, address, now)
    profile.email, profile.ground = address, ground
    return True
