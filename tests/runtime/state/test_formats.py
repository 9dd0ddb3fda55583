"""What a newer release has written is neither read nor overwritten by this one."""

from __future__ import annotations

import pytest

from schemas.records import OutRecord
from schemas.stored import (
    FORMAT,
    HEAD_SIZE,
    NEVER,
    PROGRESS_KEY,
    FutureFormat,
    Progress,
    pack,
    pack_progress,
)
from streams.runtime.state.changelog import Changelog, Overtaken
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.recovery import recover
from streams.runtime.state.tombstones import DeleteMarkers, RecoveryScan, scan_recovered
from streams.topology import CUSTOMERS_CHANGELOG as TOPIC
from tests.runtime.doubles import START, MemoryLog, memory_log


def state(applied: int, body: str = "ours") -> bytes:
    return pack(applied, NEVER, body.encode())


def newer(stored: bytes) -> bytes:
    return stored[:HEAD_SIZE] + bytes([FORMAT + 1]) + stored[HEAD_SIZE + 1 :]


async def log_of(*items: tuple[bytes, bytes | None]) -> MemoryLog:
    log = await memory_log()
    await log.append(TOPIC, 0, [OutRecord(*item) for item in items])
    return log


PROGRESS = (PROGRESS_KEY, pack_progress(Progress(2, START)))
NEWER_PROGRESS = (PROGRESS_KEY, newer(PROGRESS[1]))


@pytest.mark.parametrize("last", [(b"anna", newer(state(7))), NEWER_PROGRESS])
async def test_an_opening_refuses_it_and_writes_nothing(last: tuple[bytes, bytes]) -> None:
    log = await log_of((b"anna", state(5)), (b"anna", state(3)), PROGRESS, last)
    store = MemoryStore()
    changelog = Changelog(log, TOPIC, 0, store)
    for attempt in (changelog.recover, changelog.take_over):
        with pytest.raises(FutureFormat):
            await attempt()
        assert len(log.topics[TOPIC][0]) == 4, "neither the overtaken state nor an owner's mark"


async def test_a_store_that_a_newer_release_left_is_refused_before_anything_is_read() -> None:
    log = await log_of((b"anna", state(5)))
    store = MemoryStore()
    store.write([NEWER_PROGRESS], 0)
    with pytest.raises(FutureFormat):
        await recover(log, TOPIC, 0, store)
    assert store.get(b"anna") is None


async def test_so_is_one_of_which_the_progress_is_still_ours() -> None:
    log = await log_of()
    store = MemoryStore()
    store.write([PROGRESS, (b"anna", newer(state(1)))], 0)
    changelog = Changelog(log, TOPIC, 0, store)
    await changelog.recover()
    with pytest.raises(FutureFormat):
        list(scan_recovered(changelog, DeleteMarkers(), RecoveryScan()))


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_that_have_read_as_much_the_newer_format_wins(
    monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """A late writer of the older release has applied the same batch as the newer owner."""
    ours, theirs = state(5, "older"), newer(state(5))
    monkeypatch.setattr("schemas.stored.FORMAT", FORMAT + 1)
    items = [(b"anna", ours), (b"anna", theirs)]
    log = await log_of(*(items[first], items[1 - first]))
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.recover()
    assert changelog.get(b"anna") == theirs
    assert log.topics[TOPIC][0][-1].value == theirs, "and is the last, for compaction"


async def test_the_newer_owner_writes_again_what_the_late_writer_has_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = await log_of()
    late = state(5, "older")
    monkeypatch.setattr("schemas.stored.FORMAT", FORMAT + 1)
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.write([(b"anna", state(5))], lambda: None)
    await log.append(TOPIC, 0, [OutRecord(b"anna", late)])
    await changelog.write([(b"bruno", state(6))], lambda: None)
    last = {record.key: record.value for record in log.topics[TOPIC][0]}
    assert last == {b"anna": state(5), b"bruno": state(6)}


async def test_the_late_writer_finds_that_it_is_overtaken() -> None:
    log = await log_of()
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.write([(b"anna", state(5))], lambda: None)
    await log.append(TOPIC, 0, [OutRecord(b"anna", newer(state(5)))])
    with pytest.raises(Overtaken):
        await changelog.write([(b"bruno", state(6))], lambda: None)
