"""The real messages beside the checkout, and what a person read in sixty of them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

SETS = Path(os.environ.get("RITORNO_DATA_SETS", Path(__file__).parents[4] / "shared" / "data"))
MESSAGES = SETS / "bounces"
SAMPLE = Path(__file__).with_name("sample.json")


class Label(NamedTuple):
    """What a person read in one message."""

    kind: str
    reason: str
    address: str
    """Its digest, see `address_digest`: the sample holds nobody's address."""


def sample() -> dict[str, Label]:
    """The sixty whose names have the lowest hashes: nobody chose them."""
    return {name: Label(*label) for name, label in json.loads(SAMPLE.read_text()).items()}


def address_digest(file: str, address: str) -> str:
    """Return what the sample holds in place of an address."""
    return hashlib.blake2b(f"{file} {address}".encode(), digest_size=6).hexdigest()


def names() -> list[str]:
    """Return the names of all messages."""
    return sorted(path.name for path in MESSAGES.glob("*.eml"))


def chosen(count: int) -> list[str]:
    """Return the names that the sample must consist of."""
    return sorted(names(), key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count]
