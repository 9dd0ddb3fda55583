"""Asking a worker over its internal port, in one process over a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from agents.mail.settings import SigningKey
from schemas.records import OutRecord
from schemas.stored import pack
from streams.clock import VirtualClock
from streams.http.internal.client import Lookups, NoAnswer
from streams.http.internal.owners import Owners, remove_address, write_address
from streams.http.internal.server import AT_ONCE, InternalServer
from streams.http.internal.signing import HEADER, WINDOW_MS, RequestSigner
from streams.operate.lookup import latest_states
from streams.operate.record_index import RecordIndex
from streams.operate.record_search import find_records
from streams.partitioner import partition_of
from streams.runtime.customers import NotOwned
from streams.runtime.state.store import StateError
from streams.runtime.transports.assigned_partition import PartitionHealth
from streams.runtime.transports.batch import TopicPartition
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, FACTS
from tests.mail.doubles import MemoryLog

START = 1_772_355_600_000
KEYS = [SigningKey("k1", "a secret of the tests")]
RECORD = pack(7, 8, b"\x90")


HEALTH = {
    TopicPartition(CUSTOMER_EVENTS, 0): PartitionHealth(True, 0, 2, ""),
    TopicPartition(CUSTOMER_EVENTS, 1): PartitionHealth(False, 7, 5, "the disk is full"),
}


@dataclass
class Shop:
    """A worker's door, and who asks there."""

    log: MemoryLog
    clock: VirtualClock
    directory: Path
    address: Address
    kept: dict[bytes, bytes]
    owned: bool = True
    prepared: list[set[int]] = field(default_factory=list)
    leaves: bool = False

    async def prepare(self, partitions: Collection[int]) -> bool:
        self.prepared.append(set(partitions))
        return not self.leaves

    def lookups(self, secret: str = KEYS[0].secret) -> Lookups:
        owners = Owners(self.log, "ritorno", self.directory)
        return Lookups(self.log, owners, RequestSigner([SigningKey("k1", secret)]), self.clock)


async def test_an_index_that_can_not_be_written_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "places.sqlite").mkdir()
    record_index = RecordIndex(
        MemoryLog(VirtualClock(START), partitions=4), tmp_path / "places.sqlite"
    )
    with pytest.raises(StateError, match=r"places\.sqlite can't be read or written"):
        await record_index.find(FACTS, 0, b"anna", 1.0)
    await record_index.close()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    clock = VirtualClock(START)
    log = MemoryLog(clock, partitions=4)
    shop = Shop(log, clock, tmp_path, Address("", 0), {b"anna": RECORD})

    def read(key: bytes, partitions: int) -> bytes | None:
        if not shop.owned:
            raise NotOwned("partition 1")
        assert partitions == 4
        return shop.kept.get(key)

    record_index = RecordIndex(log, tmp_path / "places.sqlite")
    door = InternalServer(
        log=log,
        signer=RequestSigner(KEYS),
        clock=clock,
        customer=read,
        record_index=record_index,
        health=lambda: HEALTH,
        prepare=shop.prepare,
    )
    shop.address = await door.start(Address("127.0.0.1", 0))
    write_address(tmp_path, shop.address)
    yield shop
    await door.stop()
    await record_index.close()


async def test_a_kept_record_is_told(shop: Shop) -> None:
    assert await shop.lookups().record(b"anna") == RECORD
    assert await shop.lookups().record("città".encode()) is None


async def test_a_worker_is_told_which_partitions_it_will_be_given(shop: Shop) -> None:
    assert await shop.lookups().prepare(shop.address, [3, 0], 5.0)
    shop.leaves = True
    assert not await shop.lookups().prepare(shop.address, [1], 5.0)
    assert shop.prepared == [{0, 3}, {1}]
    for refused in ([4], ["x"], ["-1"], []):
        with pytest.raises(NoAnswer, match="answers 400"):
            await shop.lookups().prepare(shop.address, refused, 5.0)
    with pytest.raises(NoAnswer, match="other keys"):
        await shop.lookups("another secret").prepare(shop.address, [1], 5.0)
    assert len(shop.prepared) == 2


async def test_workers_tell_how_their_partitions_fare(shop: Shop) -> None:
    assert await shop.lookups().health() == HEALTH
    remove_address(shop.directory)
    with pytest.raises(NoAnswer, match="no worker tells where"):
        await shop.lookups().health()
    write_address(shop.directory, Address("127.0.0.1", 1))
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:1 does not answer"):
        await shop.lookups().health()


