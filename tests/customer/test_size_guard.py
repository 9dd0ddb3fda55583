"""The guard beside the bounds: a record that would outgrow its budget stays as it was."""

from __future__ import annotations

import pytest

from agents.commerce import cart
from agents.context import Context
from agents.customer import actor, size_guard
from agents.definitions.published import Definitions
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from agents.refusals import EventRefused
from agents.workflows import engine, lifecycle
from schemas.bounds import RECORD_BYTES, kept_bytes
from schemas.customer import Customer, encode_customer
from schemas.customer.consent import Evidence, Subscription
from schemas.customer.shopping import Cart, LineItem
from schemas.events import RETRY
from schemas.pending_work import CatalogueChange
from schemas.products import Product
from schemas.records import OutRecord
from schemas.stored import Progress, head
from schemas.topics import DEAD_LETTERS
from streams.runtime.product_feed import control_record
from tests.harness import HOUR, START, Harness
from tests.workflows.test_enrollment import flow

EMOJI = "🦊"


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect: nobody sees to it that a cart has an end."""
    monkeypatch.setattr(cart, "_fit", lambda _: None)


def fill(harness: Harness, since: int = 0, until: int = 1_000) -> Harness:
    for number in range(since, until):
        harness.add(f"{number:04}" + EMOJI * 49, name=EMOJI * 50, category=EMOJI * 50)
    return harness


@pytest.mark.usefixtures("unbounded")
def test_an_event_is_refused_and_everything_else_goes_on() -> None:
    harness = fill(Harness())
    assert {reason for reason, _ in harness.refusals} == {"record_full"}
    assert harness.refusals[0][1].endswith(
        f"bytes to be kept of one customer, at most {RECORD_BYTES}"
    )
    full = harness.store[b"anna"]
    assert RECORD_BYTES - 2_000 < len(full) <= RECORD_BYTES + 20
    effects = len(harness.effects)
    fill(harness, 2_000, 2_001)
    assert harness.store[b"anna"] == full
    assert len(harness.effects) == effects + 1, "the dead letter alone"
    assert harness.counts[-1].refused == {"record_full": 1}
    harness.add("moka", "berta")
    assert harness.customer("berta").cart.lines[0].product_id == "moka"


@pytest.mark.usefixtures("unbounded")
def test_an_objection_is_heard_by_a_record_that_takes_nothing_more() -> None:
    harness = fill(Harness().subscribed())
    harness.tell("consent.withdrawn", purpose="marketing", wording="w" * 99)
    assert not harness.customer().consented("marketing")
    harness.tell("customer.erasure_requested")
    assert harness.customer() == Customer(key="anna", applied=harness.customer().applied)


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize(
    "size", [7, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 400, 2_000))]
)
@pytest.mark.parametrize("cached", [1, 1 << 30])
def test_the_verdict_is_the_same_wherever_a_batch_ends_or_a_crash_falls(
    size: int, cached: int
) -> None:
    expected = Harness()
    for number in range(1_000):
        fill(expected, number, number + 1)
        expected.add("moka", f"visitor{number % 5}")
    store: dict[bytes, bytes] = {}
    progress, refused = Progress(live=expected.first), 0
    for start in range(0, len(expected.records), size):
        actors = PartitionActors(  # a worker of its own for each batch, as after a crash
            partition=0, load=store.get, definitions=expected.definitions, progress=progress,
            due=[(head(kept).due, key) for key, kept in store.items()], memory=CacheMemory(cached),
        )  # fmt: skip
        changes = actors.receive(expected.records[start : start + size])
        store.update({key: kept for key, kept in changes.states if kept is not None})
        progress, refused = changes.progress, refused + changes.counts.refused["record_full"]
    assert refused == len(expected.refusals) > 0
    assert store == expected.store


def test_a_timer_is_given_up_that_would_outgrow_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness.of(flow(steps="[{id: grow, wait: 1h}, {id: rest, wait: 1h}]"))
    harness.tell("support.requested")
    customer = harness.customer()
    before, customer.weight = customer.visits, RECORD_BYTES
    harness.store[b"anna"] = encode_customer(customer)
    harness.build()
    moved = lifecycle.moved

    def grown(run, place, now) -> None:  # type: ignore[no-untyped-def]
        run.results["grow"] = "x" * RECORD_BYTES
        moved(run, place, now)

    monkeypatch.setattr(lifecycle, "moved", grown)
    harness.at(2 * HOUR)
    assert (harness.customer().runs, harness.customer().visits) == ([], before)
    assert [(said.at, said.reason) for said in harness.said()][-1] == (HOUR, "internal_error")
    assert kept_bytes(harness.customer()) < 10_000


def test_what_was_kept_before_there_were_bounds_is_brought_within_them() -> None:
    text = "n" * 900
    legacy = Customer(
        key="anna", first_seen=START, views=7,
        cart=Cart(lines=[LineItem(f"p{n}", 1, name=text, url=text) for n in range(200)]),
        lists={f"l{n}" + "x" * 300: Subscription(n % 50 != 0, n) for n in range(900)},
        evidence=[Evidence("list", True, n, text, f"e{n}", wording=text) for n in range(50)],
    )  # fmt: skip
    assert len(encode_customer(legacy)) > RECORD_BYTES
    harness = Harness()
    harness.store[b"anna"] = encode_customer(legacy)
    harness.build()
    harness.tell("page.viewed")
    customer = harness.customer()
    assert harness.refusals == []
    assert customer.views == 8
    assert sum(not each.subscribed for each in customer.lists.values()) == 18
    assert customer.cart.lines[-1].product_id == "p199"
    assert len(harness.store[b"anna"]) < RECORD_BYTES // 4
    assert kept_bytes(customer) - 8 <= customer.weight <= kept_bytes(customer)


def test_a_record_is_measured_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    monkeypatch.setattr(
        size_guard, "kept_bytes", lambda each: measured.append(1) or kept_bytes(each)
    )
    harness = Harness()
    for _ in range(2_000):
        harness.tell("page.viewed")
    assert 1 <= len(measured) <= 10


def test_what_a_timer_refuses_by_mistake_is_not_taken_for_a_full_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mistaken(*_: object) -> None:
        raise EventRefused("invalid_event", "a verb that refuses where nobody has said anything")

    given_up: list[object] = []
    monkeypatch.setattr(actor, "wake", mistaken)
    monkeypatch.setattr(actor, "give_up", lambda *_: given_up.append(_))
    customer = Customer(key="anna", first_seen=START)  # not weighed yet, so it is measured
    with pytest.raises(EventRefused, match="a verb that refuses"):
        size_guard.wake(customer, Context(START, Definitions().live({})))
    assert not given_up


NEWS = """
id: news
title: {it: Novità}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: event}
steps: [{id: rest, wait: 1h}]
"""


def cheaper(harness: Harness, price: str) -> None:
    product = {"sku": "moka", "name": "Moka", "price": price}
    harness.append(control_record([Product.model_validate(product)]))


def full(harness: Harness) -> Harness:
    """What is known of her takes up all the room there is."""
    customer = harness.customer()
    customer.weight = RECORD_BYTES
    harness.store[b"anna"] = encode_customer(customer)
    harness.build()
    return harness


def test_what_a_customer_is_told_is_weighed() -> None:
    harness = Harness.of(NEWS).add()
    cheaper(harness, "9.00")
    before = harness.customer()
    cheaper(harness, "8.00")
    after = harness.customer()
    assert len(after.runs) == 1
    told = size_guard.size_of([CatalogueChange("price_drop", "moka", "Moka", "", "moka")])
    assert after.weight - before.weight >= 4 * told
    cheaper(full(harness), "7.00")
    assert kept_bytes(harness.customer()) - 8 <= harness.customer().weight <= RECORD_BYTES


def test_a_change_is_not_told_that_would_outgrow_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others are told, she learns of it when its dead letter is sent again."""
    harness = Harness.of(NEWS).add().add(customer="berta")
    cheaper(harness, "9.00")
    full(harness)
    react = engine.react

    def grown(customer, occurred, context) -> None:  # type: ignore[no-untyped-def]
        react(customer, occurred, context)
        if customer.key == "anna":
            customer.fields["x"] = "x" * RECORD_BYTES

    with monkeypatch.context() as defect:
        defect.setattr(engine, "react", grown)
        before, effects = harness.store[b"anna"], len(harness.effects)
        cheaper(harness, "8.00")
        assert harness.store[b"anna"] == before
        assert len(harness.customer("berta").runs) == 1
        (letter,) = [e for e in harness.effects[effects:] if e.topic == DEAD_LETTERS]
        assert [reason for reason, _ in harness.refusals] == ["record_full"]
        assert "not told of a change" in harness.refusals[0][1]
        effects = len(harness.effects)
        again = OutRecord(None, letter.record.value, (("ce_type", RETRY.encode()),))
        harness.append(again)
        assert [reason for reason, _ in harness.refusals] == ["record_full"] * 2
        assert harness.store[b"anna"] == before
    harness.append(again)
    assert len(harness.customer().runs) == 1
    assert len(harness.refusals) == 2
