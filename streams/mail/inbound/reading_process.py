"""Has messages that came back read in a process of its own, one at a time, for two seconds at most.

Whoever knows a return address may send anything there. Parsers have been made to run for hours and
to fill the memory; here that ends a process that does nothing else, and the next message has a new
one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from agents.mail.bounces.limits import LARGEST
from agents.mail.bounces.reading import UNREADABLE
from agents.mail.bounces.verdict import BounceVerdict
from streams.logging import get_logger
from streams.mail.inbound.reading_child import HEAD_BYTES, ReadMessage

LIMIT = 2.0
"""Seconds for a message; one takes some milliseconds."""

START = 60.0
"""Seconds until the process is there: it loads what it needs first, on a busy machine, too."""

PLACES = 2
"""One message is read, one waits."""

PATIENCE = 5.0
"""Seconds after which who finds both places taken is told to come again."""

LONGEST_ANSWER = 1024 * 1024

COMMAND = (sys.executable, "-P", "-m", "streams.mail.inbound.reading_child")

_log = get_logger(__name__)
_ANSWERS = msgspec.msgpack.Decoder(ReadMessage)


class BusyError(Exception):
    """Too many messages come at once; this one has to come again."""


class ReadingProcess:
    """The process, started when there is something to read."""

    def __init__(
        self, command: Sequence[str] = COMMAND, *, limit: float = LIMIT, patience: float = PATIENCE
    ) -> None:
        """`limit` and `patience` are in seconds."""
        self._command = command
        self._limit = limit
        self._patience = patience
        self._places = asyncio.Semaphore(PLACES)
        self._reading = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def read(self, raw: bytes, *, patient: bool = False) -> BounceVerdict:
        """Return what a message says; any bytes have an answer.

        `patient`: wait for a place however long it takes. Raises BusyError, OSError (there can be
        no process).
        """
        async with self._place(patient), self._reading:
            return await self._read(raw[:LARGEST])

    async def stop(self) -> None:
        """End the process. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()

    @asynccontextmanager
    async def _place(self, patient: bool) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None if patient else self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise BusyError("messages come faster than they can be read") from None
        try:
            yield
        finally:
            self._places.release()

    async def _read(self, raw: bytes) -> BounceVerdict:
        for _ in range(2):  # somebody may have ended it: that is not the message's fault
            process = await self._running()
            answered = False
            try:
                async with asyncio.timeout(self._limit):
                    answer = await _ask(process, raw)
                answered = True
            except TimeoutError:
                _log.warning("a message that came back takes too long to read", bytes=len(raw),
                             seconds=self._limit)  # fmt: skip
                return UNREADABLE
            except (OSError, EOFError, msgspec.MsgspecError):
                continue
            finally:
                if not answered:  # also when nobody waits any more: its answer would be the next's
                    await self.stop()
            if answer.error:
                _log.error("a message that came back can't be read", bytes=len(raw),
                           error=answer.error)  # fmt: skip
            return answer.verdict
        _log.warning("a message that came back ends whoever reads it", bytes=len(raw))
        return UNREADABLE

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.stop()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is the worker's
        )
        try:
            async with asyncio.timeout(START):
                await _frame(self._process)
        except (TimeoutError, EOFError) as error:
            await self.stop()
            raise OSError("the process that reads what comes back does not start") from error
        except BaseException:
            await self.stop()
            raise
        return self._process


async def _ask(process: asyncio.subprocess.Process, raw: bytes) -> ReadMessage:
    """Raises OSError, EOFError, MsgspecError when it ends instead of answering."""
    assert process.stdin is not None
    process.stdin.write(len(raw).to_bytes(HEAD_BYTES) + raw)
    await process.stdin.drain()
    return _ANSWERS.decode(await _frame(process))


async def _frame(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    size = int.from_bytes(await process.stdout.readexactly(HEAD_BYTES))
    if size > LONGEST_ANSWER:
        raise EOFError(f"an answer of {size} bytes")
    return await process.stdout.readexactly(size)
