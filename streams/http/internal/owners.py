"""Who has a partition, and under which address it answers."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from pydantic_core import from_json

from streams.log import Log
from streams.settings import Settings
from streams.settings.values import Address, parse_address
from streams.topology import CUSTOMER_EVENTS

ADDRESS_FILE = "worker.address"
"""In the data directory, on the embedded log."""

WILDCARDS = frozenset({"0.0.0.0", "::"})
"""Addresses to listen on, at which nobody can be reached."""


class Owners:
    """Finds the owner of a partition of `customer-events`."""

    def __init__(self, log: Log, group: str, directory: Path) -> None:
        """`directory`: the data directory, where the embedded log's worker leaves its address."""
        self._log = log
        self._group = group
        self._directory = directory
        self._known: dict[int, Address] | None = None

    async def owner(self, partition: int) -> Address | None:
        """Return where the owner answers, None when there is none or it tells no address.

        Remembered until `forget`. Raises LogError.
        """
        if self._known is None:
            self._known = await self._read()
        return self._known.get(partition)

    async def all(self) -> set[Address]:
        """Return where any owner answers. Raises LogError."""
        if self._known is None:
            self._known = await self._read()
        return set(self._known.values())

    def forget(self) -> None:
        """Look again the next time: an owner did not answer, or has said that it is none."""
        self._known = None

    async def _read(self) -> dict[int, Address]:
        members = await self._log.members(self._group)
        if members is None:
            alone = _left_in(self._directory)
            if alone is None:
                return {}
            return dict.fromkeys(range(await self._log.partitions(CUSTOMER_EVENTS)), alone)
        owners: dict[int, Address] = {}
        for member in members:
            address = read_address(member.published)
            if address is not None:
                owners.update(dict.fromkeys(member.partitions.get(CUSTOMER_EVENTS, ()), address))
        return owners


def published(address: Address) -> bytes:
    """Return what a worker publishes of itself."""
    return json.dumps({"internal": str(address)}).encode()


def read_address(content: bytes) -> Address | None:
    """Return the address that a worker has published; None for another release's, or none."""
    try:
        return parse_address(from_json(content)["internal"])
    except (ValueError, KeyError, TypeError):
        return None


def _left_in(directory: Path) -> Address | None:
    try:
        return read_address((directory / ADDRESS_FILE).read_bytes())
    except OSError:
        return None  # no worker, or one of another directory


def reached_at(settings: Settings, listening: Address) -> Address:
    """Return the address to publish: what is set, else where it listens.

    Who listens everywhere is reached by the machine's name, unless something better is set.
    """
    given = settings.internal_address
    if given is not None:
        return Address(given.host, given.port or listening.port)
    host = socket.gethostname() if listening.host in WILDCARDS else listening.host
    return Address(host, listening.port)


def write_address(directory: Path, address: Address) -> None:
    """Leave the address in the data directory."""
    partial = directory / f"{ADDRESS_FILE}.{os.getpid()}"
    partial.write_bytes(published(address))
    partial.replace(directory / ADDRESS_FILE)


def remove_address(directory: Path) -> None:
    """Take the address away again."""
    with suppress(OSError):
        (directory / ADDRESS_FILE).unlink()
