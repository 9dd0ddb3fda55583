"""What the properties of events are made of."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, StringConstraints

from schemas.bounds import ADDRESS_BYTES, KEY_BYTES, LIST_BYTES, REFERENCE_BYTES, InBytes, fits

NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""C0, DEL and C1 controls: no name of a person, product or shop has one, header injections do.
Checked by pydantic's own engine; `schemas/validation.py` cleans texts that fail, ids stay
refused."""

_ADDRESS = r"[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+\.[^@\s<>,;:\"().]+"
"""A shape, not a verdict: refuses what no shop meant as an address; the mailer looks closer."""

# All constraints are pydantic's built-in ones: a Python validator per field would double the time
# per event. Those count characters; `schemas/validation.py` counts bytes where the text isn't
# ASCII.
Id = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=KEY_BYTES, pattern=NO_CONTROL
    ),
    InBytes(KEY_BYTES),
]
Reference = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=REFERENCE_BYTES, pattern=NO_CONTROL
    ),
    InBytes(REFERENCE_BYTES),
]
"""Of a customer or a visitor, as our own actors name them (`schemas/reference.py`)."""
ListName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=LIST_BYTES, pattern=NO_CONTROL),
    InBytes(LIST_BYTES),
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=NO_CONTROL)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048, pattern=NO_CONTROL)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=ADDRESS_BYTES, pattern=f"^({_ADDRESS})?$"),
    InBytes(ADDRESS_BYTES),
]
"""An address by its shape, or empty."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$", to_upper=True)]


def is_address(text: str) -> bool:
    """Return whether `text` has the shape of an e-mail address, and at most its length."""
    return fits(text, ADDRESS_BYTES) and re.fullmatch(_ADDRESS, text) is not None


class Payload(BaseModel):
    """Properties of an event. Unknown fields are ignored."""

    keeps_nulls: ClassVar[bool] = False
    """A null says something else than an absent field."""

    # Numbers may be ids: shops send `"product_id": 4711`.
    model_config = ConfigDict(
        defer_build=True,  # of some forty, a command meets a few; a first event takes 1 ms more
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        coerce_numbers_to_str=True,
    )
