"""What a person should read waits for some weeks, and then it goes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from schemas.time_units import DAY_MS
from streams.clock import VirtualClock
from streams.log import Log
from streams.mail.inbound.kept import EVERY_MS, LEAST_BYTES, KeptFullError, KeptMessages
from streams.mail.inbound.sources import KEPT, Inbound
from streams.settings import Settings
from tests.mail.bounces.harness import Counted, IntakeHarness, bounce, harness
from tests.mail.samples import SETTINGS
from tests.runtime.doubles import START, memory_log

MOST = 1 << 20


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_old_messages_go_and_nothing_else(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    kept = KeptMessages(tmp_path, clock, days=30, most=MOST)
    kept.add("old", b"From: a\n\n")
    (tmp_path / "half.part").write_bytes(b"Fr")  # a crash while it was written
    os.utime(tmp_path / "half.part", (START / 1000, START / 1000))
    (tmp_path / "notes.txt").write_text("call Anna")  # somebody's own
    os.utime(tmp_path / "notes.txt", (0, 0))
    clock.advance(START + 10 * DAY_MS)
    kept.add("new", b"From: b\n\n")
    clock.advance(START + 30 * DAY_MS)
    assert kept.prune() == 0
    clock.advance(START + 30 * DAY_MS + 1000)
    assert kept.prune() == 2
    assert names(tmp_path) == ["new.eml", "notes.txt"]


def test_what_comes_again_is_new(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    kept = KeptMessages(tmp_path, clock, days=30, most=MOST)
    kept.add("same", b"From: a\n\n")
    clock.advance(START + 29 * DAY_MS)
    kept.add("same", b"From: a\n\n")
    clock.advance(START + 31 * DAY_MS)
    assert kept.prune() == 0


def test_there_is_so_much_room_and_no_more(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    kept = KeptMessages(tmp_path, clock, days=30, most=3 * LEAST_BYTES)
    (tmp_path / "notes.txt").write_text("somebody's own takes room, too")
    kept.add("a", b"From: a\n\n")
    kept.add("b", b"From: b\n\n")
    with pytest.raises(KeptFullError, match=r"12,288 bytes"):
        kept.add("c", b"From: c\n\n")
    kept.add("b", b"From: b\n\n")  # what comes again takes none
    assert names(tmp_path) == ["a.eml", "b.eml", "notes.txt"]
    (tmp_path / "notes.txt").unlink()  # by hand: seen with the next one that finds no room
    with pytest.raises(KeptFullError):
        KeptMessages(tmp_path, clock, days=30, most=2 * LEAST_BYTES).add("c", b"From: c\n\n")
    kept.add("c", b"From: c\n\n")
    clock.advance(START + 31 * DAY_MS)
    assert kept.prune() == 3
    kept.add("d", b"x" * 2 * LEAST_BYTES)
    with pytest.raises(KeptFullError):
        kept.add("e", b"x" * 2 * LEAST_BYTES)


def test_without_the_directory_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert KeptMessages(tmp_path / "returned", VirtualClock(START), days=1, most=MOST).prune() == 0


async def test_the_age_is_that_of_taking_it_in(tmp_path: Path) -> None:
    at: IntakeHarness = await harness(tmp_path)
    await at.intake.accept(bounce("someone@else.example"), "imap")
    (path,) = at.kept
    assert path.stat().st_mtime == START / 1000


class Hours(VirtualClock):
    """Whoever waits gets there at once."""

    async def wait_until(self, instant: int) -> None:
        await asyncio.sleep(0)
        self.advance(instant)


async def test_a_worker_looks_every_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one into which nothing comes any more."""
    looks = asyncio.Queue[tuple[int, int]]()
    prune = KeptMessages.prune

    def seen(kept: KeptMessages) -> int:
        removed = prune(kept)
        loop.call_soon_threadsafe(looks.put_nowait, (clock.now(), removed))
        return removed

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(KeptMessages, "prune", seen)
    clock = Hours(START)
    KeptMessages(tmp_path / KEPT, clock, days=1, most=MOST).add("old", b"From: a\n\n")
    log: Log = await memory_log()
    settings = Settings(data_dir=tmp_path, inbound_keep_days=1)
    inbound = Inbound(settings, SETTINGS, log=log, clock=clock, metrics=Counted())
    await inbound.start()
    found = [await asyncio.wait_for(looks.get(), 20) for _ in range(26)]
    await inbound.stop()
    assert found == [(START + hour * EVERY_MS, int(hour == 25)) for hour in range(26)]
    assert names(tmp_path / KEPT) == []
