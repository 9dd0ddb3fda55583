"""Recovery: per key the record with the highest `applied`, from where the store is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.records import OutRecord, Record
from schemas.stored import (
    FENCING_EPOCH_KEY,
    FIRST_FENCING_EPOCH,
    NEVER,
    PROGRESS_KEY,
    Progress,
    head,
    pack,
    pack_progress,
)
from streams.runtime.state.changelog import Changelog, Overtaken
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.recovery import STALE_MS, recover
from streams.topology import CUSTOMERS_CHANGELOG as TOPIC
from tests.runtime.doubles import START, Crash, MemoryLog, memory_log


def state(applied: int, body: str = "") -> bytes:
    return pack(applied, NEVER, (body or f"at {applied}").encode())


@pytest.fixture
async def log() -> MemoryLog:
    return await memory_log()


async def write(log: MemoryLog, *items: tuple[bytes, bytes | None]) -> None:
    await log.append(TOPIC, 0, [OutRecord(*item) for item in items])


async def test_the_highest_applied_wins_wherever_it_stands(log: MemoryLog) -> None:
    await write(log, (b"anna", state(5)), (b"bruno", state(2)), (b"carla", state(1)))
    await write(log, (b"anna", state(3)), (b"bruno", state(6)))  # anna: a zombie, a chunk later
    store = MemoryStore()
    recovered = await recover(log, TOPIC, 0, store)
    assert dict(store.scan()) == {b"anna": state(5), b"bruno": state(6), b"carla": state(1)}
    assert recovered.stale_keys == {b"anna"}
    assert (recovered.records, store.position()) == (5, 5)


async def test_of_two_equal_ones_the_later_wins(log: MemoryLog) -> None:
    await write(log, (b"anna", state(5, "first")), (b"anna", state(5, "second")))
    store = MemoryStore()
    await recover(log, TOPIC, 0, store)
    assert store.get(b"anna") == state(5, "second")


async def test_a_tombstone_removes(log: MemoryLog) -> None:
    await write(log, (b"anna", state(5)), (b"anna", None))
    store = MemoryStore()
    await recover(log, TOPIC, 0, store)
    assert list(store.scan()) == []


async def test_it_goes_on_from_the_position(log: MemoryLog) -> None:
    await write(log, *((b"%d" % n, state(n)) for n in range(10)))
    store = MemoryStore()
    await recover(log, TOPIC, 0, store)
    await write(log, (b"1", state(11)), (b"2", state(1)))
    steps: list[tuple[int, int]] = []
    recovered = await recover(log, TOPIC, 0, store, lambda *step: steps.append(step))
    assert recovered.records == 2
    assert steps == [(2, 2)]
    assert (store.get(b"1"), store.get(b"2")) == (state(11), state(2))


async def test_a_store_ahead_of_its_changelog_starts_again(log: MemoryLog) -> None:
    await write(log, (b"anna", state(1)))
    store = MemoryStore()
    store.write([(b"of another changelog", state(99))], 100)
    await recover(log, TOPIC, 0, store)
    assert (dict(store.scan()), store.position()) == ({b"anna": state(1)}, 1)


async def test_a_store_older_than_a_day_may_have_missed_deletions(log: MemoryLog) -> None:
    store = MemoryStore()
    await write(log, (b"anna", state(1)), (PROGRESS_KEY, pack_progress(Progress(2, START))))
    await recover(log, TOPIC, 0, store)
    log.topics[TOPIC][0][0] = log.topics[TOPIC][0][0]._replace(key=b"bruno")  # anna: compacted away
    later = Progress(3, START + STALE_MS + 1)
    await write(log, (PROGRESS_KEY, pack_progress(later)))
    await recover(log, TOPIC, 0, store)
    assert store.get(b"anna") is None
    assert store.get(b"bruno") is not None


async def test_holes_at_the_end_do_not_hold_it_up(log: MemoryLog) -> None:
    await write(log, (b"anna", state(1)), (b"bruno", state(2)))
    log.topics[TOPIC][0][1] = log.topics[TOPIC][0][1]._replace(offset=-1)  # read() never yields it
    store = MemoryStore()
    await recover(log, TOPIC, 0, store)
    assert store.position() == 2


async def test_opening_writes_overtaken_states_again(log: MemoryLog) -> None:
    """Or compaction would keep the zombie's record, being the last of its key."""
    await write(log, (b"anna", state(5)), (b"anna", state(3)))
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.recover()
    assert log.topics[TOPIC][0][-1].value == state(5)
    assert changelog.store.position() == 3


async def test_a_late_writer_is_noticed_and_overwritten(log: MemoryLog) -> None:
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.write([(b"anna", state(5)), (b"bruno", state(6))], lambda: None)
    await write(log, (b"anna", state(3)), (b"bruno", state(4)))
    await changelog.write([(b"bruno", state(8))], lambda: None)
    last = {record.key: record.value for record in log.topics[TOPIC][0]}
    assert last == {b"anna": state(5), b"bruno": state(8)}
    await changelog.write([(b"anna", state(9))], lambda: None)
    assert changelog.store.position() == len(log.topics[TOPIC][0]) == 8


