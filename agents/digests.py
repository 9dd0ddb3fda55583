"""Hashes: ids derived from what caused them, and sets of what has been seen.

A set is kept as bytes, `SEEN_BYTES` for each member: events received, orders counted.
"""

from __future__ import annotations

import hashlib

import xxhash

from schemas.addresses import normalized_address
from schemas.customer import SEEN_BYTES


def derived_id(*parts: str) -> str:
    """Return the id of what follows from `parts`: the same cause, the same 32 hex digits."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def digest(token: str) -> bytes:
    """Return the hash under which `token` is remembered."""
    return xxhash.xxh3_64_digest(token.encode())


def contains(digests: bytes, wanted: bytes) -> bool:
    """Return whether `wanted` is one of `digests`."""
    index = digests.find(wanted)
    while index > 0 and index % SEEN_BYTES:  # a hit across two digests is none
        index = digests.find(wanted, index + 1)
    return index >= 0


def address_digest(address: str) -> str:
    """Return the hash by which two addresses are compared, in whichever spelling: 32 hex digits of
    a kind for which nobody finds an address of his own with the hash of another's."""
    return derived_id(normalized_address(address))


def is_digest_of(hashed: str, address: str) -> bool:
    """Return whether `hashed` is an address's hash, also as releases made it that did not write
    international domains in ASCII."""
    if hashed == address_digest(address):
        return True
    return not address.isascii() and hashed == derived_id(address.strip().lower())
