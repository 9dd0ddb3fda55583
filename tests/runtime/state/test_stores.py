"""Both stores keep the same promises."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.runtime.state.memory import open_memory
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import StateError, StoreFactory
from streams.runtime.transports.batch import TopicPartition

TP = TopicPartition("customers-changelog", 3)


@pytest.fixture(params=["memory", "rocks"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreFactory]:
    yield open_memory if request.param == "memory" else RocksStores(tmp_path)


def test_a_new_store_is_empty_at_the_beginning(open_store: StoreFactory) -> None:
    store = open_store(TP)
    assert store.position() == 0
    assert list(store.scan()) == []
    assert store.get(b"anna") is None


def test_items_are_applied_in_order_and_move_the_position(open_store: StoreFactory) -> None:
    store = open_store(TP)
    store.write([(b"anna", b"1"), (b"bruno", b"2"), (b"anna", None), (b"bruno", b"3")], 4)
    assert store.get(b"anna") is None
    assert dict(store.scan()) == {b"bruno": b"3"}
    assert store.position() == 4


def test_any_bytes_are_kept(open_store: StoreFactory) -> None:
    store = open_store(TP)
    items = [(b"\x00progress", b"\x00\xff"), (b"", b""), ("è".encode(), bytes(range(256)))]
    store.write(items, 1)
    assert dict(store.scan()) == dict(items)


def test_reset_empties_and_the_store_stays_usable(open_store: StoreFactory) -> None:
    store = open_store(TP)
    store.write([(b"anna", b"1")], 9)
    store.reset()
    assert (store.position(), list(store.scan())) == (0, [])
    store.write([(b"bruno", b"2")], 1)
    assert dict(store.scan()) == {b"bruno": b"2"}


def test_a_store_says_how_much_it_keeps(open_store: StoreFactory) -> None:
    store = open_store(TP)
    assert store.size().records == 0
    empty = store.size().bytes
    store.write([(b"%d" % number, bytes(1_000)) for number in range(200)], 200)
    store.scrub(None)  # RocksDB knows of what it has written to a file
    assert store.size().records == 200
    full = store.size().bytes
    assert full > empty
    store.write([(b"%d" % number, None) for number in range(150)], 350)
    store.write([(b"199", b"shorter")], 351)
    store.scrub(None)
    assert store.size().records == 50
    assert store.size().bytes < full
    store.reset()
    assert store.size() == (0, empty)
    store.drop()


def test_a_store_in_memory_knows_its_bytes() -> None:
    store = open_memory(TP)
    store.write([(b"anna", b"12"), (b"bruno", b"3"), (b"anna", b"1"), (b"carla", None)], 4)
    assert store.size() == (2, len(b"anna1bruno3"))
    store.write([(b"anna", None), (b"bruno", None)], 6)
    assert store.size() == (0, 0)


def test_drop_and_close_may_be_repeated(open_store: StoreFactory) -> None:
    store = open_store(TP)
    store.close()
    store.close()
    store.drop()
    store.drop()


def test_rocks_keeps_items_and_position_over_a_restart(tmp_path: Path) -> None:
    store = RocksStores(tmp_path)(TP)
    store.write([(b"anna", b"1")], 7)
    store.close()
    again = RocksStores(tmp_path)(TP)
    assert (again.get(b"anna"), again.position()) == (b"1", 7)
    again.close()


def test_rocks_drop_leaves_nothing(tmp_path: Path) -> None:
    store = RocksStores(tmp_path)(TP)
    store.write([(b"anna", b"1")], 7)
    store.drop()
    assert list((tmp_path / "state").iterdir()) == []


def test_rocks_partitions_do_not_meet(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path)
    one, other = stores(TP), stores(TP._replace(partition=4))
    one.write([(b"anna", b"1")], 1)
    assert list(other.scan()) == []


def test_rocks_in_use_says_what_to_do(tmp_path: Path) -> None:
    store = RocksStores(tmp_path)(TP)
    with pytest.raises(StateError, match="RITORNO_DATA_DIR"):
        RocksStores(tmp_path)(TP)
    store.close()


def _files(directory: Path, pattern: str) -> list[Path]:
    return [each for each in directory.rglob(pattern) if each.stat().st_size]


def _filled(stores: RocksStores) -> None:
    store = stores(TP)
    store.write([(b"anna", b"x" * 2_000), (b"carla", b"y" * 2_000)], 7)
    store.scrub(None)  # it is in a file of its own now
    store.close()


def _scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(range(256)) * (path.stat().st_size // 256 + 1))


@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST*"])
def test_damaged_files_are_removed_and_the_store_begins_anew(tmp_path: Path, pattern: str) -> None:
    """Such a partition stayed closed for ever, although the changelog holds all that was there."""
    _filled(RocksStores(tmp_path))
    for path in _files(tmp_path, pattern):
        _scribble(path)
    store = RocksStores(tmp_path)(TP)
    assert store.position() == 0
    assert list(store.scan()) == []
    store.write([(b"anna", b"1")], 3)
    store.close()
    assert RocksStores(tmp_path)(TP).position() == 3


def test_damage_that_shows_itself_later_has_it_begin_anew_at_the_next_opening(
    tmp_path: Path,
) -> None:
    randbytes = random.Random(1).randbytes  # which can't be compressed
    store = RocksStores(tmp_path)(TP)
    store.write([(b"c%d" % number, randbytes(4_000)) for number in range(99)], 7)
    store.scrub(None)
    store.close()
    [path] = _files(tmp_path, "*.sst")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(raw)
    store = RocksStores(tmp_path)(TP)
    assert store.position() == 7  # it lies in another block
    with pytest.raises(StateError, match="can't be read: Corruption"):
        list(store.scan())
    assert store.position() == 0
    assert list(store.scan()) == []
    store.close()


def test_what_a_former_process_has_left_of_others_partitions_is_removed(tmp_path: Path) -> None:
    """It holds personal data, and nobody would ever erase it there."""
    stores = RocksStores(tmp_path)
    for number in range(3):
        stores(TopicPartition("changelog", number)).close()
    stores(TopicPartition("other", 0)).close()
    stores.clear("changelog", [TopicPartition("events", 1)])
    left = sorted(path.name for path in (tmp_path / "state").iterdir())
    assert left == ["changelog-1", "other-0"]


def test_scrubbing_changes_nothing_that_is_kept(open_store: StoreFactory) -> None:
    store = open_store(TP)
    store.write([(b"a", b"1"), (b"b", b"2")], 2)
    store.write([(b"a", b"3")], 3)
    store.scrub([b"a", b"never heard of"])
    store.scrub(None)
    assert (store.get(b"a"), store.get(b"b"), store.position()) == (b"3", b"2", 3)
    store.close()
    store.scrub([b"a"])  # too late: the partition has gone


def test_what_was_scrubbed_is_in_no_file(tmp_path: Path) -> None:
    store = RocksStores(tmp_path)(TP)
    store.write([(b"anna", b"a secret of hers"), (b"bruno", b"what bruno keeps")], 2)
    store.write([(b"anna", b"")], 3)

    def files_with(word: bytes) -> list[Path]:
        return [
            path for path in tmp_path.rglob("*") if path.is_file() and word in path.read_bytes()
        ]

    assert files_with(b"a secret of hers")
    store.scrub([b"anna"])
    assert not files_with(b"a secret of hers")
    assert files_with(b"what bruno keeps")
