"""Polls a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from streams.log import LogError
from streams.logging import get_logger
from streams.mail.inbound.imap import ImapError
from streams.operate.return_metrics import Channel, ReturnCounters
from streams.runtime.backoff import Backoff

LONGEST_PAUSE = 600.0
"""Seconds after repeated failures: the pause doubles up to it."""

_log = get_logger(__name__)


class Pollable(Protocol):
    """A maildir or an IMAP mailbox."""

    async def poll(self) -> int:
        """Take in what is new. Raises LogError, OSError, ImapError."""


class MailboxPoller:
    """Polls one mailbox until it is stopped."""

    def __init__(
        self,
        mailbox: Pollable,
        channel: Channel,
        metrics: ReturnCounters,
        *,
        every: float,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`every` is in seconds."""
        self._mailbox = mailbox
        self._channel: Channel = channel
        self._metrics = metrics
        self._backoff = Backoff(every, max(LONGEST_PAUSE, every))
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first look is at once."""
        self._task = asyncio.create_task(self._run(), name=f"watch of the {self._channel} mailbox")

    async def stop(self) -> None:
        """End; a message that is being taken in comes again. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._mailbox.poll()
                failures = 0
            except (LogError, ImapError, OSError) as error:
                failures += 1
                self._metrics.failed(self._channel)
                _log.warning("a mailbox can't be read", way=self._channel, error=str(error))
            except Exception:  # whatever it is, what comes back later must not be left lying
                failures += 1
                self._metrics.failed(self._channel)
                _log.exception("a mailbox can't be read", way=self._channel)
            await self._pause(self._backoff.after(failures + 1))
