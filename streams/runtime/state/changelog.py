"""The kept state of one partition: a store and the changelog partition it is a copy of.

Only the partition's owner writes to a changelog partition, so the offsets of its writes follow one
another. When they don't, somebody else has written: a worker that was paused and woke up too late,
or an own attempt that was given up and arrived after all. What was written is then looked at:

- older than what is kept: written again by us, so that the newest record is also the last and
  compaction can never bring the old one back;
- newer than what is kept: another worker owns the partition, or our own lost attempt got further
  than we. `Overtaken` is raised and the partition is opened again, from the changelog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from schemas.records import OutRecord
from schemas.stored import FENCING_EPOCH_KEY, FIRST_FENCING_EPOCH, NEVER, head, is_newer, pack
from streams.log import Log, OnProgress, no_progress, scan
from streams.logging import get_logger
from streams.runtime.state.recovery import Recovered, recover
from streams.runtime.state.store import Item, Store

_log = get_logger(__name__)


class Overtaken(Exception):
    """The changelog holds a newer state than this process: open the partition again."""


class Changelog:
    """Reads from the store, writes to the changelog first and to the store once it is durable."""

    def __init__(self, log: Log, topic: str, partition: int, store: Store) -> None:
        self.topic = topic
        self.partition = partition
        self.store = store
        self._log = log

    def get(self, key: bytes) -> bytes | None:
        """Return what is kept under `key`, or None."""
        return self.store.get(key)

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key with what is kept under it; don't write meanwhile."""
        return self.store.scan()

    async def recover(self, on_progress: OnProgress = no_progress) -> Recovered:
        """Catch up to the end of the changelog. Raises LogError, StateError, FutureFormat."""
        recovered = await recover(self._log, self.topic, self.partition, self.store, on_progress)
        if recovered.stale_keys:
            _log.warning("old states of a late writer found in the changelog, writing ours again",
                         changelog=self.topic, partition=self.partition,
                         keys=len(recovered.stale_keys))  # fmt: skip
            await self._write_again(recovered.stale_keys, recovered.start)
        return recovered

    async def take_over(self) -> Recovered:
        """Catch up, leave a record right behind what was read, and tell which fencing epoch begins.

        Raises LogError, StateError, FutureFormat.

        The owner before may not know yet that it is none. What it wrote up to the mark has been
        read here; at its next write it finds the mark, is Overtaken, and acts on nothing that it
        wrote behind it.

        The fencing epoch is one above the last one left there. Two that take over at once may
        both write the same: the one whose record lies where it has read up to has the partition.
        """
        while True:
            recovered = await self.recover()
            start, last = self.store.position(), self.store.get(FENCING_EPOCH_KEY)
            recovered.fencing_epoch = (
                FIRST_FENCING_EPOCH if last is None else head(last).applied + 1
            )
            mark = pack(recovered.fencing_epoch, NEVER, b"")
            offset = await self._log.append(
                self.topic, self.partition, [OutRecord(FENCING_EPOCH_KEY, mark)]
            )
            if offset == start:
                self.store.write([(FENCING_EPOCH_KEY, mark)], offset + 1)
                return recovered
            # Somebody has written meanwhile: an owner before can do so only once more.

    async def write(self, items: Sequence[Item], check: Callable[[], None]) -> None:
        """Append `items` in order, await the acknowledgement, then write the store.

        `check` is called right before appending (`BatchLease.check`). Raises what `check`
        raises, LogError, StateError, and Overtaken; after any of them the partition must be opened
        again.
        """
        check()
        start = self.store.position()
        records = [OutRecord(key, stored) for key, stored in items]
        end = await self._log.append(self.topic, self.partition, records) + 1
        if end - len(records) == start:
            self.store.write(items, end)
            return
        older = await self._older(start, end, dict(items))
        self.store.write(items, end)
        if older:
            check()
            await self._write_again(older, start)

    async def _older(self, start: int, end: int, ours: dict[bytes, bytes | None]) -> set[bytes]:
        """Return the keys in [start, end) of which somebody wrote an older state.

        Our own records are among them, somewhere: an append may be several writes to the broker.
        Raises Overtaken when a state is newer than ours.
        """
        older: set[bytes] = set()
        async for record in scan(self._log, self.topic, [self.partition], start=start, stop=end):
            key, theirs = record.key or b"", record.value
            kept = ours[key] if key in ours else self.store.get(key)
            if kept == theirs:
                continue
            if kept is None or theirs is None or not is_newer(kept, theirs):
                raise Overtaken(f"{self.topic}/{self.partition} at {record.offset}")
            older.add(key)
        if older:
            _log.warning("a late writer wrote to our changelog, writing our states again",
                         changelog=self.topic, partition=self.partition,
                         keys=len(older))  # fmt: skip
        return older

    async def _write_again(self, keys: set[bytes], start: int) -> None:
        """Append what is kept under `keys`; `start` is where the late writer was found from."""
        end = self.store.position()
        self.store.write((), start)  # should the append fail, the next recovery finds them again
        records = [OutRecord(key, self.store.get(key)) for key in sorted(keys)]
        after = await self._log.append(self.topic, self.partition, records) + 1
        # When somebody wrote in between once more, the next write finds that from `end` on.
        self.store.write((), after if after - len(records) == end else end)
