"""The budget of a record: what is left over goes on, in the same way whatever crashed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.definitions.published import Definitions
from agents.effects import Effect
from agents.partition import budget
from agents.partition.batch import BatchChanges
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from schemas.customer import decode_customer
from schemas.decisions import Decision
from schemas.definitions import DEFINITION, canonical, version_of
from schemas.events import RETRY, TICK, WORKFLOWS
from schemas.instant import to_rfc3339
from schemas.pending_work import BROADCAST_PREFIX, LAYOUT_KEY, unpack_layout
from schemas.products import Product
from schemas.records import OutRecord, Record
from schemas.retry import decode_retry
from schemas.stored import OWN_PREFIX, PRODUCT_PREFIX, Progress, head
from schemas.topics import CUSTOMER_EVENTS, DEAD_LETTERS
from schemas.yaml_text import Document
from streams.runtime.product_feed import control_record
from tests.examples import examples

START = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""
SECOND = 1_000

CHEAPER = """
id: w1-cheaper
title: {it: Prezzo}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: product, again_after: 1h}
steps: [{id: tag, tag: "cheaper:{run.product}"}, {id: later, wait: 30s, tag: told}]
"""
SEEN = """
id: w2-seen
title: {it: Visto}
trigger: {product: price_drop}
entry: {once_per: product}
steps: [{id: seen, wait: 10s, tag: seen}]
"""
FOLLOWED = """
id: w3-followed
title: {it: Segue}
versions: live
trigger: product.viewed
entry: {once_per: event}
steps: [{id: wait, wait: WAIT, tag: followed}, {id: more, wait: 5s, untag: followed}]
"""
BOTH = [canonical(DEFINITION.validate_python(Document(text).content)) for text in (CHEAPER, SEEN)]
VERSIONS = [
    canonical(DEFINITION.validate_python(Document(FOLLOWED.replace("WAIT", wait)).content))
    for wait in ("60s", "20s", "90s")
]
CUSTOMERS = [f"c{number}" for number in range(7)]
PRODUCTS = ["moka", "tazza", "piatto"]

Step = tuple[str, str, str, int]
scripts = st.lists(
    st.tuples(
        st.sampled_from(["cheaper", "publish", "page", "view", "add", "tick", "cheaper", "publish",
                         "page", "dear", "erase", "order"]),
        st.sampled_from(CUSTOMERS),
        st.sampled_from(PRODUCTS),
        st.sampled_from([0, 0, 1, 10, 30]),
    ),
    min_size=4,
    max_size=40,
)  # fmt: skip


class Shop(NamedTuple):
    """A log, and what is live in the beginning."""

    records: list[Record]
    definitions: Definitions
    live: dict[str, str]


def shop(script: Sequence[Step]) -> Shop:  # noqa: PLR0912  # one way for each word
    definitions = Definitions()
    for content in [*BOTH, *VERSIONS]:
        definitions.add(version_of(content), content)
    first = [*BOTH, VERSIONS[0]]
    names = ["w1-cheaper", "w2-seen", "w3-followed"]
    live = {name: version_of(content) for name, content in zip(names, first, strict=True)}
    records: list[Record] = []
    now, prices, versions = START, dict.fromkeys(PRODUCTS, 1_000), 0

    def append(out: OutRecord) -> None:
        records.append(Record(CUSTOMER_EVENTS, 0, len(records), now, *out))

    def tell(kind: str, who: str, data: dict[str, Any]) -> None:
        headers = (("ce_id", b"e%d" % len(records)), ("ce_type", kind.encode()),
                   ("ce_time", to_rfc3339(now).encode()))  # fmt: skip
        append(OutRecord(who.encode(), json.dumps(data).encode(), headers))

    def feed(names: Sequence[str]) -> None:
        append(control_record([
            Product.model_validate({"sku": each, "name": each, "price": str(prices[each])})
            for each in names
        ]))  # fmt: skip

    feed(PRODUCTS)
    for number, who in enumerate(CUSTOMERS):
        for product in PRODUCTS[: 1 + number % 3]:
            tell("cart.product_added", who, {"product_id": product, "price": "9.90"})
        tell("product.viewed", who, {"product_id": PRODUCTS[0]})
    for kind, who, product, pause in script:
        now += pause * SECOND
        match kind:
            case "add":
                tell("cart.product_added", who, {"product_id": product, "price": "9.90"})
            case "view":
                tell("product.viewed", who, {"product_id": product})
            case "page":
                tell("page.viewed", who, {})
            case "order":
                tell("order.completed", who, {"order_id": f"o{len(records)}", "total": "9.00"})
            case "erase":
                tell("customer.erasure_requested", who, {})
            case "cheaper":
                several = PRODUCTS if pause else [product]
                prices.update({each: prices[each] * 8 // 10 for each in several})
                feed(several)
            case "dear":
                prices[product] = 1_000
                feed([product])
            case "publish":
                versions += 1
                other = live | {"w3-followed": version_of(VERSIONS[versions % len(VERSIONS)])}
                content = json.dumps({"live": other}).encode()
                append(OutRecord(None, content, (("ce_type", WORKFLOWS.encode()),)))
            case "tick":
                append(OutRecord(None, b"", (("ce_type", TICK.encode()),)))
    for _ in range(3):  # until all is told and all has fired
        now += 200 * SECOND
        for _ in range(60):
            append(OutRecord(None, b"", (("ce_type", TICK.encode()),)))
    return Shop(records, definitions, live)


class Partition:
    """A partition whose process may die while it writes."""

    def __init__(self, shop: Shop, visits: int, cache: int = 1 << 30) -> None:
        self.shop = shop
        self.visits = visits
        self.cache = cache
        self.store: dict[bytes, bytes] = {}
        self.progress = Progress(live=shop.live)
        self.effects: list[Effect] = []
        self.actors = self.build()

    def build(self) -> PartitionActors:
        products = [item for item in self.store.items() if item[0].startswith(PRODUCT_PREFIX)]
        self.actors = PartitionActors(
            partition=0, load=self.store.get, definitions=self.shop.definitions,
            progress=self.progress, due=[(head(v).due, k) for k, v in self.store.items()],
            products=products, scan=self.store.items, memory=CacheMemory(self.cache),
            visits=self.visits,
        )  # fmt: skip
        return self.actors

    def batch(self, end: int) -> BatchChanges:
        """Receive up to there."""
        changes = self.actors.receive(self.shop.records[self.progress.next_offset : end])
        self.effects += changes.effects
        return changes

    def write(self, changes: BatchChanges, count: int | None = None) -> None:
        """Write all, or so many states and then no more: the process is dead."""
        for key, value in changes.states[:count]:
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        if count is None:
            self.progress = changes.progress
        else:
            self.build()

    def run(self, edges: Sequence[int] = (), *, restarts: bool = False) -> Partition:
        """Receive the rest, in slices."""
        end = len(self.shop.records)
        for edge in sorted({each for each in edges if self.progress.next_offset < each < end}):
            self.write(self.batch(edge))
            if restarts:
                self.build()
        self.write(self.batch(end))
        return self

    def decided(self, who: str) -> list[Decision]:
        """What was decided about a customer."""
        found = (effect.content for effect in self.effects)
        return [each for each in found if isinstance(each, Decision) and each.customer == who]

    @property
    def customers(self) -> dict[bytes, bytes]:
        return {key: kept for key, kept in self.store.items() if not key.startswith(OWN_PREFIX)}


def told(effects: Sequence[Effect]) -> list[tuple[str, bytes, OutRecord]]:
    return [(effect.topic, effect.key, effect.record) for effect in effects]


offsets = st.lists(st.integers(1, 230), max_size=8)


@examples(120)
@given(scripts, st.integers(1, 4), offsets, st.booleans(), st.sampled_from([0, 9_000, 1 << 30]))
def test_neither_slices_nor_restarts_nor_the_cache_change_anything(
    script: list[Step], visits: int, edges: list[int], restarts: bool, cache: int
) -> None:
    harness = shop(script)
    whole = Partition(harness, visits).run()
    sliced = Partition(harness, visits, cache).run(edges, restarts=restarts)
    assert sliced.customers == whole.customers
    assert sliced.progress == whole.progress
    assert told(sliced.effects) == told(whole.effects)
    assert not whole.progress.broadcasts
    assert not whole.actors.unfinished


crashes = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), min_size=1, max_size=5)


@examples(100)
@given(scripts, st.integers(1, 4), crashes, st.sampled_from([1, 2, 300]))
def test_a_batch_that_was_written_in_part_changes_nothing(
    script: list[Step], visits: int, dead: list[tuple[int, int]], broadcasts: int
) -> None:
    """Each time the process dies it has written some of the states, in order, and no progress."""
    with patch("agents.partition.broadcasts.MOST_BROADCASTS", broadcasts):
        _die(shop(script), visits, dead)


def _die(harness: Shop, visits: int, dead: list[tuple[int, int]]) -> None:
    whole = Partition(harness, visits)
    after = {0: whole.customers}
    for offset in range(len(harness.records)):
        whole.write(whole.batch(offset + 1))
        after[offset + 1] = whole.customers
    partition = Partition(harness, visits)
    for number, (size, written) in enumerate(dead):
        end = min(partition.progress.next_offset + size, len(harness.records))
        partition.write(partition.batch(end), written)
        if number % 2:
            end = partition.progress.next_offset + size // 2
            partition.write(partition.batch(end))
            for key, kept in partition.customers.items():
                if head(kept).applied < end:
                    assert kept == after[end][key]
    partition.run()
    assert partition.customers == whole.customers
    assert partition.progress == whole.progress
    repeated = told(partition.effects)
    expected = told(whole.effects)
    assert all(each in expected for each in repeated), "nothing else was decided"
    assert all(each in repeated for each in expected), "nothing was left out"


@examples(120)
@given(scripts, st.integers(1, 3))
def test_what_a_customer_sees_does_not_depend_on_the_budget(
    script: list[Step], visits: int
) -> None:
    """Each customer's decisions come in the same order; only their times may be later."""
    harness = shop(script)

    def seen(partition: Partition) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {who: [] for who in CUSTOMERS}
        for effect in partition.effects:
            each = effect.content
            if isinstance(each, Decision) and each.decision == "entered":
                found[each.customer].append((each.workflow, each.run.rsplit("/", 1)[0]))
        return found

    assert seen(Partition(harness, visits).run()) == seen(Partition(harness, 10_000).run())


