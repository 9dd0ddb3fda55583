"""Who the customer is, and what is thought of it."""

from __future__ import annotations

import msgspec

from schemas.stored import NEVER

TAGS_KEPT = 200
"""The oldest give way, so that no workflow's `interest:{…}` can fill a record."""
LINKED_VISITORS = 20
"""Anonymous ids remembered per customer: browsers and devices of one person."""


class Profile(msgspec.Struct, array_like=True):
    """Who the customer is."""

    email: str = ""
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    birthday: str = ""
    locale: str = ""
    zone: str = ""
    country: str = ""
    city: str = ""
    mail_frequency: str = ""
    """`less`: the customer has asked for fewer mails. Empty or `normal`: has not."""


class Score(msgspec.Struct, array_like=True):
    """A score that halves with time: `value` was right at `time`."""

    value: float = 0.0
    time: int = 0
    band: str = ""
    last: dict[str, int] = {}
    """When the rules last held whose points end after a time, by rule."""


class Tag(msgspec.Struct, array_like=True):
    """A tag with its date."""

    added: int
    expires: int = NEVER
