"""What the properties of events are made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from schemas.birthdays import read_birthday
from schemas.bounds import ADDRESS_BYTES, KEY_BYTES, LIST_BYTES, REFERENCE_BYTES, InBytes, fits
from schemas.field_kinds import Holds, Strict
from schemas.urls import WEB_URL
from schemas.zones import read_zone

NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""C0, DEL and C1 controls: no name of a person, product or shop has one, header injections do.
Checked by pydantic's own engine; `schemas/validation.py` cleans texts that fail, ids stay
refused."""

_UNSEEN = "\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff"
"""What takes no room on a screen and comes along when an address is copied."""
INVISIBLE = re.compile(f"[{_UNSEEN}]+")

_PART = rf"[^@\s<>,;:\"(){_UNSEEN}]+"
_ADDRESS = rf"{_PART}@{_PART}\.[^@\s<>,;:\"().{_UNSEEN}]+"
"""A shape, not a verdict: refuses what no shop meant as an address; the mailer looks closer."""


def _known_zone(name: str) -> str:
    if name and read_zone(name) != name:
        raise ValueError("no time zone's name")
    return name


# All constraints but that of a rare field are pydantic's built-in ones: a Python validator per
# field would double the time per event. Those count characters; `schemas/over_long.py` counts
# bytes where the text isn't ASCII.
Id = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=KEY_BYTES, pattern=NO_CONTROL
    ),
    InBytes(KEY_BYTES),
    Holds("id"),
]
Reference = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=REFERENCE_BYTES, pattern=NO_CONTROL
    ),
    InBytes(REFERENCE_BYTES),
    Holds("id"),
]
"""Of a customer or a visitor, as our own actors name them (`schemas/reference.py`)."""
ListName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=LIST_BYTES, pattern=NO_CONTROL),
    InBytes(LIST_BYTES),
    Holds("id"),
    Strict(),  # without it another list would be meant
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=NO_CONTROL)]
"""For people: of one that is too long the beginning is kept."""
Code = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=1000, pattern=NO_CONTROL),
    Holds("code"),
]
"""A text of which a part would be another one."""
Birthday = Annotated[Code, AfterValidator(read_birthday)]
"""A day as ISO 8601 writes it, with or without a year, or empty."""
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048, pattern=f"^({WEB_URL})?$"),
    Holds("url"),
]
"""What a mail can link to, or empty."""
AnyUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048, pattern=NO_CONTROL),
    Holds("url"),
]
"""The same as what is kept has it, from whenever it is; it was looked at when it came in."""
Location = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048, pattern=NO_CONTROL),
    Holds("code"),
]
"""Where somebody is or comes from, as a browser or an app calls it: no mail links to it."""
Zone = Annotated[
    str, StringConstraints(strip_whitespace=True), AfterValidator(_known_zone), Holds("zone")
]
"""A time zone by the name under which it is kept (`schemas/zones.py`), or empty."""
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=ADDRESS_BYTES, pattern=f"^({_ADDRESS})?$"),
    InBytes(ADDRESS_BYTES),
    Holds("address"),
]
"""An address by its shape, or empty."""
Currency = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z]{3}$", to_upper=True), Holds("currency")
]


def is_address(text: str) -> bool:
    """Return whether `text` has the shape of an e-mail address, and at most its length."""
    return fits(text, ADDRESS_BYTES) and re.fullmatch(_ADDRESS, text) is not None


class Payload(BaseModel):
    """Properties of an event. Unknown fields are ignored."""

    # Numbers may be ids: shops send `"product_id": 4711`.
    model_config = ConfigDict(
        defer_build=True,  # of some forty, a command meets a few; a first event takes 1 ms more
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        coerce_numbers_to_str=True,
    )
