"""A file is replayed the same by any number of processes, and as it is by one alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.customer import decode_customer
from schemas.description import describe
from schemas.validation import Unreadable
from schemas.wire import ProductUpdate, parse_line
from streams.partitioner import partition_of
from streams.tools.parallel_replay import ReplayFile, replay_side_by_side
from streams.tools.replay import replay_file
from streams.tools.replay_dealing import EVERYBODY, PARTITIONS, Dealer
from streams.tools.replayed_partition import Outcome, ReplayError, write
from tests.harness import DAY, HOUR, MINUTE, START, Harness
from tests.tools.replay.test_replay_file import LIVE, line


def life(seed: int = 7, people: int = 30, events: int = 400) -> list[bytes]:
    """People who browse, say who they are (some under two names), buy; and what can't be read."""
    chance = random.Random(seed)
    lines, at = [], 0.0
    for number in range(events):
        at += chance.expovariate(1 / (30 * MINUTE))
        who = chance.randrange(people)
        customer, visitor = f"c{who}", f"v{who}-{chance.randrange(2)}"
        said = [
            line(number, "cart.product_added", at, visitor, product_id="moka", price="9.90"),
            line(number, "page.viewed", at, visitor),
            line(number, "customer.identified", at, customer, anonymous_id=visitor),
            line(number, "list.subscribed", at, customer, email=f"{customer}@example.it",
                 confirmed=True),
            line(number, "order.completed", at, customer, order_id=f"o{number}", total="9.90",
                 products=[{"product_id": "moka"}]),
            line(number, "page.viewed", at - DAY, customer),  # late
            line(number, "page.viewed", None, customer),
            b"{broken %d" % number,
            line(number, "no.such.type", at, customer),
            b"",
        ]  # fmt: skip
        lines.append(chance.choice(said))
    product = {"product_id": "moka", "name": "Moka", "price": "9.90", "currency": "EUR"}
    update = {"type": "product.updated", "time": "2026-03-01T09:00:00Z", "data": product}
    return [line(10_000, "page.viewed", 0, "c0"), json.dumps(update).encode(), *lines]


def source_of(lines: Iterable[bytes]) -> ReplayFile:
    kept = list(lines)

    @contextmanager
    def opened() -> Iterator[Iterable[bytes]]:
        yield iter(kept)

    return ReplayFile(opened)


def play(lines: list[bytes], jobs: int, until: float = 60 * DAY, **options: Any) -> Outcome:
    return replay_side_by_side(
        source_of(lines),
        jobs,
        until=START + round(until * 1000),
        definitions=Harness().definitions,
        live=LIVE,
        **options,
    )


def alone(lines: list[bytes], until: float = 60 * DAY) -> Outcome:
    return replay_file(
        lines, until=START + round(until * 1000), definitions=Harness().definitions, live=LIVE
    )


def files(outcome: Outcome, directory: Path) -> list[bytes]:
    write(outcome, directory)
    return [path.read_bytes() for path in sorted(directory.iterdir())]


def test_any_number_of_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    lines = life()
    told: list[str] = []
    one, two, three = (play(lines, jobs, told=told.append) for jobs in (1, 2, 3))
    assert not told
    written = [files(each, tmp_path / str(n)) for n, each in enumerate((one, two, three))]
    assert written[0] == written[1] == written[2]
    assert all(len(content) > 2_000 for content in written[0])
    assert one.refusals == two.refusals == three.refusals
    assert len({each.reasons()["invalid_json"] for each in (one, two, three)}) == 1
    assert (one.events, one.after_until) == (two.events, two.after_until)


def test_more_processes_than_partitions_are_no_mistake(tmp_path: Path) -> None:
    lines = life(events=40)
    assert files(play(lines, 20), tmp_path / "a") == files(play(lines, 1), tmp_path / "b")


def test_it_is_what_one_partition_decides_but_for_offsets_and_parts_of_seconds() -> None:
    lines = [each for each in life() if b'"time"' in each or b"{broken" in each]
    one, parts = alone(lines), play(lines, 2)
    assert [known(each[-1]) for each in sorted(one.decisions)] == [
        known(each[-1]) for each in sorted(parts.decisions, key=lambda each: by(each, one))
    ]
    assert one.customers.keys() == parts.customers.keys()
    for key, stored in one.customers.items():
        before, after = (
            describe(decode_customer(key, each)) for each in (stored, parts.customers[key])
        )
        assert before["orders"] == after["orders"]
        assert before["cart"] == after["cart"]
    assert sorted(one.refusals) == sorted(parts.refusals)
    assert one.events == parts.events


def known(line_: bytes) -> dict[str, Any]:
    decision = json.loads(line_)
    decision["time"] = decision["time"][:19]
    return decision


