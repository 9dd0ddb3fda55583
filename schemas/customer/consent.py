"""What the customer has agreed to, and what proves it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.bounds import ADDRESS_BYTES, LIST_BYTES, InBytes, Key

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

LIST_ADDRESSES_BYTES = 800
"""Bytes of the addresses other than the profile's that were put on lists: some ten of the usual
size, two of the longest. The one that was put on a list longest ago gives way."""

ListName = Annotated[str, InBytes(LIST_BYTES)]
_Text = Annotated[str, InBytes(EVIDENCE_TEXT)]


class Consent(msgspec.Struct, array_like=True, gc=False):
    """The last word on one purpose, with the event that is its evidence."""

    given: bool
    time: int
    source: _Text
    event_id: Key
    stated: bool = False
    """The shop has said it of this customer, or a page that one of its mails has led to: no visitor
    of itself. Of before that was kept it is not known."""


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
    stated: bool = False
    """Of a yes: see `Consent`."""


class Subscription(msgspec.Struct, array_like=True, gc=False):
    """Membership of one list."""

    subscribed: bool
    time: int
    joined: bool = False
    """Subscribed and consented to: from then on the list's mails may be sent."""
    pending: bool = False
    """Not confirmed yet by whom the address belongs to (double opt-in)."""


class ListAddress(msgspec.Struct, array_like=True, gc=False):
    """An address on a list that isn't the profile's: a form has named it, and it moves nothing."""

    email: Annotated[str, InBytes(ADDRESS_BYTES)]
    time: int
    """When it was put on the list; the run that asks it to confirm has begun then."""
    confirmed: bool = False
    """Whoever reads its mails has said yes to the list."""
