"""What has come of shops: counted by connection, for metrics and for `ritorno connect status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import product
from typing import get_args

from streams.connect.connector import DeliveryOutcome


class ShopCounts:
    """Those of one process. All begin at zero, so that the first one is an increase."""

    def __init__(self, connections: Iterable[str] = ()) -> None:
        """`connections`: the names, which are the labels."""
        names = list(connections)
        self.deliveries: Counter[tuple[str, str]] = Counter(
            dict.fromkeys(product(names, get_args(DeliveryOutcome)), 0)
        )
        """Webhooks, by connection and outcome."""
        self.read: Counter[tuple[str, str]] = Counter()
        """Resources that polls have read, by connection and resource."""
        self.failures: Counter[tuple[str]] = Counter(dict.fromkeys(((name,) for name in names), 0))
        """Polls that have failed, by connection."""
        self.every: dict[tuple[str], int] = {}
        """Seconds between two polls, by connection."""
        self.polled: dict[tuple[str], int] = {}
        """When the last poll has succeeded, ms by connection; at first, since when this process
        polls. Of other processes nothing."""
