"""Two years of real orders, of which one event in twenty comes twice, late, in another order or
with optional fields that nobody can read: the sums are those of the years as they were."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from random import Random
from typing import NamedTuple

import pytest

from agents.links.names import PREFIX
from schemas.customer import decode_customer
from schemas.instant import parse_instant
from streams.tools.replay import prepared, replay_file
from tests.histories.damage import KINDS, damaged
from tests.histories.life import lines
from tests.histories.orders import HISTORIES

pytestmark = pytest.mark.data

ONE_IN = 200
"""Of the customers."""
AT_NIGHT = 40
UNTIL = parse_instant("2020-01-01T00:00:00Z")


class Sums(NamedTuple):
    """Of one customer."""

    orders: int
    spent: Decimal
    refunded: Decimal
    refunds: int
    items: Decimal


@cache
def life(name: str, one_in: int) -> tuple[bytes, ...]:
    return tuple(lines(HISTORIES[name].read(one_in)))


def sums(told: list[bytes]) -> dict[str, Sums]:
    definitions, live = prepared({})
    outcome = replay_file(told, until=UNTIL, definitions=definitions, live=live)
    assert outcome.refusals == []
    found = {}
    for key, stored in outcome.customers.items():
        if key.startswith(PREFIX):
            continue  # of an address or a cart, which are nobody's sums
        numbers = decode_customer(key, stored).statistics
        amounts = numbers.spent.get("EUR", Decimal(0)), numbers.refunded.get("EUR", Decimal(0))
        found[key] = Sums(numbers.count, *amounts, numbers.refunds, Decimal(numbers.items))
    return found


@pytest.mark.parametrize("name", HISTORIES)
def test_the_sums_are_those_of_the_undamaged_year(name: str) -> None:
    check(name, KINDS, ONE_IN)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HISTORIES)
def test_they_are_after_each_kind_of_damage(name: str, kind: str) -> None:
    check(name, [kind], AT_NIGHT)


def check(name: str, kinds: Sequence[str], one_in: int) -> None:
    """Compare a year with the same year damaged in these ways."""
    if not HISTORIES[name].file.exists():
        pytest.skip(f"there is no {HISTORIES[name].file}; RITORNO_DATA_SETS names the directory")
    told = list(life(name, one_in))
    arrived = damaged(told, kinds, Random(f"{name}/{kinds}"))
    assert arrived != told
    wanted, found = sums(told), sums(arrived)
    assert sum(each.orders for each in wanted.values()) > 50
    assert {key: each for key, each in found.items() if each != wanted.get(key)} == {}
    assert found.keys() == wanted.keys()
