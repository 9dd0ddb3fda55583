"""A worker is killed on its way to setting something aside; another owner takes over, in which the
defect is mended. Whatever it finds, it decides as a replay does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
import rocksdict

from agents.customer import actor
from agents.definitions.published import Definitions
from schemas.events import SET_ASIDE
from schemas.pending_work import BROADCAST_PREFIX, LAYOUT_KEY
from schemas.products import Product
from schemas.records import OutRecord
from schemas.stored import (
    ARRIVALS_KEY,
    HELD_BACK_PREFIX,
    NAMESPACE_DECISIONS_KEY,
    NEVER,
    ORIGIN_PREFIX,
    PRODUCT_PREFIX,
    PROGRESS_KEY,
    WAITING_PREFIX,
    body,
    pack,
    unpack_progress,
)
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from streams.operate.dead_letters import resend
from streams.operate.retrying import try_again
from streams.runtime.state.rocks import RocksStore
from streams.runtime.state.store import StateError
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog
from tests.runtime.harness import REMINDER, Harness, by_reason, memory_house


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    each = await memory_house()
    await each.start()
    yield each
    await each.stop()


def fails_for_bruno(patch: pytest.MonkeyPatch) -> None:
    viewed = actor._HANDLERS["page.viewed"]

    def fail(customer: Any, event: Any, context: Any) -> Any:
        if customer.key == "bruno":
            raise ZeroDivisionError
        return viewed(customer, event, context)

    patch.setitem(actor._HANDLERS, "page.viewed", fail)  # type: ignore[arg-type]  # a Mapping for everybody else


def names_a_place(topic: str, records: Sequence[OutRecord]) -> bool:
    kinds = {value for r in records for name, value in r.headers if name == "ce_type"}
    return topic == CUSTOMER_EVENTS and SET_ASIDE.encode() in kinds


def holds_a_place(topic: str, records: Sequence[OutRecord]) -> bool:
    if topic != CUSTOMERS_CHANGELOG:
        return False
    found = [r.value for r in records if r.key == PROGRESS_KEY and r.value is not None]
    return any(unpack_progress(value).set_aside for value in found)


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [holds_a_place, names_a_place], ids=["progress", "record"])
async def test_a_worker_is_killed_before_it_goes_on(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, at: Any, written: bool
) -> None:
    log = harness.log
    assert isinstance(log, MemoryLog)
    append = log.append

    async def fatal(topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        if not at(topic, records):
            return await append(topic, partition, records)
        harness.kill()
        if written:
            await append(topic, partition, records)
        raise Killed

    with monkeypatch.context() as patch:
        fails_for_bruno(patch)
        patch.setattr(log, "append", fatal)
        await harness.told("anna")
        bad = await harness.told("bruno")
        await harness.told("bruno")
        await harness.told("anna")
        with pytest.raises(Killed):
            await harness.catch_up()

    await harness.start()
    await harness.catch_up()
    passed_over = at is names_a_place or written
    assert harness.customer("bruno").views == (1 if passed_over else 2)
    assert harness.customer("anna").views == 2
    assert by_reason(await harness.letters()) == ({"internal_error": [bad]} if passed_over else {})
    assert len(await harness.aside()) == passed_over
    await harness.check_replay()


async def test_a_broker_that_is_away_has_nothing_set_aside(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(harness.log, MemoryLog)
    await harness.publish(REMINDER.replace("WAIT", "2h"))
    await harness.told("anna", "product.viewed", product_id="moka")
    failures = iter([0, 0, 0, 0])
    harness.log.fault = lambda topic, *_: (
        next(failures, None) if topic in (CUSTOMERS_CHANGELOG, "facts") else None
    )
    await harness.catch_up()
    assert harness.seen.failures == ["log"] * 4
    assert harness.seen.aside == []
    assert len(harness.customer("anna").runs) == 1


async def test_a_disk_that_fails_has_nothing_set_aside(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streams.runtime.state.memory import MemoryStore  # noqa: PLC0415  # fails in this test only

    failures = iter([True] * 4)
    get = MemoryStore.get

    def fail(self: Any, key: bytes) -> Any:
        if key == b"anna" and next(failures, False):
            raise StateError("the disk is full")
        return get(self, key)

    monkeypatch.setattr(MemoryStore, "get", fail)
    await harness.told("anna")
    await harness.catch_up()
    assert harness.seen.aside == []
    assert harness.customer("anna").views == 1


def test_what_rocksdb_cannot_read_is_the_disk_s_fault(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RocksStore(tmp_path, rocksdict.Cache(1 << 20))

    class Broken:
        def get(self, _: bytes) -> bytes:
            raise Exception("Corruption: block checksum mismatch")  # as rocksdict

        def items(self) -> Any:
            yield b"anna", b"state"
            raise Exception("Corruption: block checksum mismatch")  # as above

    monkeypatch.setattr(store, "_db", Broken())
    with pytest.raises(StateError, match="can't be read"):
        store.get(b"anna")
    with pytest.raises(StateError, match="can't be read"):
        list(store.scan())


# What fails while a partition is opened.


async def test_a_live_workflow_that_cannot_be_compiled_is_left_out(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.publish(REMINDER.replace("WAIT", "2h"))
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> Any:
            raise ZeroDivisionError

        patch.setattr(Definitions, "add", fail)
        await harness.start()
        await harness.told("bruno", "product.viewed", product_id="moka")
        await harness.catch_up()
        assert harness.customer("bruno").views == 1
        assert harness.customer("bruno").runs == []
    assert [each["what"] for each in await harness.aside()] == ["definition"]
    await harness.check_replay()

    await harness.start()
    assert (await resend(harness.log, lambda _: True, lambda: SIGNER)).resent == 1
    await harness.told("carla", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert len(harness.customer("carla").runs) == 1
    await harness.check_replay()


async def test_a_workflow_of_a_newer_release_is_not_made_live(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> Any:
            raise ValueError("steps.0.teleport: not a step")

        patch.setattr(Definitions, "add", fail)
        await harness.publish(REMINDER.replace("WAIT", "2h"))
        await harness.told("anna", "product.viewed", product_id="moka")
        await harness.catch_up()
    assert harness.customer("anna").runs == []
    assert by_reason(await harness.letters()) == {"internal_error": [0]}
    await harness.check_replay()
    await harness.start()
    assert (await resend(harness.log, lambda _: True, lambda: SIGNER)).resent == 1
    await harness.told("bruno", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert len(harness.customer("bruno").runs) == 1
    await harness.check_replay()


async def test_a_product_that_cannot_be_read_is_known_no_more(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.feed("30.00")
    await harness.catch_up()
    stored = (await harness.kept())[PRODUCT_PREFIX + b"moka"]
    read = Product.model_validate_json
    with monkeypatch.context() as patch:

        def fail(text: Any) -> Any:
            if isinstance(text, bytes) and b"moka" in text:
                raise ZeroDivisionError
            return read(text)

        patch.setattr(Product, "model_validate_json", fail)
        patch.setattr("agents.products.catalogue._PRODUCTS", {})  # as in another process
        await harness.start()
        await harness.told("anna")
        await harness.catch_up()
    assert [(each["what"], each["name"]) for each in await harness.aside()] == [("product", "moka")]
    assert len((await harness.kept())[PRODUCT_PREFIX + b"moka"]) == 16
    await harness.check_replay()
    await harness.start()
    assert (await resend(harness.log, lambda _: True, lambda: SIGNER)).resent == 1
    await harness.catch_up()
    assert body((await harness.kept())[PRODUCT_PREFIX + b"moka"]) == body(stored)
    await harness.check_replay()


async def test_damage_is_no_reason_to_stand_still(harness: Harness) -> None:
    """What can't be read holds one back, be it too short for a head or not."""
    await harness.told("anna")
    await harness.told("bruno")
    await harness.catch_up()
    for key, value in ((b"anna", b"\x00\x01"), (b"bruno", pack(10**6, 5, b"\xc1\xc1\xc1"))):
        await harness.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(key, value)])
    await harness.start()
    await harness.told("carla")
    await harness.told("anna")
    await harness.told("bruno")
    await harness.catch_up()
    assert harness.customer("carla").views == 1
    kept = await harness.kept()
    assert (kept[b"anna"], kept[b"bruno"]) == (b"\x00\x01", pack(10**6, 5, b"\xc1\xc1\xc1"))
    assert harness.runtime.held_back() == 2
    await harness.start()
    for name in ("anna", "bruno"):
        await try_again(harness.log, name, SIGNER, afresh=True)
    await harness.catch_up()
    assert harness.runtime.held_back() == 0
    assert [harness.customer(name).views for name in ("anna", "bruno")] == [1, 1]