async def test_a_late_writer_between_two_of_our_records_is_noticed(log: MemoryLog) -> None:
    """An append may reach the broker in several writes."""
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.write([(b"anna", state(5)), (b"bruno", state(5))], lambda: None)

    def between(topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        log.fault = lambda *_: None
        part = log.topics[topic][partition]
        for item in (records[0], OutRecord(b"bruno", state(3))):
            part.append(Record(topic, partition, len(part), START, *item))
        del records[0]  # type: ignore[attr-defined]  # a list, and ours is written already

    log.fault = between
    await changelog.write([(b"anna", state(7)), (b"carla", state(8))], lambda: None)
    last = {record.key: record.value for record in log.topics[TOPIC][0]}
    assert last == {b"anna": state(7), b"bruno": state(5), b"carla": state(8)}
    assert changelog.store.position() == len(log.topics[TOPIC][0])


async def test_writing_again_is_repeated_until_it_succeeds(log: MemoryLog) -> None:
    await write(log, (b"anna", state(5)), (b"anna", state(3)))
    log.fault = lambda *_: 0
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    with pytest.raises(Crash):
        await changelog.recover()
    log.fault = lambda *_: None
    await changelog.recover()
    assert log.topics[TOPIC][0][-1].value == state(5)


async def test_a_newer_writer_makes_us_open_again(log: MemoryLog) -> None:
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.write([(b"anna", state(5))], lambda: None)
    await write(log, (b"anna", state(8)))
    with pytest.raises(Overtaken):
        await changelog.write([(b"bruno", state(6))], lambda: None)
    await changelog.recover()
    assert changelog.get(b"anna") == state(8)
    assert changelog.get(b"bruno") == state(6)


async def test_who_takes_over_leaves_a_mark_and_the_owner_before_stops(log: MemoryLog) -> None:
    before = Changelog(log, TOPIC, 0, MemoryStore())
    await before.take_over()
    await before.write([(b"anna", state(5))], lambda: None)
    now = Changelog(log, TOPIC, 0, MemoryStore())
    await now.take_over()
    with pytest.raises(Overtaken):
        await before.write([(b"anna", state(6))], lambda: None)
    await before.take_over()
    assert before.get(b"anna") == state(6)


async def test_each_owner_has_a_higher_number_than_all_before(log: MemoryLog) -> None:
    """Whether they have written or not, and on whatever machine."""
    fencing_epochs = [
        (await Changelog(log, TOPIC, 0, MemoryStore()).take_over()).fencing_epoch for _ in range(3)
    ]
    assert fencing_epochs == [FIRST_FENCING_EPOCH, FIRST_FENCING_EPOCH + 1, FIRST_FENCING_EPOCH + 2]


async def test_of_two_that_take_over_at_once_one_has_the_number(log: MemoryLog) -> None:
    one, other = (Changelog(log, TOPIC, 0, MemoryStore()) for _ in range(2))
    fencing_epochs: list[int] = []

    def between(topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        log.fault = lambda *_: None  # the other's mark, the same as ours, is there before ours
        part = log.topics[topic][partition]
        part.append(Record(topic, partition, len(part), START, *records[0]))
        other.store.write([(FENCING_EPOCH_KEY, records[0].value)], len(part))
        fencing_epochs.append(head(records[0].value or b"").applied)

    log.fault = between
    fencing_epochs.append((await one.take_over()).fencing_epoch)
    assert fencing_epochs == [FIRST_FENCING_EPOCH, FIRST_FENCING_EPOCH + 1]
    with pytest.raises(Overtaken):
        await other.write([(b"anna", state(5))], lambda: None)


async def test_a_late_owner_that_has_read_further_does_not_skip_for_the_next(
    log: MemoryLog,
) -> None:
    """What it has decided of those commands may be older than what the next one has."""
    ours = pack_progress(Progress(5, START), fencing_epoch=3)
    await write(log, (PROGRESS_KEY, ours), (PROGRESS_KEY, pack_progress(Progress(9, START), 2)))
    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    await changelog.recover()
    assert changelog.get(PROGRESS_KEY) == ours


async def test_what_is_written_while_somebody_takes_over_is_read(log: MemoryLog) -> None:
    """The owner before does not know yet that it is none."""
    before = Changelog(log, TOPIC, 0, MemoryStore())
    await before.take_over()
    now = Changelog(log, TOPIC, 0, MemoryStore())

    def between(topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        log.fault = lambda *_: None
        part = log.topics[topic][partition]
        part.append(Record(topic, partition, len(part), START, b"anna", state(7), ()))

    log.fault = between
    await now.take_over()
    assert now.get(b"anna") == state(7)
    assert now.store.position() == len(log.topics[TOPIC][0])


async def test_nothing_is_written_when_the_check_fails(log: MemoryLog) -> None:
    def fenced() -> None:
        raise PermissionError

    changelog = Changelog(log, TOPIC, 0, MemoryStore())
    with pytest.raises(PermissionError):
        await changelog.write([(b"anna", state(5))], fenced)
    assert log.topics[TOPIC][0] == []
    assert changelog.get(b"anna") is None
