"""Reads what a broker returns so that no record of a foreign producer stops a partition.

A broker passes on what aiokafka can't read: a header's name that is no UTF-8, a record in a
compressed batch whose parts don't fit. aiokafka raises, at the same place whenever it is fetched
again, and with it every other partition of that fetch waits for ever. A megabyte of compressed
nothing becomes gigabytes, too, and a few thousand such records are more than a worker's memory.

So aiokafka's classes are exchanged for those below (its version is pinned): a batch that fails is
read again by hand, names of headers as well as they can be, and of a record that has no sense is
told that it is there (UNREADABLE): it becomes a dead letter, as all that can't be read.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cramjam
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords

from schemas.records import UNREADABLE
from streams.logging import get_logger

MAX_BATCH_BYTES = 64 * 1024 * 1024
"""Of a batch when it is decompressed. Producers fill batches up to a megabyte or two before they
compress them; more has been made to be more."""

MAX_FETCHED_BYTES = 8 * 1024 * 1024
"""Of keys and values that one fetch of a partition returns: its two megabytes, decompressed."""

_BATCH = struct.Struct(">qiibIhiqqqhii")
"""Of Kafka's record batch, version 2: offset, length, leader's epoch, magic, CRC, attributes, last
offset's delta, first and highest timestamp, producer's id, epoch and sequence, how many records."""
_LENGTH = struct.Struct(">qi")
_CODEC, _APPEND_TIME = 0x07, 0x08
_VARINT_BYTES = 10
_NEW_FORMAT = 2

_log = get_logger(__name__)


class Unsound(ValueError):
    """Bytes that are no record, or no batch."""


class _Record(NamedTuple):
    """What aiokafka makes a ConsumerRecord of."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    checksum: None = None


class Batches:
    """In place of aiokafka's MemoryRecords: the batches of one partition in a response."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._records = MemoryRecords(data)
        self.has_next = self._records.has_next
        self.size_in_bytes = self._records.size_in_bytes

    def next_batch(self) -> Any:
        """Return the next batch; one of a format before version 2 as aiokafka has it."""
        start = self._at
        self._at += _LENGTH.size + _LENGTH.unpack_from(self._data, start)[1]
        batch = self._records.next_batch()
        return batch if batch.magic < _NEW_FORMAT else _Batch(batch, self._data, start, self._at)


class _Batch:
    """A batch that can be read whatever is in it. All else is aiokafka's."""

    def __init__(self, batch: Any, data: bytes, start: int, end: int) -> None:
        self._batch, self._span = batch, (data, start, end)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        # Whoever reads passes over what it has got already, so that it can begin again.
        try:
            yield from self._batch
        except Exception as error:
            _log.warning("a batch that isn't as Kafka wants it is read record by record",
                         offset=self._batch.base_offset, error=repr(error))  # fmt: skip
        else:
            return
        data, start, end = self._span
        yield from read_patiently(data[start:end])


def read_patiently(raw: bytes) -> Iterator[_Record]:
    """Yield what can be read of a batch, and what stands for the rest.

    What stands for a record is told from the place behind the one before it, whatever is left of
    the batch by compaction: aiokafka passes over offsets that go back.
    """
    offset, _, _, _, _, attributes, last, first_time, time, _, _, _, count = _BATCH.unpack_from(raw)
    append_time = bool(attributes & _APPEND_TIME)

    def instead(place: int, why: object) -> _Record:
        reason = ((UNREADABLE, str(why).encode("utf-8", "replace")[:200]),)
        return _Record(offset + place, time, int(append_time), None, None, reason)

    try:
        body = _decompressed(attributes & _CODEC, raw[_BATCH.size :])
    except Exception as error:  # each codec has errors of its own
        yield instead(0, error)
        if last:
            yield instead(last, error)
        return
    at = following = 0
    for number in range(count):
        if following > last:
            # Of another batch is what would be told from here on.
            _log.warning("more records than places in a batch", offset=offset, lost=count - number)
            return
        try:
            size, begin = _varint(body, at)
            if not 0 < size <= len(body) - begin:
                raise Unsound(f"a record of {size} bytes, where {len(body) - begin} are left")
        except Unsound as error:
            left = count - number - 1
            yield instead(following, f"{error}; {left} records behind it are lost with it")
            return
        at = begin + size
        try:
            delta, place, key, value, headers = _parts(body[begin:at])
            if not following <= place <= last:
                raise Unsound(f"a record at place {place}, where {following} to {last} are left")
        except Unsound as error:
            yield instead(following, error)
            following += 1
            continue
        following = place + 1
        when = time if append_time else first_time + delta
        yield _Record(offset + place, when, int(append_time), key, value, headers)


