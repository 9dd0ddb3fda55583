"""The list of suppressed addresses in this process: read at the start, kept up with, added to.

Each worker holds all of it, because an address may belong to customers of any partition. What
another worker adds is seen here a second later, which is soon enough for a mail not to go out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agents.mail.message.compose import Compose, ComposedMail
from agents.mail.suppression import AddressHashes, Suppressed, Suppressions
from schemas import topics
from schemas.commands import SendCommand, SuppressCommand
from schemas.suppressions import (
    AUDIT,
    Suppression,
    read_suppression,
    to_suppression_record,
)
from streams.log import Log, LogError, scan
from streams.logging import get_logger
from streams.operate.return_metrics import ReturnCounters
from streams.runtime.background import kept_up

POLL_SECONDS = 1.0

_log = get_logger(__name__)


class SuppressionList:
    """Holds the list, and follows the topic."""

    def __init__(
        self,
        log: Log,
        hashes: AddressHashes,
        metrics: ReturnCounters,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._pause = pause
        self._list = Suppressions(hashes)
        self._end = 0
        self._reading = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the list and begin to follow it. Raises LogError."""
        await self.refresh()
        if self._list.unknown_keys:
            _log.warning("suppressions were made with keys that are no longer listed; these "
                         "addresses get mails again", records=self._list.unknown_keys)  # fmt: skip
        self._following = asyncio.create_task(
            kept_up("suppressions", self._follow), name="suppressions"
        )

    async def stop(self) -> None:
        """Stop following. Safe to call twice."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None

    async def refresh(self) -> None:
        """Read what has been added. Raises LogError."""
        async with self._reading:
            span = (await self._log.offsets(topics.SUPPRESSIONS))[0]
            start = max(self._end, span.start)
            if start >= span.end:
                return
            async for record in scan(
                self._log, topics.SUPPRESSIONS, [0], start=start, stop=span.end
            ):
                self._take(record.key, record.value)
            self._end = span.end
        self._metrics.addresses(len(self._list))

    def suppressed(self, command: SendCommand) -> bool:
        """Whether a mail may not go to its address."""
        return self._list.suppressed(command.email, command.mail_class)

    def guard(self, compose: Compose) -> Compose:
        """Return `compose` that raises Suppressed where no mail may go."""

        def guarded(command: SendCommand) -> ComposedMail:
            if self.suppressed(command):
                raise Suppressed
            return compose(command)

        return guarded

    async def add(self, commands: Sequence[SuppressCommand]) -> None:
        """Suppress addresses; once this returns, every worker will know. Raises LogError."""
        if not commands:
            return
        await self.refresh()  # what a person has released meanwhile stays released
        decided = [each for each in map(self._list.decide, commands) if each is not None]
        if not decided:
            return
        records = [to_suppression_record(key, suppression) for key, suppression in decided]
        await self._log.append(topics.SUPPRESSIONS, 0, records)
        for key, suppression in decided:
            self._list.apply(key, suppression)
            if suppression.state == "suppressed":
                self._metrics.suppressed(suppression.scope, suppression.reason)
        self._metrics.addresses(len(self._list))

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        name = (key or b"").decode("ascii", "replace")
        if name.startswith(AUDIT):
            return
        suppression = read_suppression(value)
        if suppression is None:
            _log.error("a suppression can't be read", key=name)
        else:
            self._apply(name, suppression)

    def _apply(self, key: str, suppression: Suppression) -> None:
        try:
            self._list.apply(key, suppression)
        except ValueError:
            _log.error("a suppression's key can't be read", key=key)

    async def _follow(self) -> None:
        while True:
            await self._pause(POLL_SECONDS)
            try:
                await self.refresh()
            except LogError as error:
                _log.warning("suppressions can't be read", error=str(error))
