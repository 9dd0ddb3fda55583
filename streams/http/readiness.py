"""What readiness is asked of, and answers that come within a second whatever a check waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from streams.log import Log, LogError
from streams.logging import get_logger
from streams.messages.plurals import several

ANSWER_SECONDS = 0.6
"""For which an answer is waited: `/readyz` answers within a second, whatever is away, and whoever
asks several processes (`streams/runtime/processes/board.py`) within it as well."""

KEPT_SECONDS = 5.0
"""For which the last good answer still counts while the next one takes its time: a broker that is
slow for once is no reason to take a worker out of a balancer, one that is away is."""

_log = get_logger(__name__)


class Readiness(NamedTuple):
    """The answer of one check."""

    ready: bool
    detail: str


Check = Callable[[], Awaitable[Readiness]]


def log_reachable(log: Log, topic: str) -> Check:
    """Return a check that asks the broker for the offsets of `topic`."""

    async def check() -> Readiness:
        try:
            offsets = await log.offsets(topic)
        except LogError as error:
            return Readiness(False, str(error))
        return Readiness(True, f"{topic}: {several(len(offsets), 'partition')}")

    return check


class PatientCheck:
    """A check that goes on beyond its answer: who asks meanwhile waits for the same one, so however
    often somebody asks, a broker that is away is asked once."""

    def __init__(self, check: Check, seconds: float = ANSWER_SECONDS) -> None:
        """`seconds`: for which `answer` waits."""
        self._check = check
        self._seconds = seconds
        self._asking: asyncio.Task[Readiness] | None = None
        self._last: tuple[float, Readiness] | None = None

    async def answer(self) -> Readiness:
        """Return what the check says, or what it said a moment ago, or that it doesn't answer."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._asked())
        asking = self._asking
        await asyncio.wait([asking], timeout=self._seconds)
        if asking.done():
            return asking.result()
        if self._last is not None:
            when, said = self._last
            if not said.ready or asyncio.get_running_loop().time() - when < KEPT_SECONDS:
                return said
        return Readiness(False, "no answer yet; it is still being waited for")

    async def stop(self) -> None:
        """Ask no longer. Safe to call twice."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _asked(self) -> Readiness:
        try:
            answer = await self._check()
        except Exception as error:  # whatever a check raises means "not ready", never a 500
            _log.warning("readiness check failed", error=repr(error))
            answer = Readiness(False, repr(error))
        finally:
            self._asking = None
        self._last = asyncio.get_running_loop().time(), answer
        return answer
