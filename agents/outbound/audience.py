"""Who of a segment may be named to an advertising platform, and in which form.

Only who has consented to marketing under an address that is certainly theirs, and has not objected,
under whichever id. What leaves are SHA-256 hashes of addresses and telephone numbers, in the
spelling that each platform compares (Meta: Custom Audiences; Google: Customer Match).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from typing import Literal, NamedTuple

from agents.sending.legal_basis import reaches_its_owner
from schemas.addresses import normalized_address
from schemas.customer import Customer
from schemas.reference import is_visitors

AudienceFormat = Literal["meta", "google", "csv"]

COLUMNS: dict[AudienceFormat, tuple[str, str]] = {
    "meta": ("email", "phone"),
    "google": ("Email", "Phone"),
    "csv": ("email_sha256", "phone_sha256"),
}

LeftOut = Literal["no_consent", "no_address", "suppressed", "not_certainly_theirs", "twice"]
"""not_certainly_theirs: somebody has only typed the address. twice: the address was there."""

_DOTTED = ("gmail.com", "googlemail.com")
"""Where Google takes an address with dots before the @ for the same as without."""

_TRUNKS = {
    "AT": ("43", "0"), "BE": ("32", "0"), "CH": ("41", "0"), "DE": ("49", "0"), "ES": ("34", ""),
    "FR": ("33", "0"), "GB": ("44", "0"), "IE": ("353", "0"), "IT": ("39", ""), "LU": ("352", ""),
    "NL": ("31", "0"), "PT": ("351", ""), "SM": ("378", ""), "VA": ("39", ""),
}  # fmt: skip
"""Country → its code, and what a national number begins with that an international one doesn't
have. An Italian number keeps its zero."""


class AudienceRow(NamedTuple):
    """What is written of one customer; hashes, empty where there is none."""

    email: str
    phone: str


class Selection(NamedTuple):
    """Whom an audience is of."""

    segment: str
    format: AudienceFormat
    country: str
    """Of telephone numbers that say none, for customers of whom none is known."""
    suppressed: Callable[[str], bool]
    """Whether no marketing may go to an address, by the suppression list."""
    also: Collection[str] = ()
    """Purposes to which they must have consented besides."""


def is_member(customer: Customer, segment: str) -> bool:
    """Whether somebody is in a segment, as a customer."""
    return not is_visitors(customer.key) and not customer.became and segment in customer.segments


def row_of(customer: Customer, selection: Selection) -> AudienceRow | LeftOut:
    """Return what is written of a member of the segment, or why nothing is."""
    if not all(customer.consented(each) for each in ("marketing", *selection.also)):
        return "no_consent"
    email = customer.profile.email
    if not email:
        return "no_address"  # what stands against marketing stands with the address
    if customer.suppressed or selection.suppressed(email):
        return "suppressed"
    if not reaches_its_owner(customer, "consent", reminds=False, remind_typed=False):
        return "not_certainly_theirs"
    phone = e164(customer.profile.phone, customer.profile.country or selection.country)
    plain = phone.removeprefix("+") if selection.format == "meta" else phone
    return AudienceRow(hashed(address_of(email, selection.format)), hashed(plain))


def address_of(email: str, format_: AudienceFormat) -> str:
    """Return an address as a platform compares it."""
    address = normalized_address(email)
    local, _, domain = address.rpartition("@")
    if format_ == "google" and domain in _DOTTED:
        return f"{local.replace('.', '')}@{domain}"
    return address


def e164(phone: str, country: str) -> str:
    """Return a telephone number as `+39…`, empty when that can't be said for certain."""
    text = phone.strip()
    digits = re.sub(r"\D", "", text.replace("(0)", ""))
    if re.search(r"[^\d\s()+./\-]", text):
        return ""  # an extension, a word: it may be another number
    if text.startswith("+"):
        number = digits
    elif text.startswith("00"):
        number = digits[2:]
    else:
        known = _TRUNKS.get(country.strip().upper())
        if known is None:
            return ""
        code, trunk = known
        number = code + digits.removeprefix(trunk)
    return f"+{number}" if 8 <= len(number) <= 15 and not number.startswith("0") else ""


def hashed(text: str) -> str:
    """Return the SHA-256 of a text in hex, empty of nothing."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
