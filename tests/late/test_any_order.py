"""Events of one customer that come late, twice or in the wrong order lead to what they lead to in
order: the same profile, consents, orders, sums, cart and ownership."""

from __future__ import annotations

from random import Random

import pytest

from tests.cases.played import not_yet
from tests.late.played import Arrival, differences, late, smallest, state, twice
from tests.late.true_histories import (
    CART,
    CONSENT,
    IDENTITY,
    KINDS,
    LOOKING,
    ORDERS,
    TRAITS,
    Life,
    Told,
)

SEEDS = 60
AT_NIGHT = 5_000

ARRIVALS: dict[str, Arrival] = {
    "twice": twice,
    "looking": late(LOOKING),
    "traits": late(TRAITS),
    "consent": late(CONSENT),
    "cart": late(CART),
    "orders": late(ORDERS),
    "identity": late(IDENTITY),
    "all": late(*KINDS),
}
NOT_YET = {
    "all": "G, H: what a visitor has agreed to is told to the customer after the visitor is known"
}


@pytest.mark.parametrize("seeds", [SEEDS, pytest.param(AT_NIGHT, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "arrival",
    [
        pytest.param(name, marks=not_yet(NOT_YET[name]) if name in NOT_YET else ())
        for name in ARRIVALS
    ],
)
def test_the_order_of_arrival_changes_nothing(arrival: str, seeds: int) -> None:
    for seed in range(seeds):
        told = Life(seed).history()
        arrived = ARRIVALS[arrival](told, Random(seed))
        wanted, found = state(told), state(arrived)
        if parts := differences(wanted, found):
            pytest.fail(said(seed, parts, *smallest(told, arrived, parts)))


def said(seed: int, parts: list[str], told: list[Told], arrived: list[Told]) -> str:
    """Say what differs, in as few events as possible."""
    wanted, found = state(told), state(arrived)
    lines = [f"seed {seed}: {', '.join(parts)} differ", "in order:", *map(str, told)]
    lines += ["as it arrives:", *map(str, arrived)]
    for part in differences(wanted, found):
        lines += [f"{part}:", f"  in order  {wanted.get(part)}", f"  arriving  {found.get(part)}"]
    return "\n".join(lines)
