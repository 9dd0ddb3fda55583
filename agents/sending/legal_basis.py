"""The legal basis of marketing: consent, or the narrow exception for a shop's own customers.

Soft opt-in (Codice Privacy, art. 130(4), after Directive 2002/58/EC, art. 13(2)): who has given the
address in the context of a sale may be written to about similar products without having consented,
until they object. Whether a mail is about similar products its step declares; that customers are
told of their right when the address is collected the shop declares, by allowing it in its policy;
that each mail offers a way out the composer sees to. `docs/privacy.md`; not legal advice.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from agents.customer import grounds
from schemas.commands import LegalBasis
from schemas.customer import Customer
from schemas.instant import to_datetime
from schemas.time_units import DAY_MS

TWO_YEARS_MS = 730 * DAY_MS
"""24 months: what the Italian authority has long named as the time for which data may be used for
marketing, and the longest that a customer can be said to remember the purchase."""

ADULT_YEARS = 18

_UNDONE = ("cancelled", "refunded")


class SoftOptIn(NamedTuple):
    """What the shop's policy says of it."""

    allowed: bool = False
    lasts: int = TWO_YEARS_MS
    """ms after the last order."""


def legal_basis(
    customer: Customer, step_allows_soft_opt_in: bool, now: int, settings: SoftOptIn
) -> LegalBasis | None:
    """Return the basis on which a marketing mail may go to the customer; None when there is none.

    `step_allows_soft_opt_in`: the mail is about products like those that were bought.
    """
    if customer.consented("marketing"):
        return "consent"
    if (
        settings.allowed
        and step_allows_soft_opt_in
        and customer.profile.email
        and not _has_objected(customer)
        and _has_bought(customer, since=now - settings.lasts)
        and _is_adult(customer, now)
    ):
        return "soft_opt_in"
    return None


def reaches_its_owner(
    customer: Customer, basis: LegalBasis, *, reminds: bool, remind_typed: bool
) -> bool:
    """Return whether marketing on a basis may go to the profile's address, on the ground on which
    it is the customer's: what somebody has only typed may be anybody's.

    `reminds`: the mail is about a cart or a checkout.
    """
    ground = grounds.ground_of(customer)
    if grounds.is_at_least(ground, "account") or grounds.is_consent_stated(customer):
        return True
    if basis == "soft_opt_in":
        return ground == "ordered"
    return reminds and remind_typed


def _has_objected(customer: Customer) -> bool:
    """Whether the customer has ever said no: withdrawn, unsubscribed, complained or left a list."""
    marketing = customer.consents.get("marketing")
    return (
        customer.links.silenced
        or (marketing is not None and not marketing.given)
        or any(not each.subscribed or each.pending for each in customer.lists.values())
        or any(not each.given for each in customer.evidence if each.purpose in _NO_MARKETING)
    )


_NO_MARKETING = ("marketing", "list")


def _has_bought(customer: Customer, since: int) -> bool:
    return any(order.time >= since and order.status not in _UNDONE for order in customer.orders)


def _is_adult(customer: Customer, now: int) -> bool:
    """Whether nothing says otherwise: shops sell to adults, and few ask for the birthday."""
    try:
        born = date.fromisoformat(customer.profile.birthday[:10])
    except ValueError:
        return True
    today = to_datetime(now).date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return years >= ADULT_YEARS
