"""Coupon pools: whatever a shop does to its list, no code is given twice and none passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.definitions.coupon_pools import Pool, Pools
from schemas.customer import Customer, encode_customer
from schemas.customer.shopping import LISTS_OF_CODES, PoolPosition
from tests.commerce.test_coupons import GIVES, signals
from tests.harness import Harness
from tests.products.test_products import files

COUPONS = """
id: coupons
definition: coupons
campaigns:
  - {id: pool, kind: gift, description: {it: regalo}, pool: [CODES]}
  - {id: other, kind: gift, description: {it: "NOTE"}}
"""


def coupons(*codes: str, note: str = "altro") -> str:
    return COUPONS.replace("CODES", ", ".join(codes)).replace("NOTE", note)


def world_of(*codes: str) -> Harness:
    return Harness(files(coupons(*codes), GIVES.replace("CAMPAIGN", "pool")))


def ask(harness: Harness, count: int) -> list[str]:
    """Let customers who are new ask for codes; return what they got, empty for none."""
    first = len([r for r in harness.records if r.header("ce_type") == b"order.completed"])
    names = [f"c{first + number}" for number in range(count)]
    for name in names:
        harness.subscribed(name).order(f"o-{name}", name)
    got = {customer: code for _, customer, code in signals(harness)}
    return [got.get(name, "") for name in names]


@pytest.mark.parametrize(
    ("then", "left"),
    [
        (["A", "B", "C", "D", "E", "F"], ["C", "D", "E", "F", ""]),  # appended
        (["D", "C", "B", "A"], ["D", "C", ""]),  # turned round
        (["X", "A", "B", "C", "D"], ["X", "C", "D", ""]),  # one put in front
        (["C", "D"], ["C", "D", ""]),  # the used ones taken out
        (["X", "Y"], ["X", "Y", ""]),  # others instead
        (["A", "X", "B", "D", "C"], ["X", "D", "C", ""]),
        (["B", "A"], [""]),
        (["a", " b ", "C"], ["C", ""]),  # a till makes no difference
        (["C", "C", "c", "D"], ["C", "D", ""]),
    ],
)
def test_another_list_goes_on_with_what_is_not_gone(then: list[str], left: list[str]) -> None:
    harness = world_of("A", "B", "C", "D")
    assert ask(harness, 2) == ["A", "B"]
    harness.publish_live(coupons(*then))
    assert ask(harness, len(left)) == left


def test_what_was_given_from_one_list_is_gone_in_the_one_after_the_next() -> None:
    harness = world_of("A", "B", "C")
    assert ask(harness, 2) == ["A", "B"]
    harness.publish_live(coupons("X", "Y"))
    assert ask(harness, 1) == ["X"]
    harness.publish_live(coupons("A", "Y", "X", "C", "B"))
    assert ask(harness, 4) == ["Y", "C", "", ""]


def test_going_back_to_an_earlier_list_goes_on_where_that_one_was() -> None:
    harness = world_of("A", "B", "C")
    assert ask(harness, 1) == ["A"]
    harness.publish_live(coupons("B", "X"))
    assert ask(harness, 1) == ["B"]
    harness.publish_live(coupons("A", "B", "C"))
    assert ask(harness, 2) == ["C", ""]


def test_a_list_that_only_grows_needs_no_memory_of_the_ones_before() -> None:
    harness = world_of("A", "B")
    for number in range(3 * LISTS_OF_CODES):
        assert ask(harness, 1) == [("A", "B", *map(str, range(1000)))[number]]
        codes = [f'"{each}"' for each in range(number + 2)]
        harness.publish_live(coupons("A", "B", *codes, note=f"n{number}"))
    assert len(harness.customer("ritorno/coupons/pool").given) == 1


def test_when_there_is_no_room_for_another_list_none_is_given_rather_than_one_twice() -> None:
    codes = [f"C{number}" for number in range(200)]
    harness = world_of(*codes)
    given_ = []
    for number in range(LISTS_OF_CODES + 5):
        given_ += ask(harness, 1)
        harness.publish_live(coupons(*codes[2 * number + 2 :], *codes[: 2 * number + 2]))
    assert given_.count("") == 5
    assert len(set(given_)) == LISTS_OF_CODES + 1, "and one empty word"


def test_what_release_0_1_has_counted_is_gone() -> None:
    harness = world_of("A", "B", "C", "D")
    key = "ritorno/coupons/pool"
    harness.store[key.encode()] = encode_customer(
        Customer(key=key, applied=-1, taken={"pool": 2}, first_seen=1)
    )
    assert ask(harness, 1) == ["C"]
    harness.publish_live(coupons("D", "A", "B", "E"))
    assert ask(harness, 3) == ["D", "E", ""]
    assert harness.customer(key).taken == {}


def test_what_release_0_1_has_counted_is_gone_from_a_list_that_nobody_has_asked_for() -> None:
    harness = world_of("A", "B", "C", "D")
    key = "ritorno/coupons/pool"
    harness.store[key.encode()] = encode_customer(
        Customer(key=key, applied=-1, taken={"pool": 2}, first_seen=1)
    )
    harness.publish_live(coupons("D", "C", "B", "A"))
    assert ask(harness, 3) == ["D", "C", ""]


def test_20_000_codes_take_a_few_bytes() -> None:
    codes = [f"CODE{number:05}" for number in range(20_000)]
    lists = {"v1": Pool(codes), "v2": Pool(codes[::-1])}
    pools, used = Pools(lists), [PoolPosition("v1")]
    first = [pools.next_code(used, "v1") for _ in range(9_000)]
    rest = [pools.next_code(used, "v2") for _ in range(11_000)]
    assert sorted(first + rest) == codes
    assert pools.next_code(used, "v2") == ""
    assert len(encode_customer(Customer(key="ritorno/coupons/pool", given=used))) < 500


def test_a_list_that_nobody_knows_any_more_stops_the_pool() -> None:
    pools = Pools({"v2": Pool(["A", "B"])})
    assert pools.next_code([PoolPosition("v1", 1)], "v2") == ""
    assert pools.next_code([], "v3") == ""


codes_ = st.lists(st.sampled_from("ABCDEFGH"), max_size=10)


@given(st.lists(st.tuples(codes_, st.integers(0, 6)), min_size=1, max_size=8))
def test_never_twice_and_none_passed_over(steps: list[tuple[list[str], int]]) -> None:
    pools = Pools({f"v{number}": Pool(codes) for number, (codes, _) in enumerate(steps)})
    used: list[PoolPosition] = []
    gone: list[str] = []
    for number, (codes, count) in enumerate(steps):
        for _ in range(count):
            code = pools.next_code(used, f"v{number}")
            left = [each for each in codes if each not in gone]
            assert code == (left[0] if left else "")
            gone += [code] * bool(code)
    assert len(gone) == len(set(gone))


def test_a_pool_gives_codes_of_its_own_campaign_only() -> None:
    harness = world_of("A", "B")
    harness.tell("coupon.requested", "ritorno/coupons/other", campaign="pool", customer_id="anna",
                 run="r", step="s")  # fmt: skip
    harness.tell("coupon.requested", "anna", campaign="pool", customer_id="anna", run="r", step="s")
    issued = [event.data.code for event in harness.told if event.type == "coupon.issued"]
    assert issued == ["", ""]
