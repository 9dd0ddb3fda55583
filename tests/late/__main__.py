"""`python -m tests.late KIND [SEEDS]`: prints what differs when events of a kind come late, the
smallest sequence of each sort."""

from __future__ import annotations

import sys
from random import Random

from tests.late.played import differences, smallest, state
from tests.late.test_any_order import ARRIVALS, said
from tests.late.true_histories import Life


def main(arrival: str, seeds: int) -> None:
    """Look at so many histories."""
    sorts: dict[tuple[str, ...], int] = {}
    for seed in range(seeds):
        told = Life(seed).history()
        arrived = ARRIVALS[arrival](told, Random(seed))
        if not (parts := differences(state(told), state(arrived))):
            continue
        for part in parts:
            small = smallest(told, arrived, [part])
            sort = (part, *(each.type for each in small[1]))
            sorts[sort] = sorts.get(sort, 0) + 1
            if sorts[sort] == 1:
                print(said(seed, [part], *small), end="\n\n")
    for sort, count in sorted(sorts.items(), key=lambda each: -each[1]):
        print(count, *sort)


main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100)
