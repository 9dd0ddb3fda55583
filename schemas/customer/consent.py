"""What the customer has agreed to, and what proves it."""

from __future__ import annotations

import msgspec

EVIDENCE_KEPT = 50
"""Statements remembered per purpose, and of all lists together. Whoever changes their mind twice a
month for two years is still proven; a page that somebody clicks without end can't fill a record."""


class Consent(msgspec.Struct, array_like=True):
    """The last word on one purpose, with the event that is its evidence."""

    given: bool
    time: int
    source: str
    event_id: str


class Evidence(msgspec.Struct, array_like=True):
    """Something that the customer said, and what proves it."""

    purpose: str
    """A purpose of consent, or `list`."""
    given: bool
    time: int
    source: str
    event_id: str
    list: str = ""
    wording: str = ""
    """Version of the words that were agreed to."""
    mail: str = ""
    """Id of the mail whose link led there."""
    ip: str = ""


class Subscription(msgspec.Struct, array_like=True):
    """Membership of one list."""

    subscribed: bool
    time: int
    joined: bool = False
    """Subscribed and consented to: from then on the list's mails may be sent."""
    pending: bool = False
    """Not confirmed yet by whom the address belongs to (double opt-in)."""
