"""Visitors are forgotten after a silence, and only so many of them arrive."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer.visitors import HOURS_KEPT, VisitorExpiry
from agents.definitions.settings import NO_LIMITS, VisitorLimits
from agents.links.names import PREFIX
from agents.partition.partition import PartitionActors
from schemas.customer import Customer, decode_customer
from schemas.decisions import Decision
from schemas.records import Record
from schemas.reference import bare_key, of_visitor
from schemas.signals import SegmentChanged
from schemas.stored import ARRIVALS_KEY, NAMESPACE_DECISIONS_KEY, OWN_PREFIX, Progress, head
from tests.customer.test_segments import segments
from tests.examples import examples
from tests.harness import DAY, HOUR, START, Harness
from tests.products.test_products import feed

NINETY = VisitorLimits(days=90)
LINKS = PREFIX.encode()
THREE_AN_HOUR = VisitorLimits(per_second=3 / 3600)


PRICE_DROP = """
id: w31-price-drop
title: {it: Prezzo}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: product, again_after: 30d}
steps:
  - {id: price-drop, send: price-drop, kind: promotional, products: trigger}
"""


def visited(times: int = 1) -> Harness:
    harness = Harness(limits=NINETY)
    for _ in range(times):
        harness.tell("product.viewed", "v", product_id="tazza")
    return harness


# Who is forgotten.


def test_a_visitor_who_comes_back_after_ninety_days_begins_anew() -> None:
    harness = visited(3).at(90 * DAY).tell("page.viewed", "v")
    assert harness.customer("v").views == 4
    harness.at(181 * DAY).tell("page.viewed", "v")
    assert harness.customer("v").views == 1
    assert harness.customer("v").interests == {}


def test_the_silence_counts_by_the_log_and_not_by_the_senders_clock() -> None:
    """History that is loaded today is new today."""
    harness = Harness(limits=NINETY)
    for _ in range(3):
        harness.tell("page.viewed", "v", happened=-400 * DAY, backfill=True)
    assert harness.customer("v").views == 3


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("customer.updated", {"email": "v@example.com"}),
        ("customer.updated", {"phone": "+39 055 1234"}),
        ("customer.updated", {"first_name": "Vera"}),
        ("customer.updated", {"birthday": "1980-05-01"}),
        ("checkout.started", {"email": "v@example.com", "products": []}),
        ("list.subscribed", {"list": "news", "email": "v@example.com"}),
        ("consent.given", {"purpose": "profiling", "source": "banner"}),
        ("order.completed", {"order_id": "o1", "total": "9.90", "products": []}),
    ],
    ids=str,
)
def test_whoever_has_left_something_is_kept(type_: str, data: dict[str, Any]) -> None:
    harness = visited().tell(type_, "v", **data)
    harness.at(400 * DAY).tell("page.viewed", "v")
    assert harness.customer("v").views == 2


def test_a_browser_whose_owner_is_known_still_leads_there_after_years() -> None:
    harness = visited().tell("customer.identified", "anna", anonymous_id="v", email="a@example.com")
    harness.at(800 * DAY).tell("page.viewed", "v")
    assert harness.customer("v").became == "anna"
    assert harness.customer("anna").views == 2
    assert len(harness.store[of_visitor("v").encode()]) < 300, "what is kept of the browser"


def test_no_timer_of_somebody_forgotten_fires() -> None:
    """Segments turn when somebody was silent for long, but not of who counts as never been."""
    silent = segments(silent={"last_active": {"longer_ago_than": "120d"}})
    for limits, moves in ((NO_LIMITS, 1), (NINETY, 0)):
        harness = Harness(silent, limits=limits)
        harness.tell("product.viewed", "v", product_id="tazza").at(200 * DAY)
        assert head(harness.store[of_visitor("v").encode()]).due != 0
        assert len([e for e in harness.effects if isinstance(e.content, SegmentChanged)]) == moves


def test_no_feed_tells_somebody_forgotten_of_anything() -> None:
    harness = Harness.of(PRICE_DROP, limits=NINETY)
    feed(harness)
    harness.add("moka", "v").add("moka", "w")
    harness.at(60 * DAY).tell("page.viewed", "w")
    harness.at(91 * DAY)
    feed(harness, price="20.00")
    decided = [each.content for each in harness.effects if isinstance(each.content, Decision)]
    assert {decision.customer for decision in decided} == {"w"}


# How many arrive.


def test_who_finds_no_room_leaves_nothing_behind() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    for number in range(5):
        harness.tell("product.viewed", f"v{number}", product_id="tazza")
    assert sorted(bare_key(key) for key in harness.store if not key.startswith(OWN_PREFIX)) == [
        b"v0", b"v1", b"v2",
    ]  # fmt: skip
    assert not [each for each in harness.effects if bare_key(each.key) in (b"v3", b"v4")]
    assert sum(each.events["product.viewed", "dropped"] for each in harness.counts) == 2
    assert sum(each.refused.total() for each in harness.counts) == 0


def test_the_next_hour_has_room_again() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    for hour in range(4):
        harness.at(hour * HOUR)
        for number in range(5):
            harness.tell("page.viewed", f"v{hour}/{number}")
    assert len([key for key in harness.store if not key.startswith(OWN_PREFIX)]) == 12


def test_a_backlog_of_hours_finds_the_room_of_each_of_them() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    for hour in range(10):
        for number in range(3):
            harness.tell("page.viewed", f"v{hour}/{number}", happened=-hour * HOUR)
    assert len([key for key in harness.store if not key.startswith(OWN_PREFIX)]) == 30


def test_no_sender_makes_more_of_it_than_a_day() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    for hour in range(100):
        for number in range(5):
            harness.tell("page.viewed", f"v{hour}/{number}", happened=-hour * HOUR)
    assert len([key for key in harness.store if not key.startswith(OWN_PREFIX)]) == 3 * (
        HOURS_KEPT + 1
    )


def test_history_customers_and_known_visitors_pass_freely() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    for number in range(3):
        harness.tell("page.viewed", f"v{number}")
    for number in range(5):
        harness.tell("page.viewed", f"h{number}", backfill=True)
        harness.tell("customer.created", f"c{number}", email=f"c{number}@example.com")
        harness.tell("order.completed", f"o{number}", order_id=f"o{number}", total="1", products=[])
        harness.tell("page.viewed", f"v{number % 3}")
    kept = {key for key in harness.store if not key.startswith((OWN_PREFIX, LINKS))}
    assert len(kept) == 3 + 3 * 5


def test_what_is_more_than_browsing_and_leaves_nothing_is_dropped_too() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    for number in range(5):
        harness.tell("checkout.started", f"v{number}", products=[])
    assert len([key for key in harness.store if not key.startswith(OWN_PREFIX)]) == 3


def test_what_arrived_is_remembered_for_a_day_only() -> None:
    harness = Harness(limits=THREE_AN_HOUR)
    harness.tell("page.viewed", "v")
    harness.at(30 * HOUR).tell("page.viewed", "w")
    assert harness.progress.arrivals == {START // 3_600_000 + 30: 1}


# The same log, the same decisions.

KINDS = ["view", "cart", "updated", "subscribe", "order", "identify", "checkout", "erase"]
Script = list[tuple[str, str, int, int]]
scripts = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(["v1", "v2", "v3", "v4", "v5", "anna"]),
        st.sampled_from([1, 600, 3_600, DAY, 20 * DAY, 40 * DAY]),
        st.sampled_from([0, 0, 2 * HOUR, 30 * HOUR]),
    ),
    max_size=40,
)
TIGHT = VisitorLimits(days=30, per_second=2 / 3600)


def play(script: Script) -> Harness:
    harness, now = Harness(limits=TIGHT), 0
    for number, (kind, who, pause, late) in enumerate(script):
        now += pause
        harness.sleep_until(now) if pause > DAY else harness.at(now)
        happened = now - late
        match kind:
            case "view":
                harness.tell("product.viewed", who, happened=happened, product_id="tazza")
            case "cart":
                harness.add(f"p{number % 3}", who, happened=happened)
            case "updated":
                harness.tell("customer.updated", who, happened=happened, first_name="Vera")
            case "subscribe":
                harness.tell("list.subscribed", who, email="a@example.com", confirmed=True)
            case "order":
                harness.order(f"o{number}", who, products=["p1"])
            case "identify":
                harness.tell("customer.identified", "anna", anonymous_id=who)
            case "checkout":
                harness.tell("checkout.started", who, happened=happened, products=[])
            case "erase":
                harness.tell("customer.erasure_requested", who)
    return harness


class Reader:
    """Reads a log with crashes in between, and removes some of the forgotten whenever it likes."""

    def __init__(self, harness: Harness, chance: random.Random) -> None:
        self.harness = harness
        self.chance = chance
        self.store: dict[bytes, bytes] = {}
        self.progress = Progress(live=harness.first)
        self.told: set[tuple[Any, ...]] = set()
        self.actors = self._open()

    def read(self, records: Sequence[Record], *, crashes: bool) -> None:
        actors = self.actors
        changes = actors.receive(records)
        for effect in changes.effects:
            self.told.add((effect.topic, effect.key, effect.record.value))
        states = [*changes.states, *self._forgotten({key for key, _ in changes.states})]
        written = self.chance.randint(0, len(states)) if crashes else len(states)
        for key, stored in states[:written]:
            if stored is None:
                self.store.pop(key, None)
            else:
                self.store[key] = stored
        if crashes:
            self.actors = self._open()
            return
        self.progress = changes.progress
        if self.chance.random() < 0.3:
            self.actors = self._open()

    def _forgotten(self, changed: set[bytes]) -> list[tuple[bytes, None]]:
        """Those who were forgotten before this batch, as `streams/runtime/visitor_expiry.py` finds
        them."""
        forgetting = VisitorExpiry(TIGHT)
        forgetting.pass_to(self.progress.log_time)
        return [
            (key, None)
            for key, stored in self.store.items()
            if not key.startswith(OWN_PREFIX)
            and key not in changed
            and self.chance.random() < 0.5
            and forgetting.has_forgotten(decode_customer(key.decode(), stored))
        ]

    def _open(self) -> PartitionActors:
        return PartitionActors(
            partition=0, load=self.store.get, definitions=self.harness.definitions,
            progress=self.progress, scan=self.store.items,
            due=[(head(v).due, k) for k, v in self.store.items()],
        )  # fmt: skip


def known(store: dict[bytes, bytes], now: int) -> dict[bytes, bytes]:
    """Return what is kept of those who are not forgotten."""
    forgetting = VisitorExpiry(TIGHT)
    forgetting.pass_to(now)
    return {
        key: stored
        for key, stored in store.items()
        if key not in (ARRIVALS_KEY, NAMESPACE_DECISIONS_KEY)
        and (
            key.startswith(OWN_PREFIX)
            or not forgetting.has_forgotten(decode_customer(key.decode(), stored))
        )
    }


@examples(150)
@given(scripts, st.integers(0, 2**32))
def test_neither_crashes_nor_removals_change_anything(script: Script, seed: int) -> None:
    harness = play(script)
    reader = Reader(harness, random.Random(seed))
    while (start := reader.progress.next_offset) < len(harness.records):
        size = reader.chance.randint(1, 12)
        reader.read(harness.records[start : start + size], crashes=reader.chance.random() < 0.4)
    now = harness.progress.log_time
    assert known(reader.store, now) == known(harness.store, now)
    assert reader.progress == harness.progress
    assert reader.told == {(e.topic, e.key, e.record.value) for e in harness.effects}


def test_release_0_1_left_no_day_and_its_visitors_go_by_their_last_event() -> None:
    forgetting = VisitorExpiry(NINETY)
    forgetting.pass_to(START)
    day = DAY * 1000
    kept = Customer(key="v", first_seen=1, last_seen=START - 89 * day)
    gone = Customer(key="v", first_seen=1, last_seen=START - 92 * day)
    assert not forgetting.has_forgotten(kept)
    assert forgetting.has_forgotten(gone)
