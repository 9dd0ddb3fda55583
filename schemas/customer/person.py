"""Who the customer is: profile, tags and scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from schemas.bounds import ADDRESS_BYTES, InBytes, InNumber, Name
from schemas.languages import MAIL_LANGUAGES
from schemas.stored import NEVER

TAGS_KEPT = 200
"""The oldest give way, so that no workflow's `interest:{…}` can fill a record."""
LINKED_VISITORS = 20
"""Anonymous ids remembered per customer: browsers and devices of one person."""
TAG_BYTES = 100
"""Of a tag that names a field, whatever stands in that."""
TAGS_TOTAL_BYTES = 10_000
"""Bytes of all tags: 200 of forty letters, more than any has."""
PROFILE_BYTES = 200
"""Of each text of a profile; of a longer one its beginning is kept."""
SOURCE_BYTES = 100
SCORES_KEPT = 10
"""Scores besides engagement; a shop has two or three."""
RULES_KEPT = 12
"""Rules with `within` of one score that are remembered; the one that held longest ago gives way."""
FIELDS_TOTAL_BYTES = 12_000
"""Bytes of all custom fields: twenty of the longest texts. A value for which there is no room is
refused and counted, as one of another type is."""
FIELD_BYTES = 500
"""Of a custom field's text; of a longer one its beginning is kept."""
STATED_TOTAL_BYTES = 3_000
"""Bytes of the times at which traits were stated: those of the profile and sixty custom fields; the
oldest give way, and any statement is newer than one whose time isn't known."""
SEGMENTS_KEPT = 100
"""Segments that a customer is in at once; what a shop defines beyond is not entered."""

OCCURRED_TOTAL_BYTES = 480
"""Bytes of how often events of the shop's own occurred: some fifteen of them."""
_OCCURRED_BYTES = 32
"""Of one of them beside its name, at most: a count, an instant and their headers."""

_Text = Annotated[str, InBytes(PROFILE_BYTES)]

Ground = Literal["", "typed", "ordered", "account", "confirmed"]
"""On what ground an address is somebody's, weakest first (`agents/customer/grounds.py`)."""


class Profile(msgspec.Struct, array_like=True, gc=False):
    """Who the customer is."""

    email: Annotated[str, InBytes(ADDRESS_BYTES)] = ""
    name: _Text = ""
    first_name: _Text = ""
    last_name: _Text = ""
    phone: _Text = ""
    birthday: _Text = ""
    locale: _Text = ""
    zone: _Text = ""
    country: _Text = ""
    city: _Text = ""
    mail_frequency: _Text = ""
    """`less`: the customer has asked for fewer mails. Empty or `normal`: has not."""
    ground: Ground = ""
    """Of the address; empty where there is none, and of before grounds were kept."""

    @property
    def language(self) -> str:
        """The language of the customer's mails, by the beginning of the locale."""
        locale = self.locale.lower()
        spoken = (each for each in MAIL_LANGUAGES if locale.startswith(each))
        return next(spoken, MAIL_LANGUAGES[0])


StatedName = Annotated[str, InBytes(48)]
"""Of a trait: as the profile calls it, or `fields.NAME`."""


class StatedAt(msgspec.Struct, array_like=True, gc=False):
    """When a trait was stated last (`agents/customer/statements.py`)."""

    time: int
    tie: int = 0
    """Of the event's id a hash, which decides between two at the same instant."""
    typed: bool = False
    """Somebody has typed it; else the shop has said it."""


class Score(msgspec.Struct, array_like=True, gc=False):
    """A score that halves with time: `value` was right at `time`."""

    value: float = 0.0
    time: int = 0
    band: Name = ""
    last: Annotated[dict[Name, int], InNumber(RULES_KEPT)] = {}
    """When the rules last held whose points end after a time, by rule."""


class Occurred(msgspec.Struct, array_like=True, gc=False):
    """An event of the shop's own that is counted."""

    times: int = 0
    last: int = 0
    """When it occurred last, ms since the epoch."""


def occurred_bytes(names: Iterable[str]) -> int:
    """Return how many bytes the counts of events with these names take at most."""
    return sum(len(name) + _OCCURRED_BYTES for name in names)


class CustomerTag(msgspec.Struct, array_like=True, gc=False):
    """A tag with its date."""

    added: int
    expires: int = NEVER
    by_shop: bool = False
    """The shop lists it among the customer's traits; else a workflow has put it on."""
