"""`ritorno doctor --deep` finds what differs, names where, and changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.mail.queue.queued_mail import pack_entry, unpack_entry
from schemas.customer import Customer, encode_customer, encode_erased
from schemas.records import OutRecord
from schemas.stored import NEVER, PROGRESS_KEY, Progress, head, pack, pack_progress
from streams.clock import VirtualClock
from streams.log import no_progress
from streams.operate.check import Check, CheckStatus
from streams.operate.consistency import check_consistency
from streams.operate.doctor import check_log_file, examine
from streams.operate.record_differences import problem_of
from streams.runtime.data_directory import taken
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import StateError
from streams.runtime.transports.batch import TopicPartition
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS, CUSTOMERS_CHANGELOG, MAILER
from tests.runtime.doubles import MemoryLog, memory_log
from tests.runtime.test_worker import (
    SIGNED_UP,
    Inbox,
    Start,
    all_done,
    clock,
    event,
    inbox,
    settings,
    start,
    tell,
)

__all__ = ["clock", "inbox", "settings", "start"]

KEPT = TopicPartition(CUSTOMERS_CHANGELOG, 0)


def customer(name: str, applied: int) -> bytes:
    return encode_customer(Customer(key=name, applied=applied))


@pytest.fixture
async def log() -> MemoryLog:
    """One partition: ten events, and what was kept of three customers."""
    log = await memory_log(partitions=1)
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")] * 10)
    await keep(log, anna=4, bruno=5)
    await keep(log, anna=8, carla=9)
    progress = pack_progress(Progress(next_offset=10, log_time=1))
    await log.append(KEPT.topic, 0, [OutRecord(PROGRESS_KEY, progress)])
    return log


async def keep(log: MemoryLog, **applied: int) -> None:
    records = [OutRecord(name.encode(), customer(name, each)) for name, each in applied.items()]
    await log.append(KEPT.topic, 0, records)


def copied(log: MemoryLog, home: Path, *, until: int | None = None) -> Path:
    """Lay out the store of a worker that has read the changelog so far; return its directory."""
    store = RocksStores(home)(KEPT)
    records = log.topics[KEPT.topic][0][:until]
    store.write([(each.key or b"", each.value) for each in records], len(records))
    store.close()
    return home / "state" / f"{KEPT.topic}-0"


async def consistency(home: Path, log: MemoryLog) -> list[Check]:
    return await check_consistency(Settings(data_dir=home), log, no_progress)


def told(checks: list[Check]) -> list[tuple[str, str, str]]:
    return [(check.status.value, check.name, check.text) for check in checks]


WHOLE = (
    "ok",
    "changelogs",
    "4 records in 2 partitions: each can be read, waits for what it has to and lies within its log",
)


async def test_a_store_is_what_its_changelog_says(log: MemoryLog, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    copied(log, tmp_path)
    checks = await check_consistency(
        Settings(data_dir=tmp_path), log, lambda done, total: seen.append((done, total))
    )
    same = "1 of this machine are as their changelogs say"
    assert told(checks) == [WHOLE, ("ok", "stores", same)]
    assert seen[-1] == (5, 5)
    assert not (tmp_path / "doctor").exists()


async def test_what_a_store_has_not_read_yet_is_no_difference(
    log: MemoryLog, tmp_path: Path
) -> None:
    path = copied(log, tmp_path / "1", until=2)  # of a process of `worker --processes N`
    before = {each.name: each.stat().st_mtime_ns for each in path.iterdir()}
    checks = await consistency(tmp_path, log)
    same = "1 of this machine are as their changelogs say; a worker that starts reads 3 records"
    assert told(checks) == [WHOLE, ("ok", "stores", f"{same} before that")]
    assert {each.name: each.stat().st_mtime_ns for each in path.iterdir()} == before


async def test_what_differs_is_named_by_partition(log: MemoryLog, tmp_path: Path) -> None:
    path = copied(log, tmp_path)
    store = RocksStores(tmp_path)(KEPT)
    wrong = [(b"anna", customer("anna", 7)), (b"bruno", None), (b"zoe", customer("zoe", 1))]
    store.write(wrong, store.position())
    store.close()
    checks = await consistency(tmp_path, log)
    assert told(checks) == [
        (
            "fail",
            "stores",
            f"customers-changelog/0 in {path}: 1 record ('anna') other than in the changelog; "
            "1 record ('bruno') missing; 1 record ('zoe') that the changelog has not",
        ),
        WHOLE,
    ]
    assert str(path) in checks[0].remedy


async def test_a_store_ahead_of_its_changelog(log: MemoryLog, tmp_path: Path) -> None:
    path = copied(log, tmp_path)
    del log.topics[KEPT.topic][0][4:]
    [check] = [each for each in await consistency(tmp_path, log) if each.name == "stores"]
    assert check.text == (
        f"customers-changelog/0 in {path}: it holds the changelog up to 5, which ends at 4"
    )
    assert check.status is CheckStatus.FAIL


@pytest.mark.parametrize("damage", ["a block", "the end"])
async def test_damaged_files_are_told_of_and_left(
    log: MemoryLog, tmp_path: Path, damage: str
) -> None:
    path = copied(log, tmp_path)
    store = RocksStores(tmp_path)(KEPT)
    store.scrub(None)  # into a table
    store.close()
    (table,) = path.glob("*.sst")
    content = bytearray(table.read_bytes())
    content[40] ^= 255
    table.write_bytes(content if damage == "a block" else content[:-20])
    [check] = [each for each in await consistency(tmp_path, log) if each.name == "stores"]
    assert check.status is CheckStatus.FAIL
    assert check.text.startswith(f"customers-changelog/0 in {path}: The state in {path} can't be ")
    assert "Corruption" in check.text
    assert table.exists()


async def test_what_is_wrong_with_the_changelog_itself(log: MemoryLog, tmp_path: Path) -> None:
    kept = customer("dora", 3)
    items = {
        b"dora": kept[:8] + (5).to_bytes(8) + kept[16:],  # its timer
        b"elena": customer("elena", 10),
        b"fabio": pack(3, NEVER, b"\xff"),
        b"gina": b"\x00",
        PROGRESS_KEY: pack_progress(Progress(next_offset=11, log_time=1)),
    }
    await log.append(KEPT.topic, 0, [OutRecord(key, value) for key, value in items.items()])
    [check] = [each for each in await consistency(tmp_path, log) if each.name == "changelogs"]
    assert check.status is CheckStatus.FAIL
    assert check.text == (
        "customers-changelog/0: customer-events was read up to 11, and its log ends at 10; 1 "
        "record ('dora') whose timer is not where it is looked for; 1 record ('elena') ahead of "
        "the log; 1 record ('fabio') that can't be read; 1 record ('gina') too short to be read"
    )


async def test_a_late_writer_is_told_of(log: MemoryLog, tmp_path: Path) -> None:
    await keep(log, anna=2)
    [check] = [each for each in await consistency(tmp_path, log) if each.name == "changelogs"]
    assert check.text == (
        "customers-changelog/0: a late writer has put old states behind newer ones of 1 record"
    )


async def test_progress_that_cannot_be_read_hides_no_other_partition(tmp_path: Path) -> None:
    log = await memory_log(partitions=2)
    await log.append(KEPT.topic, 0, [OutRecord(PROGRESS_KEY, pack(3, NEVER, b"\xff"))])
    await log.append(KEPT.topic, 1, [OutRecord(b"anna", customer("anna", 3))])
    checks = await consistency(tmp_path, log)
    names = [each.text.partition(":")[0] for each in checks if each.status is CheckStatus.FAIL]
    assert names == ["customers-changelog/0", "customers-changelog/1"]


def test_erased_customers_have_no_timer() -> None:
    assert problem_of(CUSTOMERS, b"anna", encode_erased(3), 10) == ""


async def test_no_room_for_a_copy(
    log: MemoryLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(log, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(StateError, match="there is no room for a second copy"):
        await consistency(tmp_path, log)
    assert not (tmp_path / "doctor").exists()


async def test_one_at_a_time_and_nothing_is_left_of_one_that_was_killed(
    log: MemoryLog, tmp_path: Path
) -> None:
    scratch = tmp_path / "doctor"
    left = copied(log, scratch)
    with taken(scratch), pytest.raises(StateError, match="another `ritorno doctor --deep`"):
        await consistency(tmp_path, log)
    assert left.exists()
    assert WHOLE in told(await consistency(tmp_path, log))
    assert not scratch.exists()


async def test_stores_of_partitions_that_there_are_not(log: MemoryLog, tmp_path: Path) -> None:
    copied(log, tmp_path)
    (tmp_path / "state" / "customers-changelog-7").mkdir()
    [check] = [each for each in await consistency(tmp_path, log) if each.status is CheckStatus.WARN]
    assert check.text.endswith("customers-changelog-7 is of no partition that there is")


async def test_a_worker_of_its_own_before_and_after_it_has_stopped(
    settings: Settings, clock: VirtualClock, start: Start, inbox: tuple[Inbox, str]
) -> None:
    worker = await start()
    seen = event("product.viewed", "v1", "bruno", product_id="p")
    await tell(worker.log, *SIGNED_UP, seen)
    await inbox[0].next()
    await all_done(worker)

    async def deep() -> dict[tuple[str, CheckStatus], Check]:
        log = EmbeddedLog(settings.embedded_path, clock)
        checks = await examine(settings, log, clock, deep=no_progress)
        return {(check.name, check.status): check for check in checks}

    checks = await deep()
    assert f"a worker runs with {settings.data_dir}" in checks["stores", CheckStatus.WARN].text
    assert ("changelogs", CheckStatus.OK) in checks
    await worker.stop()
    checks = await deep()
    assert checks["stores", CheckStatus.OK].text == "4 of this machine are as their changelogs say"
    assert ("changelogs", CheckStatus.OK) in checks
    assert ("log file", CheckStatus.OK) in checks
    assert not {name for name, status in checks if status is CheckStatus.FAIL}

    mails = RocksStores(settings.data_dir)
    for number in (0, 1):
        store = mails(TopicPartition(MAILER.keeps, number))
        for key, stored in store.scan():
            if not key.startswith(b"\x00"):
                assert problem_of(MAILER, key, stored, 0) == ""
                moved = stored[:8] + (head(stored).due + 1).to_bytes(8) + stored[16:]
                assert pack_entry(unpack_entry(moved)) == stored
                assert "timer" in problem_of(MAILER, key, moved, 0)
        store.close()

    file = settings.embedded_path / "log.sqlite3"
    content = bytearray(file.read_bytes())
    for page in range(8, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(content)
    checks = await deep()
    assert ("log file", CheckStatus.FAIL) in checks


async def test_no_log_yet(tmp_path: Path) -> None:
    settings = Settings(broker=f"embedded://{tmp_path}/log")
    assert (await check_log_file(settings)).status is CheckStatus.OK
    assert not (tmp_path / "log").exists()
