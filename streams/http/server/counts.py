"""What the doors of a worker have refused, and how many connections they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Literal, get_args

DoorName = Literal["public", "admin", "internal", "ingest", "insights"]

Refusal = Literal[
    "malformed",  # no HTTP, or a form that can't be read
    "large",  # head or body
    "slow",  # a request that was not complete in time
    "late",  # our answer was not ready in time
    "stuck",  # who asked did not take the answer
    "pushed_out",  # waited for longest when a place was needed
    "full",  # all places are taken by requests that are being answered
    "address",  # too many requests of one address at once
    "accept",  # the machine could not give us the connection
]


class DoorCounts:
    """Those of one process. Everything begins at zero, so that the first one is an increase."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[DoorName, Refusal]] = Counter(
            dict.fromkeys(product(get_args(DoorName), get_args(Refusal)), 0)
        )
        self.connections: dict[DoorName, Callable[[], int]] = {}
        """How many are open, by door; for whoever shows it."""
