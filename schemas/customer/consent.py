"""What the customer has agreed to, and what proves it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.bounds import LIST_BYTES, InBytes, Key

EVIDENCE_KEPT = 50
"""Statements remembered per purpose, and of all lists together. Whoever changes their mind twice a
month for two years is still proven; a page that somebody clicks without end can't fill a record."""
EVIDENCE_TOTAL_BYTES = 40_000
"""Bytes of all of them: what proves the last word on each list and the last yes and no to each
purpose always fits, whatever texts came with it; of others there are some 250 of the usual size."""
EVIDENCE_TEXT = 100
"""Bytes of each text in a piece of evidence."""
IP_BYTES = 45
"""The longest form of an IPv6 address."""
LISTS_KEPT = 40
"""Lists of which it is known whether the customer is on them; nobody joins so many. One that still
waits for consent or confirmation gives way to another; those that were joined don't, nor those that
were left, which is an objection."""
PURPOSES = 3
"""Of consent: marketing, profiling, tracking."""

ListName = Annotated[str, InBytes(LIST_BYTES)]
_Text = Annotated[str, InBytes(EVIDENCE_TEXT)]


class Consent(msgspec.Struct, array_like=True, gc=False):
    """The last word on one purpose, with the event that is its evidence."""

    given: bool
    time: int
    source: _Text
    event_id: Key


class Evidence(msgspec.Struct, array_like=True, gc=False):
    """Something that the customer said, and what proves it."""

    purpose: Annotated[str, InBytes(9)]
    """A purpose of consent, or `list`."""
    given: bool
    time: int
    source: _Text
    event_id: Key
    list: ListName = ""
    wording: _Text = ""
    """Version of the words that were agreed to."""
    mail: _Text = ""
    """Id of the mail whose link led there."""
    ip: Annotated[str, InBytes(IP_BYTES)] = ""


class Subscription(msgspec.Struct, array_like=True, gc=False):
    """Membership of one list."""

    subscribed: bool
    time: int
    joined: bool = False
    """Subscribed and consented to: from then on the list's mails may be sent."""
    pending: bool = False
    """Not confirmed yet by whom the address belongs to (double opt-in)."""
