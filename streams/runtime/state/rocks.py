"""A store in RocksDB, for more customers than fit into memory and for short restarts.

Position and items are one write batch, so that after a kill -9 the store is at some earlier
position with exactly the items of that position, and catches up from the changelog.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from streams.logging import get_logger
from streams.runtime.state.store import STORE_FILES, Item, StateError, StoreSize
from streams.runtime.transports.batch import TopicPartition

POSITION_KEY = b"\x00\x00position"
"""Under two NULs: neither a customer id nor PROGRESS_KEY can be in the way."""

CACHE_BYTES = 64 << 20
"""Block cache of the whole process. rocksdict's own default is 2 GiB per store."""

WRITE_BUFFER_BYTES = 16 << 20
"""Two per partition: 8 partitions stay under 256 MiB while all of them are written to."""

OTHER_FILES = 16
"""Of a store, that are no tables."""

_CORRUPT = "Corruption"
"""Begins what RocksDB says of files that aren't as it has written them."""

_log = get_logger(__name__)


class RocksStore:
    """One RocksDB directory. Only one process can have it open."""

    def __init__(self, path: Path, cache: Cache, *, mends: bool = True) -> None:
        """Damaged files are removed, to be recovered from the changelog; StateError is raised
        instead where it `mends` nothing."""
        self._path = path
        self._mends = mends
        self._cache = cache
        self._closed = False
        self._damaged = False
        self._scrubbing = threading.Lock()
        self._db = self._open()

    def get(self, key: bytes) -> bytes | None:
        """Return what is kept under `key`, or None. Raises StateError."""
        try:
            stored: bytes | None = self._db.get(key)
        except Exception as error:  # rocksdict raises bare Exception for all I/O errors
            raise self._failed("read", error) from error
        return stored

    def write(self, items: Sequence[Item], position: int) -> None:
        """Apply `items` and `position` as one write batch. Raises StateError (disk full…)."""
        batch = WriteBatch(raw_mode=True)
        for key, stored in items:
            if stored is None:
                batch.delete(key)
            else:
                batch.put(key, stored)
        batch.put(POSITION_KEY, b"%d" % position)
        try:
            self._db.write(batch)
        except Exception as error:  # rocksdict raises bare Exception for all I/O errors
            raise self._failed("written", error) from error

    def position(self) -> int:
        """Return the changelog offset up to which (exclusive) this store holds everything; 0 once
        something was found to be damaged, after which it is empty. Raises StateError."""
        if not self._damaged:
            try:
                return int(self.get(POSITION_KEY) or 0)
            except StateError:
                if not self._damaged or not self._mends:
                    raise
        _log_damage(self._path)
        self.reset()
        return 0

    def size(self) -> StoreSize:
        """Return how much it keeps, as RocksDB knows it without looking. Raises StateError."""
        return StoreSize(
            # The store's own record, the position, is none of anybody's.
            max(0, self._property("estimate-num-keys") - 1),
            self._property("live-sst-files-size") + self._property("cur-size-all-mem-tables"),
        )

    def _property(self, name: str) -> int:
        try:
            return self._db.property_int_value(f"rocksdb.{name}") or 0
        except Exception as error:  # rocksdict raises bare Exception for all I/O errors
            raise self._failed("read", error) from error

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key with what is kept under it, by key. Raises StateError."""
        items, key = self._db.items(), None
        while True:
            try:
                key, stored = next(items)
            except StopIteration:
                self._check_end(key)
                return
            except Exception as error:  # rocksdict raises bare Exception for all I/O errors
                raise self._failed("read", error) from error
            if key != POSITION_KEY:
                yield key, stored

    def _check_end(self, last: bytes | None) -> None:
        """Raise StateError when a scan has ended behind `last` because of what it met there:
        `items` ends at a damaged file as it does behind the last key."""
        reader = self._db.iter()
        try:
            if last is None:
                reader.seek_to_first()
            else:
                reader.seek(last)
                if reader.valid():
                    reader.next()
            reader.status()
        except Exception as error:  # rocksdict raises bare Exception for all I/O errors
            raise self._failed("read", error) from error

    def look_through(self) -> Generator[tuple[bytes, bytes]]:
        """As `scan`, which goes by what was there when it began. Raises StateError."""
        yield from self.scan()

    def scrub(self, keys: Sequence[bytes] | None) -> None:
        """Compact away what was kept under `keys` before. Raises StateError.

        Where the newest value is in a file of its own level, the older ones below it are merged
        into it and gone; a tenth of a second for a key.
        """
        with self._scrubbing:
            if self._closed:
                return
            try:
                self._db.flush()
                for key in [None] if keys is None else keys:
                    self._db.compact_range(key, key)
            except Exception as error:  # rocksdict raises bare Exception for all I/O errors
                raise self._failed("written", error) from error

    def reset(self) -> None:
        """Become empty, at position 0."""
        self.drop()
        self._db = self._open()
        self._closed = self._damaged = False

    def close(self) -> None:
        """Release the files and the lock; what was written stays."""
        with self._scrubbing:
            if not self._closed:
                self._closed = True
                self._db.close()

    def drop(self) -> None:
        """Close and remove the directory."""
        self.close()
        shutil.rmtree(self._path, ignore_errors=True)

    def _open(self) -> Rdict:
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problem = f"The state in {self._path} can't be opened: {error.strerror or error}"
            raise StateError(f"{problem}. Set RITORNO_DATA_DIR.") from error
        try:
            try:
                return Rdict(str(self._path), _options(self._cache))
            except Exception as error:  # as below
                if _CORRUPT not in str(error) or not self._mends:
                    raise
                _log_damage(self._path, error)
            shutil.rmtree(self._path, ignore_errors=True)
            return Rdict(str(self._path), _options(self._cache))
        except Exception as error:  # rocksdict raises bare Exception for all I/O errors
            if "lock" in str(error).lower():
                raise StateError(
                    f"The state in {self._path} is in use by another process. Each worker needs a "
                    "data directory of its own: set RITORNO_DATA_DIR."
                ) from error
            raise StateError(f"The state in {self._path} can't be opened: {error}") from error

    def _failed(self, what: str, error: Exception) -> StateError:
        self._damaged = self._damaged or _CORRUPT in str(error)
        return StateError(f"The state in {self._path} can't be {what}: {error}")


def _log_damage(path: Path, error: object = "") -> None:
    _log.error("a store's files are damaged; they are removed and recovered from the changelog",
               path=str(path), error=str(error))  # fmt: skip


class RocksStores:
    """The StoreFactory of RocksDB stores: one directory per partition, one cache for all."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "state"
        self._cache = Cache(CACHE_BYTES)

    def __call__(self, tp: TopicPartition) -> RocksStore:
        """Open (or create) the store of `tp`. Raises StateError."""
        return RocksStore(self._root / f"{tp.topic}-{tp.partition}", self._cache)

    def as_it_is(self, path: Path) -> RocksStore:
        """Open a store that lies somewhere else, and leave it as it is where it is damaged. Raises
        StateError."""
        return RocksStore(path, self._cache, mends=False)

    def clear(self, topic: str, owned: Iterable[TopicPartition]) -> None:
        """Remove what an earlier process has left of partitions that are another worker's now."""
        keep = {f"{topic}-{tp.partition}" for tp in owned}
        for path in self._root.glob(f"{topic}-*"):
            if path.name not in keep:
                shutil.rmtree(path, ignore_errors=True)


def _options(cache: Cache) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, block_based=False)  # the usual 10 bits: 1 % false positives
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(STORE_FILES - OTHER_FILES)
    return options