async def test_nobody_reads_the_log_while_the_owner_answers(shop: Shop) -> None:
    told: list[str] = []
    await shop.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(b"anna", b"never read")])
    found = await latest_states(shop.log, "anna", lookups=shop.lookups(), told=told.append)
    assert (found["anna"], told) == (RECORD, [])


async def test_without_an_answer_the_log_is_read_and_that_is_said(shop: Shop) -> None:
    partition = partition_of(b"anna", 4)
    await shop.log.append(CUSTOMERS_CHANGELOG, partition, [OutRecord(b"anna", pack(9, 8, b"\x90"))])

    async def found() -> tuple[bytes | None, str]:
        told: list[str] = []
        states = await latest_states(shop.log, "anna", lookups=shop.lookups(), told=told.append)
        return states.get("anna"), " ".join(told)

    shop.owned = False
    state, told = await found()
    assert state == pack(9, 8, b"\x90")
    assert f"{shop.address} answers 421; reading the changelog instead" in told
    write_address(shop.directory, Address("127.0.0.1", 1))
    assert "does not answer" in (await found())[1]
    remove_address(shop.directory)
    assert "no worker tells where it can be asked" in (await found())[1]


async def test_only_who_has_the_keys_gets_an_answer(shop: Shop) -> None:
    with pytest.raises(NoAnswer, match="other keys"):
        await shop.lookups("another secret altogether").record(b"anna")
    path = "/customer?key=anna"
    old = RequestSigner(KEYS).request(path, START - WINDOW_MS - 1)
    async with aiohttp.ClientSession(f"http://{shop.address}") as session:
        for headers in ({}, {HEADER: str(old)}, {HEADER: "k1:1:ab"}):
            async with session.get(path, headers=headers) as answer:
                assert (answer.status, await answer.read()) == (401, b"")


async def test_who_stands_in_for_the_owner_is_not_believed(shop: Shop) -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlie")
        writer.close()

    server = await asyncio.start_server(lie, "127.0.0.1", 0)
    write_address(shop.directory, Address("127.0.0.1", server.sockets[0].getsockname()[1]))
    with pytest.raises(NoAnswer, match="carries no signature"):
        await shop.lookups().record(b"anna")
    server.close()


@pytest.mark.parametrize("path", ["/customer", "/places?topic=facts", "/places?topic=x&key=a"])
async def test_a_question_that_lacks_something_is_refused(shop: Shop, path: str) -> None:
    headers = {HEADER: str(RequestSigner(KEYS).request(path, START))}
    async with (
        aiohttp.ClientSession(f"http://{shop.address}") as session,
        session.get(path, headers=headers) as answer,
    ):
        assert answer.status == 400


async def test_too_many_at_once_are_sent_away(shop: Shop) -> None:
    waiting, full = asyncio.Event(), asyncio.Event()
    asked: list[str] = []

    async def partitions(topic: str) -> int:
        asked.append(topic)
        if len(asked) == AT_ONCE:
            full.set()
        await waiting.wait()
        return 4

    path = "/customer?key=anna"
    headers = {HEADER: str(RequestSigner(KEYS).request(path, START))}
    shop.log.partitions = partitions  # type: ignore[method-assign]
    async with aiohttp.ClientSession(f"http://{shop.address}") as session:
        ahead = [asyncio.ensure_future(session.get(path, headers=headers)) for _ in range(AT_ONCE)]
        async with asyncio.timeout(10):
            await full.wait()
            async with session.get(path, headers=headers) as answer:
                assert answer.status == 503
            waiting.set()
            assert {(await each).status for each in ahead} == {200}


async def test_a_persons_records_are_found_without_reading_everybodys(shop: Shop) -> None:
    for number in range(40):
        customer = ("anna", "bruno", "carla")[number % 3]
        fact = OutRecord(b"w", b'{"customer": "%s", "n": %d}' % (customer.encode(), number))
        await shop.log.append(FACTS, 0, [fact])
        event = OutRecord(customer.encode(), b"%d" % number)
        await shop.log.append(CUSTOMER_EVENTS, 1, [event])
    keys = {b"anna", b"carla"}
    for topic in (FACTS, CUSTOMER_EVENTS):
        asked = await find_records(shop.log, topic, keys, lookups=shop.lookups())
        assert asked == await find_records(shop.log, topic, keys, lookups=None)
        assert (len(asked) > 20) == (topic == FACTS)
