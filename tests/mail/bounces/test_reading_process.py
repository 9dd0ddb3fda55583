"""The process that reads what comes back: the real one, and stand-ins that misbehave."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.mail.bounces.limits import LARGEST
from agents.mail.bounces.reading import UNREADABLE, classify
from streams.mail.inbound import reading_child
from streams.mail.inbound.reading_process import BusyError, ReadingProcess
from tests.mail.bounces.hostile import HOSTILE
from tests.mail.bounces.messages import report
from tests.mail.bounces.shapes import SHAPES

HARD = report("host said: 550 5.1.1 User unknown", status="5.1.1").lstrip().encode()

READY = "import sys, os; out = sys.stdout.buffer; out.write(bytes(4)); out.flush(); "


def stand_in(code: str) -> tuple[str, ...]:
    """A process that says that it is ready, and then does what `code` says."""
    return (sys.executable, "-c", READY + code)


class Started(ReadingProcess):
    """Says when a message is about to be read."""

    def __init__(self, command: tuple[str, ...], *, limit: float) -> None:
        super().__init__(command, limit=limit)
        self.started = asyncio.Event()

    async def _running(self) -> asyncio.subprocess.Process:
        process = await super()._running()
        self.started.set()
        return process


@pytest.fixture
async def real() -> AsyncIterator[ReadingProcess]:
    reader = ReadingProcess(limit=20)
    yield reader
    await reader.stop()


def pid(reader: ReadingProcess) -> int:
    assert reader._process is not None
    return reader._process.pid


async def test_it_says_what_we_would(real: ReadingProcess) -> None:
    for shape in SHAPES:
        assert await real.read(shape.raw) == classify(shape.raw)
    first = pid(real)
    for raw in (b"", b"\0" * 2 * LARGEST, *HOSTILE.values()):
        assert (await real.read(raw)).recipients
    assert pid(real) == first  # none of them has cost it its life


async def test_it_has_none_of_our_secrets_and_few_files(
    real: ReadingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RITORNO_TOKEN_KEYS", "k1:a secret that a parser must not have")
    await real.read(HARD)
    seen = Path("/proc", str(pid(real)))
    assert b"RITORNO" not in (seen / "environ").read_bytes()
    lines = (seen / "limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[0] for line in lines}
    assert limits["Max address space"] == str(reading_child.MEMORY_BYTES)
    assert limits["Max open files"] == str(reading_child.OPEN_FILES)
    assert limits["Max file size"] == "0"


async def test_it_is_gone_when_nobody_speaks_to_it_any_more(real: ReadingProcess) -> None:
    await real.read(HARD)
    process = real._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # as the end of the worker does, whichever
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_who_was_ended_is_started_again(real: ReadingProcess) -> None:
    await real.read(HARD)
    first = pid(real)
    os.kill(first, 9)
    assert (await real.read(HARD)).first.kind == "hard"
    assert pid(real) != first


async def test_after_the_limit_it_ends_and_the_next_message_has_a_new_one() -> None:
    reader = ReadingProcess(stand_in("sys.stdin.read()"), limit=0.2)
    assert await reader.read(HARD) == UNREADABLE
    assert reader._process is None
    assert await reader.read(HARD) == UNREADABLE
    await reader.stop()


async def test_a_message_that_ends_it_twice_is_nobodys() -> None:
    """Once may be an accident."""
    reader = ReadingProcess(stand_in("sys.stdin.buffer.read(4)"))
    assert await reader.read(HARD) == UNREADABLE
    await reader.stop()


async def test_an_answer_that_is_none_is_not_believed() -> None:
    for said in ("out.write(b'\\xff' * 8)", "out.write(b'\\0\\0\\0\\2{}')"):
        code = f"sys.stdin.buffer.read(4); {said}; out.flush(); sys.stdin.read()"
        reader = ReadingProcess(stand_in(code), limit=20)
        assert await reader.read(HARD) == UNREADABLE
        await reader.stop()


async def test_one_that_does_not_start_is_told() -> None:
    reader = ReadingProcess((sys.executable, "-c", ""))
    with pytest.raises(OSError, match="does not start"):
        await reader.read(HARD)


async def test_one_message_is_read_one_waits_and_no_third() -> None:
    reader = ReadingProcess(stand_in("sys.stdin.read()"), limit=60, patience=0.05)
    reading = [asyncio.create_task(reader.read(HARD)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await reader.read(HARD)
    patient = asyncio.create_task(reader.read(HARD, patient=True))
    for task in reading:
        task.cancel()
    await asyncio.wait(reading)
    assert not patient.done()
    patient.cancel()
    await asyncio.wait([patient])
    await reader.stop()


async def test_an_answer_nobody_waits_for_is_not_the_next_ones() -> None:
    reader = Started(stand_in("sys.stdin.read()"), limit=60)
    reading = asyncio.create_task(reader.read(HARD))
    await reader.started.wait()
    reading.cancel()
    await asyncio.wait([reading])
    assert reader._process is None


def test_our_own_mistakes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(reading_child, "classify", broken)
    assert reading_child.answer(HARD) == (UNREADABLE, "ZeroDivisionError: by zero")