async def test_of_a_damaged_progress_the_one_before_counts(harness: Harness) -> None:
    await harness.told("anna")
    await harness.catch_up()
    await harness.told("anna")
    await harness.catch_up()
    before = await harness.kept()
    await harness.log.append(
        CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, pack(1, NEVER, b"\xc1\xc1"))]
    )
    await harness.start()
    await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 3
    assert unpack_progress(before[PROGRESS_KEY]).next_offset == 2
    await harness.check_replay()


async def test_without_any_progress_to_be_read_nothing_is_changed(harness: Harness) -> None:
    await harness.log.append(
        CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, pack(1, NEVER, b"\xc1\xc1"))]
    )
    before = await harness.read(CUSTOMERS_CHANGELOG)
    await harness.start()
    await harness.partition_manager.until(
        lambda: harness.partition_manager.counts.failed_openings > 3
    )
    assert await harness.read(CUSTOMERS_CHANGELOG) == before
    (problem,) = harness.partition_manager.problems().values()
    assert "partition 0 in customers-changelog" in problem
    harness.kill()


@pytest.mark.parametrize("value", [pack(9, NEVER, b"\xc1\xc1"), b"\x00"], ids=["body", "short"])
@pytest.mark.parametrize(
    "key",
    [
        LAYOUT_KEY,
        ARRIVALS_KEY,
        NAMESPACE_DECISIONS_KEY,
        ORIGIN_PREFIX + b"3",
        BROADCAST_PREFIX + b"7",
    ],
)
async def test_with_damage_to_what_is_its_own_a_partition_stays_closed(
    harness: Harness, key: bytes, value: bytes
) -> None:
    await harness.told("anna")
    await harness.catch_up()
    await harness.stop()
    await harness.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(key, value)])
    before = await harness.read(CUSTOMERS_CHANGELOG)
    await harness.start()
    failed = harness.partition_manager.counts.failed_openings
    await harness.partition_manager.until(
        lambda: harness.partition_manager.counts.failed_openings > failed + 3
    )
    assert await harness.read(CUSTOMERS_CHANGELOG) == before
    (problem,) = harness.partition_manager.problems().values()
    assert "restore the topics from one backup" in problem
    harness.kill()


