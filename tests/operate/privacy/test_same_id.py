"""A customer and a visitor of the same id: who asks for one's data gets nothing of the other's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.customer.ownership import RecordOwnership
from schemas import topics
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor
from schemas.stored import HELD_BACK_PREFIX, NEVER, WAITING_PREFIX, Progress, is_erased, pack
from streams.operate.lookup import latest_states
from streams.operate.privacy.collecting import collect, find_customer
from streams.operate.privacy.erasing import Erasing
from streams.operate.timeline import describe, from_log
from streams.partitioner import partition_of
from streams.runtime.factories import record_signer
from tests.mail.servers import scripted
from tests.operate.privacy.test_erasing import Shop, opened
from tests.runtime.test_worker import event, everything


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with scripted() as relay, opened(tmp_path, relay.url) as shop:
        yield shop


def by_visitor(type_: str, id_: str, who: str, **data: Any) -> OutRecord:
    plain = event(type_, id_, who, **data)
    return plain._replace(headers=[*plain.headers, ("ce_anonymousid", who.encode())])


CLAIM = event("customer.identified", "claim", "mallory", anonymous_id="anna", email="m@x.it")
HERS = (
    event("customer.updated", "h1", "anna", email="anna@x.it", first_name="Annabella"),
    event("order.completed", "h2", "anna", order_id="HERS-1", total="5", currency="EUR"),
    event("product.viewed", "h3", "anna", product_id="hers"),
)
HIS = (
    by_visitor("product.viewed", "v1", "anna", product_id="his"),
    by_visitor("customer.updated", "v2", "anna", first_name="Visitor"),
)


def ids_of(records: list[Record]) -> set[str]:
    found = {(each.header("ce_id") or b"").decode() for each in records}
    return {each for each in found if each in {"claim", "h1", "h2", "h3", "v1", "v2"}}


@pytest.mark.parametrize("first", ["claimed", "known"])
async def test_a_copy_holds_nothing_of_whose_id_was_claimed(shop: Shop, first: str) -> None:
    for record in (CLAIM, *HERS, *HIS) if first == "claimed" else (*HERS, CLAIM, *HIS):
        await shop.tell(record)
    who, known = await find_customer(shop.log, "anna")
    assert (who, known is not None and known.statistics.count) == ("anna", 1)
    hers, mallorys = await collect(shop.log, "anna"), await collect(shop.log, "mallory")
    assert ids_of(hers.events) == {"h1", "h2", "h3"}
    assert ids_of(mallorys.events) == {"claim", "v1", "v2"}
    assert {each.key for each in hers.commands} == {b"anna"}
    assert all(each.key != b"anna" for each in mallorys.commands)
    story = await from_log(shop.log, "mallory", lambda _done, _all: None)
    said = [one for _, one in story.events if one.type != "visitor.merged"]
    assert {one.id for one in said} == {"claim", "v1", "v2"}


async def test_both_of_an_id_are_shown_and_told_apart(shop: Shop) -> None:
    await shop.tell(*HERS, *HIS)
    both = await collect(shop.log, "anna")
    assert [each.key for each in both.states] == ["anna", of_visitor("anna")]
    assert ids_of(both.events) == {"h1", "h2", "h3", "v1", "v2"}
    visitor = await collect(shop.log, of_visitor("anna"))
    assert [each.key for each in visitor.states] == [of_visitor("anna")]
    assert ids_of(visitor.events) == {"v1", "v2"}


async def test_a_story_says_what_is_a_visitors_of_the_same_id(shop: Shop) -> None:
    await shop.tell(*HERS, *HIS)
    story = describe(await from_log(shop.log, "anna", lambda _done, _all: None), {}, "en")
    his = [line for line in story if line.text.startswith("visitor: ")]
    assert [line.type for line in his if line.kind == "event"] == [
        "product.viewed", "customer.updated"
    ]  # fmt: skip
    hers = {line.type for line in story if line not in his}
    assert {"customer.updated", "order.completed", "product.viewed"} <= hers


async def test_an_erasure_of_an_id_reaches_both(shop: Shop) -> None:
    await shop.tell(*HERS, *HIS)
    await shop.tell(event("customer.erasure_requested", "forget", "anna"))
    for reference in ("anna", of_visitor("anna")):
        await shop.erased(reference)
    states = await latest_states(shop.log, "anna")
    assert states.keys() == {"anna", of_visitor("anna")}
    assert all(map(is_erased, states.values()))
    assert not shop.files_with(b"Annabella")
    assert not shop.files_with(b"HERS-1")
    records = await everything(shop.log, topics.CUSTOMER_EVENTS)
    kept = {each.key for each in records if not (each.key or b"").startswith(b"ritorno/links/")}
    assert kept == {None}


async def test_who_has_claimed_an_id_is_erased_and_its_customer_stays(shop: Shop) -> None:
    await shop.tell(CLAIM, *HERS, *HIS)
    await shop.tell(event("customer.erasure_requested", "forget", "mallory"))
    for reference in ("mallory", of_visitor("anna")):
        await shop.erased(reference)
    events = await everything(shop.log, topics.CUSTOMER_EVENTS)
    assert ids_of(events) == {"h1", "h2", "h3"}
    assert all(b"his" not in (each.value or b"") for each in events)
    known = await find_customer(shop.log, "anna")
    assert known[1] is not None
    assert known[1].profile.first_name == "Annabella"


ADOPTED = (
    event(
        "cart.product_added", "u1", "w", product_id="SEGRETO", name="Moka", price="1"
    ),  # in doubt
    by_visitor("product.viewed", "u2", "w", product_id="p"),
    event("customer.identified", "l", "rosa", anonymous_id="w", email="r@x.it"),
)


@pytest.mark.parametrize("known", ["nobody", "a customer"])
async def test_what_a_visitor_has_taken_over_is_erased_with_it(tmp_path: Path, known: str) -> None:
    """It was kept under the bare id before, which another customer may have by now."""
    async with scripted() as relay, opened(tmp_path, relay.url, "rocksdict") as shop:
        for record in ADOPTED:
            await shop.tell(record)
        assert shop.files_with(b"SEGRETO")
        if known == "a customer":
            await shop.tell(event("customer.updated", "k", "w", first_name="Wanda"))
        await shop.tell(event("customer.erasure_requested", "forget", "rosa"))
        for reference in ("rosa", of_visitor("w")):
            await shop.erased(reference)
        changelog = await everything(shop.log, topics.CUSTOMERS_CHANGELOG)
        assert not [each for each in changelog if b"SEGRETO" in (each.value or b"")]
        (kept,) = (each.value or b"" for each in changelog if each.key == b"w")
        assert is_erased(kept) == (known == "nobody")
        assert is_erased(kept) or b"Wanda" in kept
    if known == "nobody":
        assert not shop.files_with(b"SEGRETO")
    else:  # an event that says neither is the customer's, once there is one
        assert {"log.sqlite3"} >= set(shop.files_with(b"SEGRETO"))


@pytest.mark.parametrize("known", ["nobody", "a customer"])
async def test_what_waited_for_who_was_taken_over_is_erased_with_it(shop: Shop, known: str) -> None:
    for record in ADOPTED:
        await shop.tell(record)
    await shop.worker.eraser.stop()
    if known == "a customer":
        await shop.tell(event("customer.updated", "k", "w", first_name="Wanda"))
    await shop.tell(event("customer.erasure_requested", "forget", "rosa"))
    partition = partition_of(b"w", 2)

    def waiting(number: int, says: bytes | None) -> OutRecord:
        content = msgspec.msgpack.encode((b"w", 0, b"w", says, ()))
        kept = None if says is None else pack(number, NEVER, content)
        return OutRecord(WAITING_PREFIX + number.to_bytes(8), kept)

    states = [waiting(1, b"RELEASED w"), waiting(1, None), waiting(2, b"WAITING w")]
    held = [OutRecord(HELD_BACK_PREFIX + b"w", each) for each in (b"HELD w", None)]
    await shop.log.append(topics.CUSTOMERS_CHANGELOG, partition, [*states, *held])
    first = next(r for r in await everything(shop.log, topics.CUSTOMER_EVENTS) if r.key == b"w")
    place = OutRecord(None, b'{"name": "w"}', (("ce_type", b"ritorno.set_aside"),))
    await shop.log.redaction().change(first.topic, partition, {first.offset: place})

    await shop.carry_out()
    left = b" ".join(
        each.value or b"" for each in await everything(shop.log, topics.CUSTOMERS_CHANGELOG)
    )
    assert b"RELEASED" not in left
    assert b"HELD" not in left
    assert (b"WAITING" in left) == (known == "a customer")
    named = [
        r for r in await everything(shop.log, topics.CUSTOMER_EVENTS) if r.value == place.value
    ]
    assert bool(named) == (known == "a customer")


async def test_a_store_forgets_what_was_taken_over(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrubbed: list[bytes] = []

    async def scrub(_partition: int, keys: list[bytes]) -> None:
        scrubbed.extend(keys)

    monkeypatch.setattr(shop.worker.eraser, "_scrub", scrub)
    for record in (*ADOPTED, event("customer.erasure_requested", "forget", "rosa")):
        await shop.tell(record)
    for reference in ("rosa", of_visitor("w")):
        await shop.erased(reference)
    assert set(scrubbed) == {b"rosa", b"w", of_visitor("w").encode()}


async def test_an_erasure_waits_for_all_that_was_written_with_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash the visitor's record may be there, and what is left under the bare id not yet:
    the progress, which is written last, says so."""
    for record in ADOPTED:
        await shop.tell(record)
    await shop.worker.eraser.stop()
    await shop.tell(event("customer.erasure_requested", "forget", "rosa"))
    erasing = Erasing(shop.log, record_signer(shop.worker.settings))
    with monkeypatch.context() as patch:

        async def before(*_: Any) -> Progress:
            return Progress(next_offset=1)

        patch.setattr("streams.operate.privacy.traces.latest_progress", before)
        assert not await erasing.carry_out()
    assert shop.files_with(b"SEGRETO")
    await shop.carry_out()


