"""A customer's partition is the one that any Kafka client would choose."""

from __future__ import annotations

from aiokafka import partitioner as aiokafkas
from hypothesis import example, given
from hypothesis import strategies as st

from streams.partitioner import murmur2, partition_of


@given(st.binary(max_size=300))
@example(b"")
@example(bytes(range(256)))
def test_the_hash_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == aiokafkas.murmur2(key)


@given(st.binary(max_size=40), st.integers(1, 64))
def test_the_partition_is_kafkas(key: bytes, partitions: int) -> None:
    chosen = aiokafkas.DefaultPartitioner()(key, list(range(partitions)), [])
    assert partition_of(key, partitions) == chosen