@pytest.mark.parametrize("cut", [17, 1], ids=["body", "short"])
async def test_a_damaged_list_of_what_waits_is_put_together_again(
    harness: Harness, cut: int
) -> None:
    await harness.told("anna")
    await harness.catch_up()
    await harness.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(b"anna", pack(5, NEVER, b"\xc1"))])
    await harness.start()
    for name in ("anna", "bruno", "anna"):
        await harness.told(name)
    await harness.catch_up()
    kept = (await harness.kept())[HELD_BACK_PREFIX + b"anna"]
    await harness.log.append(
        CUSTOMERS_CHANGELOG, 0, [OutRecord(HELD_BACK_PREFIX + b"anna", kept[:cut])]
    )
    await harness.start()
    await harness.told("anna")
    await harness.catch_up()
    assert harness.runtime.held_back() == 1
    known = msgspec.msgpack.decode(body((await harness.kept())[HELD_BACK_PREFIX + b"anna"]))
    offsets, size = msgspec.msgpack.decode(body(kept))[2:4]
    assert (known[2][:-1], known[3] - size) == (offsets, size // len(offsets))
    await try_again(harness.log, "anna", SIGNER, afresh=True)
    await harness.catch_up()
    assert harness.customer("anna").views == 3


async def test_an_event_that_waited_and_is_damaged_is_a_dead_letter(harness: Harness) -> None:
    await harness.told("anna")
    await harness.catch_up()
    await harness.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(b"anna", pack(5, NEVER, b"\xc1"))])
    await harness.start()
    offsets = [await harness.told("anna") for _ in range(3)]
    await harness.catch_up()
    waiting = [key for key in await harness.kept() if key.startswith(WAITING_PREFIX)]
    await harness.log.append(
        CUSTOMERS_CHANGELOG, 0, [OutRecord(sorted(waiting)[1], pack(99, NEVER, b"\xc1"))]
    )
    await harness.start()
    await try_again(harness.log, "anna", SIGNER, afresh=True)
    await harness.catch_up()
    assert harness.customer("anna").views == 2
    letters = by_reason(await harness.letters())
    assert offsets[1] in letters["internal_error"]
