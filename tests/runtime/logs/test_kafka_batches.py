"""Batches that a broker takes from a foreign producer, and that aiokafka alone can't read."""

from __future__ import annotations

from typing import Any

import cramjam
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.record import default_records
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as Builder

from schemas.records import UNREADABLE, OutRecord, Record
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable
from schemas.wire import parse_record
from streams.log import TopicSpec
from streams.runtime.logs.kafka import KafkaLog, record_of
from streams.runtime.logs.kafka.batches import (
    MAX_BATCH_BYTES,
    MAX_FETCHED_BYTES,
    Batches,
    read_patiently,
)
from tests.broker import KafkaBroker
from tests.runtime.transports.kafka_backend import unique

TP = TopicPartition(CUSTOMER_EVENTS, 0)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)


class _Name(str):
    """The name of a header that is no UTF-8; only other clients can write one."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def _batch(*values: bytes, codec: int = NONE, offset: int = 0, headers: Any = ()) -> bytes:
    builder = Builder(2, codec, 0, -1, -1, -1, 10**9)
    for number, value in enumerate(values):
        builder.append(number, 1_000, b"anna", value, list(headers))
    built = bytes(builder.build())
    return offset.to_bytes(8, "big") + built[8:]


def _with_body(batch: bytes, body: bytes, codec: int = NONE) -> bytes:
    """Return the batch with other records in it."""
    raw = bytearray(batch[:61] + body)
    raw[22] = codec
    raw[8:12] = (len(raw) - 12).to_bytes(4, "big")
    raw[17:21] = default_records.calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    return bytes(raw)


def _read(*batches: bytes) -> list[Record]:
    """Read them as aiokafka's consumer does."""
    records = PartitionRecords(
        TP, Batches(b"".join(batches)), [], 0, None, None, True, READ_UNCOMMITTED
    )
    return [record_of(record, record.topic) for record in records]


GOOD = b'{"product_id": "moka"}'