def keyed(who: str, *headers: tuple[str, bytes], type_: bytes = b"page.viewed") -> Record:
    found = (("ce_id", b"i"), ("ce_type", type_), *headers)
    return Record("customer-events", 0, 0, 0, who.encode(), b"{}", found)


def test_what_belongs_to_whom() -> None:
    undeclared, declared = keyed("x"), keyed("x", ("ce_anonymousid", b"x"))
    named, told = keyed("x", ("ce_subject", b"x")), keyed(of_visitor("x"))
    unreadable = Record("customer-events", 0, 0, 0, b"x", b"{", ())
    other = keyed("y")
    everything_ = (undeclared, declared, named, told, unreadable, other)

    def theirs(*references: str, taken: tuple[str, ...] = ()) -> list[Record]:
        return [each for each in everything_ if RecordOwnership(references, taken).has(each)]

    assert theirs("x") == [undeclared, named, unreadable]
    assert theirs(of_visitor("x")) == [undeclared, declared, told, unreadable]
    assert theirs(of_visitor("x"), taken=("x",)) == [declared, told]
    assert theirs("x", of_visitor("x")) == [undeclared, declared, named, told, unreadable]
    assert RecordOwnership(["x"]).is_named("x")
    assert not RecordOwnership(["x"]).is_named(of_visitor("x"))
    assert not RecordOwnership([of_visitor("x")], ["x"]).is_named("x")