# One by one.


def crowd(*script: Step) -> tuple[Shop, int]:
    """Seven customers with things in their carts, and the offset behind them."""
    return shop(list(script)), len(shop([]).records) - 180


def tags(partition: Partition, who: str) -> set[str]:
    return set(decode_customer(who, partition.store[who.encode()]).tags)


def test_a_sale_goes_on_at_the_next_records_in_the_order_of_keys() -> None:
    harness, at = crowd(("cheaper", "", "moka", 0), ("tick", "", "", 0), ("page", "zoe", "", 0))
    partition = Partition(harness, visits=3)
    partition.write(partition.batch(at + 1))
    assert partition.progress.broadcasts == [(at, b"c2")]
    assert partition.actors.unfinished
    assert partition.actors.next_timer == partition.progress.log_time
    partition.write(partition.batch(at + 2))
    assert partition.progress.broadcasts == [(at, b"c5")]
    partition.write(partition.batch(at + 3))
    assert partition.progress.broadcasts == []
    assert not partition.actors.unfinished
    assert [key for key in partition.store if key.startswith(BROADCAST_PREFIX)] == []
    assert all("cheaper:moka" in tags(partition, who) for who in CUSTOMERS)


def test_who_does_something_is_told_first_of_what_came_before() -> None:
    harness, at = crowd(("cheaper", "", "moka", 0), ("order", "c6", "moka", 0))
    partition = Partition(harness, visits=1)
    partition.write(partition.batch(at + 2))
    assert partition.progress.broadcasts == [(at, b"c1")]
    assert "cheaper:moka" in tags(partition, "c6"), "it was in the cart when the price fell"
    assert "cheaper:moka" not in tags(partition, "c5")
    decided = [e.content for e in partition.effects if isinstance(e.content, Decision)]
    partition.run()
    again = [e.content for e in partition.effects if isinstance(e.content, Decision)]
    assert [d for d in again if d.customer == "c6" and d.workflow == "w1-cheaper"][: 2] == [
        d for d in decided if d.customer == "c6" and d.workflow == "w1-cheaper"
    ]  # fmt: skip


