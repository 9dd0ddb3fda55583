"""Addresses as they are compared: two spellings of one mailbox are one address.

An address is sent to as it was given; whether two are the same is asked here, by whoever keeps a
hash of one, looks for its customers or compares it with another's.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]+"
)
"""What takes no room on a screen and comes along when an address is copied: blanks without width,
marks of direction, a byte order mark, a soft hyphen."""


def trimmed_address(text: str) -> str:
    """Return an address without what can't be seen of it: blanks around it, invisible characters
    anywhere."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    return text.strip()


def normalized_address(address: str) -> str:
    """Return the form by which addresses are compared; it is never sent to.

    The domain in ASCII (IDNA) and lower case; what stands before it in lower case, as providers do
    not tell the two apart, and composed (NFC).
    """
    local, at, domain = trimmed_address(address).rpartition("@")
    if not (local.isascii() and domain.isascii()):
        local = unicodedata.normalize("NFC", local)
        with suppress(UnicodeError):  # what has no such form is no domain that a mail could go to
            domain = domain.encode("idna").decode("ascii")
    return f"{local}{at}{domain}".lower()


def same_address(one: str, other: str) -> bool:
    """Return whether two addresses are one mailbox; nothing is no mailbox."""
    return bool(one) and (one == other or normalized_address(one) == normalized_address(other))
