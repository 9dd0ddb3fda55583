"""Lanes: mails that may have to wait for one another, and no others.

A lane is a delivery class and a provider (for a webhook: its host). What slows one lane, a
throttling provider or a campaign of a hundred thousand, leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.commands import DeliveryClass


class Lane(NamedTuple):
    """Delivery class and provider."""

    delivery: DeliveryClass
    provider: str

    @property
    def urgency(self) -> int:
        """Lower comes first."""
        return _URGENCY[self.delivery]


_URGENCY: Mapping[DeliveryClass, int] = {
    "transactional": 0,
    "notify": 1,
    "automated": 2,
    "bulk": 3,
}