def test_own_timers_fire_before_the_own_record_and_the_others_wait() -> None:
    harness, at = crowd(("page", "c5", "", 70))
    partition = Partition(harness, visits=2)
    partition.write(partition.batch(at + 1))
    fired = [e.content.customer for e in partition.effects
             if isinstance(e.content, Decision) and e.content.step == "wait"]  # fmt: skip
    assert fired == ["c0", "c1", "c5"]
    assert partition.actors.unfinished
    kept = unpack_layout(partition.store[LAYOUT_KEY])
    assert [(cut.offset, cut.fired[1]) for cut in kept.cuts] == [(at, b"c1")]


def test_a_version_that_runs_follow_reaches_them_by_and_by() -> None:
    harness, at = crowd(("publish", "", "", 0), ("page", "c6", "", 0), ("tick", "", "", 0))
    partition = Partition(harness, visits=2)

    def versions() -> list[str]:
        runs = [decode_customer(who, partition.store[who.encode()]).runs for who in CUSTOMERS]
        return [each[0].version for each in runs]

    before, after = version_of(VERSIONS[0]), version_of(VERSIONS[1])
    partition.write(partition.batch(at + 1))
    assert versions() == [after] * 2 + [before] * 5
    partition.write(partition.batch(at + 2))
    assert versions() == [after] * 4 + [before] * 2 + [after]
    partition.write(partition.batch(at + 3))
    assert versions() == [after] * 7