def _parts(
    record: bytes,
) -> tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
    """Return timestamp and offset, as differences to the batch's, key, value and headers."""
    delta, at = _varint(record, 1)  # behind the attributes, of which there are none
    place, at = _varint(record, at)
    key, at = _nullable(record, at)
    value, at = _nullable(record, at)
    count, at = _varint(record, at)
    headers = []
    for _ in range(count):
        name, at = _nullable(record, at)
        content, at = _nullable(record, at)
        headers.append(((name or b"").decode("utf-8", "replace"), content))
    return delta, place, key, value, tuple(headers)


def _nullable(record: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(record, at)
    if size < 0:
        return None, at
    if size > len(record) - at:
        raise Unsound(f"{size} bytes, where {len(record) - at} are left of a record")
    return record[at : at + size], at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, zigzag, and the place behind it."""
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at + place + 1
    raise Unsound("a number that doesn't end")


# Decompressing.

_FIRST_ROOM = 256 * 1024
_GROWTH = 8
_SNAPPY_HEADER, _SNAPPY_MAGIC = 16, b"\x82SNAPPY\x00"


def _into(codec: Any) -> Callable[[Any], bytes]:
    """Return what decompresses into a limited room, so that nothing becomes more than that."""

    def decompress(payload: Any) -> bytes:
        room = max(_FIRST_ROOM, _GROWTH * len(payload))
        while True:
            room = min(room, MAX_BATCH_BYTES)
            into = bytearray(room)
            try:
                size = codec(payload, into)
            except cramjam.DecompressionError as error:
                if room == MAX_BATCH_BYTES:
                    raise Unsound(f"can't be decompressed into {room} bytes: {error}") from None
                room *= _GROWTH
            else:
                return bytes(memoryview(into)[:size])

    return decompress


def _unsnapped(payload: Any) -> bytes:
    """Decompress snappy, in the blocks of Java's library or in one."""
    data = bytes(payload)
    if not data.startswith(_SNAPPY_MAGIC):
        return _block(data, MAX_BATCH_BYTES)
    blocks, at, left = [], _SNAPPY_HEADER, MAX_BATCH_BYTES
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        blocks.append(_block(data[at + 4 : end], left))
        left, at = left - len(blocks[-1]), end
    return b"".join(blocks)


def _block(data: bytes, most: int) -> bytes:
    size = cramjam.snappy.decompress_raw_len(data)
    if size > most:
        raise Unsound(f"{size} bytes in a block of snappy, where at most {most} are read")
    return bytes(cramjam.snappy.decompress_raw(data))


_CODECS: dict[int, Callable[[Any], bytes]] = {
    1: _into(cramjam.gzip.decompress_into),
    2: _unsnapped,
    3: _into(cramjam.lz4.decompress_into),
    4: _into(cramjam.zstd.decompress_into),
}


def _decompressed(codec: int, body: bytes) -> bytes:
    if codec == 0:
        return body
    if codec not in _CODECS:
        raise Unsound(f"compressed by a codec without a name: {codec}")
    return _CODECS[codec](body)


# aiokafka's.


class Fetched(list[Any]):
    """Records of one partition, and from which offset on they were asked for. What lies between
    that and the first one isn't missing: a transaction's end, or one that was aborted."""

    begin: int = -1


def _getall(self: Any, max_records: int | None = None) -> list[Any]:
    """In place of FetchResult.getall: ends at MAX_FETCHED_BYTES, too, and returns Fetched."""
    found, size = Fetched(), 0
    if not self.check_assignment(self._topic_partition) or not self.has_more():
        return found
    found.begin = self._partition_records.next_fetch_offset
    state = self._assignment.state_value(self._topic_partition)
    since, reached = getattr(state, "passed_over", (-1, -1))
    if reached == found.begin:
        found.begin = since
    for record in self._partition_records:
        found.append(record)
        size += record.serialized_key_size + record.serialized_value_size
        if size >= MAX_FETCHED_BYTES or len(found) == max_records:
            self._update_position()
            break
    else:
        self._update_position()
        self._partition_records = None
    # What isn't given out may also lie behind the last one: who asks next asks for it, too.
    state.passed_over = (found[-1].offset + 1 if found else found.begin, state.position)
    return found


def install() -> None:
    """Have all consumers of this process read so."""
    fetcher.MemoryRecords = Batches
    fetcher.FetchResult.getall = _getall
    module = sys.modules[default_records.DefaultRecordBatch.__module__]  # the compiled one, or not
    for codec, name in ((1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")):
        setattr(module, f"{name}_decode", _CODECS[codec])
