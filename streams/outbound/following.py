"""Following topics: reading on where one was, and saying how far one is, under a group's name.

Nobody is a member of such a group: who has a partition of `customer-events` follows the same one of
any topic that is partitioned alike, and two that do so for a moment (a handover) only tell twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from schemas.records import Record
from streams.log import Log, LogError
from streams.runtime.logs.embedded import EmbeddedLog


class Following(Protocol):
    """One group's reading."""

    async def position(self, topic: str, partition: int) -> int | None:
        """Return the committed offset, None when there is none. Raises LogError."""

    async def end(self, topic: str, partition: int) -> int:
        """Return the next offset to be written. Raises LogError."""

    async def fetch(self, topic: str, partition: int, start: int) -> Sequence[Record]:
        """Return the next records from `start` on, waiting until there are any. Raises LogError."""

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep the offsets from which the group goes on. Raises LogError."""

    async def close(self) -> None:
        """Hang up. Safe to call twice."""


def following_of(log: Log, group: str, topics: Sequence[str]) -> Following:
    """Return the reading of topics by a group, in any log."""
    if isinstance(log, EmbeddedLog):
        return EmbeddedFollowing(log, group)
    # aiokafka takes a second to import, which the embedded log needn't wait for.
    from streams.runtime.logs.kafka import KafkaLog  # noqa: PLC0415  # see above
    from streams.runtime.logs.kafka.following import KafkaFollowing  # noqa: PLC0415  # as above

    if not isinstance(log, KafkaLog):
        raise LogError(f"a {type(log).__name__} can't be followed")
    return KafkaFollowing(log, group, topics)


class EmbeddedFollowing:
    """Reads the embedded log."""

    def __init__(self, log: EmbeddedLog, group: str) -> None:
        self._log = log
        self._group = group

    async def position(self, topic: str, partition: int) -> int | None:
        """Return the committed offset, None when there is none. Raises LogError."""
        return (await self._log.committed(self._group)).get((topic, partition))

    async def end(self, topic: str, partition: int) -> int:
        """Return the next offset to be written. Raises LogError."""
        return (await self._log.offsets(topic))[partition].end

    async def fetch(self, topic: str, partition: int, start: int) -> Sequence[Record]:
        """Return the next records from `start` on, waiting until there are any. Raises LogError."""
        while True:
            version = self._log.version
            if found := await self._log.fetch(topic, partition, start):
                return found
            await self._log.wait_beyond(version)

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep the offsets from which the group goes on. Raises LogError."""
        await self._log.commit(self._group, offsets)

    async def close(self) -> None:
        """Nothing is held."""
        await asyncio.sleep(0)