def test_one_feed_too_many_is_refused_and_can_be_had_told_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No record costs more than its budget, however much is to be told already."""
    monkeypatch.setattr("agents.partition.broadcasts.MOST_BROADCASTS", 3)
    sale = [("cheaper", "", product, 0) for product in (*PRODUCTS, "moka")]
    harness, at = crowd(*sale)
    partition = Partition(harness, visits=1)
    partition.write(partition.batch(at + 3))
    waiting = [(at, b"c2"), (at + 1, b""), (at + 2, b"")]
    assert partition.progress.broadcasts == waiting
    partition.write(partition.batch(at + 4))
    assert partition.progress.broadcasts == [(at, b"c3"), *waiting[1:]], "one visit, as ever"
    (letter,) = [each for each in partition.effects if each.topic == DEAD_LETTERS]
    assert dict(letter.record.headers)["dl_reason"] == b"too_many_changes"
    retry = decode_retry(letter.record.value)
    assert [(each.kind, each.about) for each in retry.news] == [("price_drop", "moka")]
    partition.run()
    before = {who: len(partition.decided(who)) for who in CUSTOMERS}
    headers = (("ce_type", RETRY.encode()),)
    partition.shop.records.append(
        Record(CUSTOMER_EVENTS, 0, len(harness.records), START + 10_000 * SECOND, None,
               letter.record.value, headers)
    )  # fmt: skip
    for _ in range(60):
        partition.shop.records.append(
            harness.records[-1]._replace(offset=len(harness.records), value=b"",
                                         headers=(("ce_type", TICK.encode()),))
        )  # fmt: skip
    partition.run()
    assert all(len(partition.decided(who)) > before[who] for who in CUSTOMERS)


def test_an_activation_that_finds_no_room_is_live_and_can_be_had_told_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.partition.broadcasts.MOST_BROADCASTS", 1)
    harness, at = crowd(("cheaper", "", "moka", 0), ("publish", "", "", 0))
    partition = Partition(harness, visits=1)
    partition.write(partition.batch(at + 2))
    assert partition.progress.live["w3-followed"] == version_of(VERSIONS[1])
    (letter,) = [each for each in partition.effects if each.topic == DEAD_LETTERS]
    assert decode_retry(letter.record.value).workflows == ["w3-followed"]
    assert [offset for offset, _ in partition.progress.broadcasts] == [at]


def test_what_is_told_of_counts_as_much_as_who_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer of many tellings is as much work as many customers."""
    harness, at = crowd(*[("cheaper", "", product, 0) for product in PRODUCTS], ("tick", "", "", 0))
    partition = Partition(harness, visits=1)
    partition.write(partition.batch(at + 3))
    partition = Partition(harness, visits=4)
    partition.write(partition.batch(at + 1))
    assert partition.progress.broadcasts == [(at, b"c3")]
    partition.write(partition.batch(at + 2))
    # c4 and c5 hear of two changes each, of three kinds of carts; then the budget is used up.
    assert partition.progress.broadcasts[0][0] == at + 1


@examples(60)
@given(scripts, st.integers(1, 3))
def test_what_others_have_published_changes_nothing_about_what_waits(
    script: list[Step], visits: int
) -> None:
    """Replay knows each version from the beginning, a worker those that were published until then;
    and whoever is told of nothing takes no place away."""
    harness = shop([("publish", "", "", 0), *script])
    pinned = canonical(DEFINITION.validate_python(Document(
        FOLLOWED.replace("versions: live", "versions: pinned").replace("WAIT", "60s")
    ).content))  # fmt: skip
    named = {**harness.live, "w3-followed": version_of(pinned)}
    found = []
    for known in ([], [VERSIONS[1]]):
        definitions = Definitions()
        for content in [*BOTH, pinned, *known]:
            definitions.add(version_of(content), content)
        live = json.dumps({"live": named}).encode()
        records = [
            each._replace(value=live) if dict(each.headers).get("ce_type") == WORKFLOWS.encode()
            else each
            for each in harness.records
        ]  # fmt: skip
        without = {name: each for name, each in named.items() if name != "w3-followed"}
        with patch("agents.partition.broadcasts.MOST_BROADCASTS", 2):
            partition = Partition(Shop(records, definitions, without), visits).run()
        found.append((partition.customers, partition.progress, told(partition.effects)))
    assert found[0] == found[1]