def by(each: tuple[int, int, int, bytes], one: Outcome) -> int:
    """Return the place of the same decision in the other outcome."""
    places = {
        json.dumps(known(other[-1]), sort_keys=True): number
        for number, other in enumerate(sorted(one.decisions))
    }
    return places[json.dumps(known(each[-1]), sort_keys=True)]


def test_who_shares_a_line_is_dealt_together() -> None:
    lines = life(people=200, events=2_000)
    dealer = Dealer(lines)
    seen = set()
    for each in lines:
        if not each.strip():
            continue
        partition, _ = dealer.deal(each)
        seen.add(partition)
        try:
            event = parse_line(each)
        except Unreadable:
            continue
        if isinstance(event, ProductUpdate):
            assert partition == EVERYBODY
            continue
        assert dealer.home(event.customer) == partition
        if event.anonymous_id is not None:
            assert dealer.home(event.anonymous_id) == partition
    assert seen == {EVERYBODY, *range(dealer.partitions)}


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30), st.randoms())
def test_the_order_of_lines_does_not_matter_to_who_belongs_together(
    pairs: list[tuple[int, int]], chance: random.Random
) -> None:
    lines = [
        json.dumps({"type": "identify", "userId": f"u{a}", "anonymousId": f"u{b}"}).encode()
        for a, b in pairs
    ]
    shuffled = list(lines)
    chance.shuffle(shuffled)
    one, other = Dealer(lines), Dealer(shuffled)
    homes = [one.home(f"u{number}") for number in range(13)]
    assert homes == [other.home(f"u{number}") for number in range(13)]
    assert all(homes[a] == homes[b] for a, b in pairs)


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ({"type": "track", "userId": 4711, "anonymousId": "v"}, ("4711", "v")),
        ({"type": "alias", "userId": "anna", "previousId": "v"}, ("anna", "v")),
        ({"specversion": "1.0", "data": {"customer_id": "anna", "anonymous_id": "v"}},
         ("anna", "v")),
        ({"key": "anna", "headers": {"ce_anonymousid": "v"}, "value": {}}, ("anna", "v")),
        ({"specversion": "1.0", "subject": "anna", "data": {"anonymous_id": "v"}}, ("anna", "v")),
    ],
)  # fmt: skip
def test_each_form_of_an_event_names_people_in_its_own_way(
    written: dict[str, Any], ids: tuple[str, str]
) -> None:
    content = json.dumps(written).encode()
    dealer = Dealer([content], partitions=1_000_003)
    assert dealer.home(ids[0]) == dealer.home(ids[1]) == dealer.deal(content).partition
    assert dealer.home(ids[0]) != dealer.home("somebody else")


SHARED = [
    line(1, "customer.created", 0, "web-1", email="rosa@example.it"),
    line(2, "consent.given", 0, "web-1", purpose="marketing"),
    line(3, "cart.product_added", HOUR, "web-1", product_id="moka", price="9.90", cart_id="c1"),
    line(4, "order.completed", 2 * HOUR, "till-2", order_id="o1", total="9.90",
         email="Rosa@Example.it"),
]  # fmt: skip


def test_who_has_an_address_in_common_is_dealt_together() -> None:
    assert partition_of(b"web-1", PARTITIONS) != partition_of(b"till-2", PARTITIONS)
    told: list[str] = []
    outcome = play(SHARED, 2, told=told.append)
    assert not told
    assert any(b"order.placed_elsewhere" in decision[-1] for decision in outcome.decisions)


def test_a_link_of_two_partitions_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dealer, "_join", lambda *_: None)  # nobody sees what they have in common
    for jobs in (1, 2):
        told: list[str] = []
        outcome = play(SHARED, jobs, told=told.append)
        assert "is of several partitions" in told[0]
        assert sorted(outcome.decisions) == sorted(alone(SHARED).decisions)


def test_whoever_speaks_across_partitions_is_played_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = life(events=120)
    monkeypatch.setattr(Dealer, "_join", lambda *_: None)  # visitors are nobody's any more
    for jobs in (1, 2):
        told: list[str] = []
        outcome = play(lines, jobs, told=told.append)
        assert files(outcome, tmp_path / f"parts-{jobs}") == files(alone(lines), tmp_path / "one")
        assert "goes from one partition to another" in told[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_without_a_time_is_refused_by_any_number(jobs: int) -> None:
    with pytest.raises(ReplayError, match="line 1: the first event has no time"):
        play([line(1, "page.viewed", None), line(2, "page.viewed", HOUR)], jobs)


def test_it_says_how_far_it_is() -> None:
    lines = [line(n, "page.viewed", n, f"c{n % 50}") for n in range(6_000)]
    seen: list[int] = []
    play(lines, 1, report=seen.append)
    assert seen == [2_000, 4_000, 6_000]
    seen.clear()
    play(lines, 2, report=seen.append)
    assert seen == sorted(seen)
