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

from typing import get_args

from agents.customer import deliverability, speaker, statements
from schemas.addresses import same_address
from schemas.bounds import ADDRESS_BYTES, fits
from schemas.customer import Customer
from schemas.customer.person import Ground, StatedAt

GROUNDS: tuple[Ground, ...] = get_args(Ground)
"""Weakest first; the first is of what has none: no address, a cart, a checkout."""
RANK: dict[Ground, int] = {ground: rank for rank, ground in enumerate(GROUNDS)}
"""The place of each among them, by which links keep it."""


def ground_of(customer: Customer) -> Ground:
    """Return on what ground the profile's address is the customer's, empty when there is none."""
    return of_kept(customer, customer.profile.ground) if customer.profile.email else ""


def of_kept(customer: Customer, kept: Ground) -> Ground:
    """Return the ground of an address with which `kept` is kept.

    Of what was kept before grounds were, the shop's word on the customer is all that is known.
    """
    if kept:
        return kept
    return "account" if speaker.is_customers(customer) else "typed"


def is_owned(customer: Customer) -> bool:
    """Return whether the profile's address is the customer's own by the shop's word or a proof."""
    return RANK[ground_of(customer)] >= RANK["account"]


def is_owned_by_both(customer: Customer, visitor: Customer) -> bool:
    """Return whether the address that a visitor has brought along is the customer's own."""
    theirs, mine = visitor.profile.email, customer.profile.email
    return bool(theirs) and is_owned(customer) and same_address(theirs, mine)


def is_consent_stated(customer: Customer) -> bool:
    """Return whether the shop states, of this customer, that marketing is agreed to."""
    consent = customer.consents.get("marketing")
    return consent is not None and consent.given and consent.stated


def has_objected_elsewhere(customer: Customer) -> bool:
    """Return whether marketing to the customer's address was refused under another id, and nobody
    who owns it has said yes since."""
    elsewhere = customer.links.elsewhere
    if elsewhere is None or not elsewhere.objected:
        return False
    consent = customer.consents.get("marketing")
    says_yes = consent is not None and consent.given and (consent.stated or is_owned(customer))
    own = consent.time if consent is not None and says_yes else 0
    return elsewhere.objected >= max(own, elsewhere.agreed)


def is_at_least(ground: Ground, least: Ground) -> bool:
    """Return whether a ground is as strong as another one."""
    return RANK[ground] >= RANK[least]


def may_move(customer: Customer, ground: Ground) -> bool:
    """Return whether an address stated on a ground replaces the one there is."""
    held = ground_of(customer)
    if ground == "account":
        return True
    if ground == "typed":
        return held == "" or (held == "typed" and not is_consent_stated(customer))
    return RANK[held] <= RANK["ordered"] and RANK[held] <= RANK[ground]


def take(customer: Customer, address: str, ground: Ground, said: StatedAt, now: int) -> bool:
    """Take over an address that was stated on a ground, as far as that may move the one there is
    and is the newest statement on such a ground; return whether it is the customer's after that.
    `now`: the time of the log, ms.

    Of one and the same address the stronger ground is kept; the shop's word also spells it.
    """
    profile, last = customer.profile, customer.stated.get("email")
    later = statements.is_later(said, last)
    if not address or not fits(address, ADDRESS_BYTES):
        return False
    held = ground_of(customer)
    weight, known = _weight(ground), _weight(held)
    if profile.email and same_address(profile.email, address):
        if ground == "account" and later:
            profile.email = address
        if weight > known or (weight == known and later):
            statements.note(customer, "email", said)
        if RANK[ground] > RANK[held]:
            profile.ground = ground
        return True
    if profile.email:
        outweighs = weight > known
    else:  # it was taken away by somebody who has typed that, or was never there
        outweighs = ground == "account" and last is not None and last.typed
    if not may_move(customer, ground) or not (later or outweighs):
        return False
    if profile.email:
        deliverability.moved(customer, profile.email, address, now)
    profile.email, profile.ground = address, ground
    statements.note(customer, "email", said)
    return True


def confirm(customer: Customer) -> None:
    """Whoever reads the mails to the profile's address has said that it is the customer's. Which
    address that is nobody has said, so an older statement of another one may still come."""
    if customer.profile.email:
        customer.profile.ground = "confirmed"


def take_away(customer: Customer, ground: Ground, said: StatedAt, now: int) -> None:
    """The customer has no address any more, says somebody on a ground; see `take`."""
    later = statements.is_later(said, customer.stated.get("email"))
    if later and _weight(ground) >= _weight(ground_of(customer)):
        if customer.profile.email:
            deliverability.moved(customer, customer.profile.email, "", now)
        customer.profile.email, customer.profile.ground = "", ""
        statements.note(customer, "email", said)


def adopt(customer: Customer, visitor: Customer, now: int) -> None:
    """Take over a visitor's address on its ground, and what is known of it."""
    theirs, mine = visitor.profile.email, customer.profile.email
    said = visitor.stated.get("email") or StatedAt(0)
    taken = take(customer, theirs, ground_of(visitor), said, now)
    if not mine or (taken and not same_address(theirs, mine)):
        customer.suppressed, customer.bounces = visitor.suppressed, visitor.bounces


def _weight(ground: Ground) -> int:
    """Return how much a statement on a ground weighs; of those that weigh the same the newest
    counts. An account's address is not moved by a confirmation, and is by the shop."""
    return min(RANK[ground], RANK["account"])