def test_a_normal_record_leaves_nothing_over() -> None:
    harness, _ = crowd(("cheaper", "", "moka", 10), ("publish", "", "", 10), ("tick", "", "", 30))
    partition = Partition(harness, budget.VISITS)
    for _ in harness.records:
        changes = partition.batch(partition.progress.next_offset + 1)
        assert not partition.actors.unfinished
        assert not any(key == LAYOUT_KEY or key.startswith(BROADCAST_PREFIX)
                       for key, _ in changes.states)  # fmt: skip
        partition.write(changes)


def test_a_version_that_is_published_later_changes_nothing_of_what_was_before() -> None:
    """Replay knows from the beginning what a worker had not heard of yet."""
    pinned, other = (
        canonical(DEFINITION.validate_python(Document(text).content))
        for text in (
            FOLLOWED.replace("versions: live\n", "").replace("WAIT", wait)
            for wait in ("60s", "20s")
        )
    )
    harness, at = crowd(("cheaper", "", "moka", 1), *[("tick", "", "", 1)] * 8)
    live = {"w1-cheaper": version_of(BOTH[0]), "w3-followed": version_of(pinned)}
    then = json.dumps({"live": live | {"w3-followed": version_of(other)}}).encode()
    headers = (("ce_type", WORKFLOWS.encode()),)
    records = [
        *harness.records[:at],
        Record(CUSTOMER_EVENTS, 0, at, START, None, then, headers),
        *(each._replace(offset=each.offset + 1) for each in harness.records[at:]),
    ]
    found = []
    for known in ([pinned, other], [pinned, other, *VERSIONS]):
        definitions = Definitions()
        for content in [BOTH[0], *known]:
            definitions.add(version_of(content), content)
        found.append(told(Partition(Shop(records, definitions, live), visits=2).run().effects))
    assert found[0] == found[1]


def test_the_loop_has_its_turn_within_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.partition.partition.PAUSE_EVERY", 1)
    monkeypatch.setattr("agents.partition.state.PAUSE_EVERY", 1)
    harness, at = crowd(("cheaper", "", "moka", 0), ("tick", "", "", 300))
    whole, slow = Partition(harness, visits=100), Partition(harness, visits=100)
    for partition in (whole, slow):
        partition.write(partition.batch(at))
    whole.write(whole.batch(at + 2))
    for offset in (at, at + 1):  # customers are told; timers fire
        pauses = list(slow.actors.absorbing(harness.records[offset : offset + 1]))
        assert len(pauses) >= len(CUSTOMERS)
        assert not any(pauses), "nothing is to be taken in the middle of a record"
    slow.write(slow.actors.take())
    assert slow.customers == whole.customers


def test_the_loop_has_its_turn_while_those_who_are_ahead_are_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a crash thousands may have to be decoded to see that they are, and again when the log
    has caught up with them."""
    monkeypatch.setattr("agents.partition.partition.PAUSE_EVERY", 1)
    monkeypatch.setattr("agents.partition.state.PAUSE_EVERY", 1)
    harness, at = crowd(("publish", "", "", 30), ("tick", "", "", 0))
    dead = Partition(harness, visits=100)
    dead.write(dead.batch(at))
    changes = dead.batch(at + 1)
    dead.write(changes, len(changes.states))
    for offset in (at, at + 1):
        pauses = list(dead.actors.absorbing(harness.records[offset : offset + 1]))
        assert len(pauses) >= len(CUSTOMERS)
        assert not any(pauses), "nothing is to be taken in the middle of a record"


def test_who_is_ahead_of_the_log_is_waited_for() -> None:
    """After a crash at the log's end a tick is wanted when it would have been without one."""
    harness, at = crowd(("publish", "", "", 30))  # now all of them are due since ten seconds
    whole, dead = Partition(harness, visits=100), Partition(harness, visits=100)
    whole.write(whole.batch(at + 1))
    dead.write(dead.batch(at))
    changes = dead.batch(at + 1)
    dead.write(changes, len(changes.states))
    dead.write(dead.batch(at + 1))
    assert whole.actors.next_timer == whole.progress.log_time - 10 * SECOND
    assert dead.actors.next_timer == whole.actors.next_timer
    assert dead.actors.timers_pending == whole.actors.timers_pending == len(CUSTOMERS)