@pytest.mark.parametrize("codec", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
def test_whichever_way_a_producer_compresses(codec: int) -> None:
    values = [GOOD, b"x" * 300_000, b""]
    assert [each.value for each in _read(_batch(*values, codec=codec))] == values


@pytest.mark.parametrize("codec", [NONE, GZIP, ZSTD])
def test_a_header_without_a_readable_name_does_not_hide_its_record(codec: int) -> None:
    bad = _batch(GOOD, headers=[("ce_id", b"1"), (_Name("x"), b"y"), ("z", None)], codec=codec,
                 offset=1)  # fmt: skip
    before, it, after = _read(_batch(b"1"), bad, _batch(b"3", offset=2))
    assert (before.offset, it.offset, after.offset) == (0, 1, 2)
    assert it.key == b"anna" and it.value == GOOD and it.timestamp == 1_000
    assert tuple(it.headers) == (("ce_id", b"1"), ("��", b"y"), ("z", None))


def test_a_record_that_makes_no_sense_is_a_dead_letter_and_the_next_ones_are_read() -> None:
    body = _batch(b"0", b"1", b"2")[61:]
    size = body[0] // 2 + 1
    first, second, third = (body[at : at + size] for at in range(0, 3 * size, size))
    broken = bytes([second[0]]) + b"\x00\x02\x02\x7f" + second[5:]  # a key of -64 bytes, and so on
    one, two, three = _read(_with_body(_batch(b"0", b"1", b"2"), first + broken + third))
    assert (one.value, three.value) == (b"0", b"2")
    assert [two.offset, two.value] == [1, None]
    assert two.headers[0][0] == UNREADABLE
    with pytest.raises(
        Unreadable, match=r"its bytes are no record: -?\d+ bytes, where \d+ are left"
    ):
        parse_record(two)


def _record(place: int, value: bytes) -> bytes:
    """One record of a batch, at this place."""
    content = bytes([0, 0, 2 * place, 1, 2 * len(value)]) + value + b"\0"
    return bytes([2 * len(content)]) + content


@pytest.mark.parametrize("lost", ["record", "rest"])
def test_what_stands_for_a_record_is_read_also_where_compaction_has_left_gaps(lost: str) -> None:
    whole = _batch(*(str(number).encode() for number in range(10)))
    good, bad = _record(5, b"5"), bytes([8, 0, 0, 14, 126])  # a key longer than the record
    if lost == "rest":
        bad = bytes([126])  # a record longer than the batch
    raw = bytearray(_with_body(whole, _record(2, b"2") + good + bad + _record(9, b"9")))
    raw[57:61] = (4).to_bytes(4, "big")
    raw[17:21] = default_records.calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    found = list(_read(bytes(raw), _batch(b"10", offset=10)))
    one, two, it, *others = found
    assert [(one.offset, one.value), (two.offset, two.value)] == [(2, b"2"), (5, b"5")]
    assert (it.offset, it.value) == (6, None)
    why = (it.headers[0][1] or b"").decode()
    assert why.endswith("; 1 records behind it are lost with it") == (lost == "rest")
    expected = [10] if lost == "rest" else [9, 10]
    assert [each.offset for each in others] == expected


def test_a_record_whose_place_goes_back_is_told_and_takes_no_place_of_the_next_batch() -> None:
    places = [_record(place, b"x") for place in (1, 0, 0)]
    found = list(read_patiently(_with_body(_batch(b"0", b"1", b"2"), b"".join(places))))
    assert [each.offset for each in found] == [1, 2]
    assert found[1].headers[0][0] == UNREADABLE


def test_a_batch_whose_records_are_lost_is_passed_over() -> None:
    nonsense = _with_body(_batch(b"0", b"1", b"2", codec=ZSTD), b"no zstd at all", ZSTD)
    *lost, last = _read(nonsense, _batch(b"3", offset=3))
    assert [each.offset for each in lost] == [0, 2]
    assert (last.offset, last.value) == (3, b"3")


@pytest.mark.parametrize(
    ("codec", "compress"),
    [(GZIP, cramjam.gzip.compress), (SNAPPY, cramjam.snappy.compress_raw),
     (LZ4, cramjam.lz4.compress), (ZSTD, cramjam.zstd.compress)],
)  # fmt: skip
def test_compressed_nothing_does_not_fill_the_memory(codec: int, compress: Any) -> None:
    packed = bytes(compress(b"\0" * (MAX_BATCH_BYTES + 1)))
    [lost] = _read(_with_body(_batch(b"0", codec=codec), packed, codec))
    assert lost.value is None and lost.headers[0][0] == UNREADABLE


def test_one_fetch_returns_a_bounded_number_of_bytes() -> None:
    class Assignment:
        """Where aiokafka keeps how far it is."""

        active, paused, position = True, False, 0

        def state_value(self, _: Any) -> Assignment:
            return self

        def consumed_to(self, offset: int) -> None:
            self.position = offset

    data = b"".join(_batch(b" " * 1_000_000, codec=ZSTD, offset=number) for number in range(40))
    assert len(data) < 40_000
    records = PartitionRecords(TP, Batches(data), [], 0, None, None, True, READ_UNCOMMITTED)
    assignment = Assignment()
    result = FetchResult(TP, partition_records=records, assignment=assignment, backoff=0)
    found = []
    while result.has_more():
        part = result.getall(4_000)
        assert sum(len(each.value) for each in part) < MAX_FETCHED_BYTES + 1_000_001
        found += [each.offset for each in part]
    assert found == list(range(40))


@pytest.mark.kafka
async def test_on_a_real_broker(kafka_broker: KafkaBroker) -> None:
    log = KafkaLog([kafka_broker.bootstrap])
    await log.start()
    topic = unique("foreign")
    try:
        await log.create_topics([TopicSpec(name=topic, partitions=1)])
        for codec in (None, "gzip", "snappy", "lz4", "zstd"):
            producer = AIOKafkaProducer(
                bootstrap_servers=kafka_broker.bootstrap, compression_type=codec
            )
            await producer.start()
            await producer.send_and_wait(topic, str(codec).encode(), partition=0)
            await producer.stop()
        await log.append(topic, 0, [OutRecord(b"k", b"last")])
        found = [each.value async for chunk in log.read(topic, 0, 0, 6) for each in chunk]
    finally:
        await log.stop()
    assert found == [b"None", b"gzip", b"snappy", b"lz4", b"zstd", b"last"]
