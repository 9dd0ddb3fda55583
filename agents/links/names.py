"""How links are named: `KIND/HASH`, with a keyed hash, so that no name tells an address to whoever
finds it. The key is derived from the oldest of RITORNO_TOKEN_KEYS: a new one changes no name.

A link's actor has the key PREFIX and the link's name.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

from schemas.addresses import normalized_address
from schemas.everybodys import is_everybodys

PREFIX = "ritorno/links/"
"""Keys of the links' actors."""

Kind = Literal["address", "cart", "checkout"]

_REMEMBERED = 10_000
"""Names made out of late, some 3 MB: those of the same visits come again."""


@lru_cache(_REMEMBERED)
def of_address(address: str, key: bytes) -> str:
    """Return the name of an address, in whichever spelling."""
    return _named("address", "", normalized_address(address), key)


def of_id(kind: Kind, id_: str, shop: str, key: bytes) -> str:
    """Return the name of a cart's or checkout's id at a shop; empty where that stands for no cart
    or checkout in particular."""
    return "" if is_everybodys(id_) else _named(kind, shop, id_, key)


def kind_of(link: str) -> str:
    """Return what a link is."""
    return link.partition("/")[0]


def is_link(reference: str) -> bool:
    """Whether a key is that of a link's actor."""
    return reference.startswith(PREFIX)


def is_short_lived(reference: str) -> bool:
    """Whether the actor under a key is forgotten once nobody has named its link for a time."""
    return is_link(reference) and not reference.startswith(f"{PREFIX}address/")


@lru_cache(_REMEMBERED)
def _named(kind: Kind, shop: str, text: str, key: bytes) -> str:
    said = f"{kind}\0{shop}\0{text}".encode()
    return f"{kind}/{hashlib.blake2b(said, key=key, digest_size=16).hexdigest()}"
