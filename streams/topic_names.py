"""What our topics are called on a broker that several shops share: each shop's behind a prefix.

Only where the broker is spoken to they have these names (`streams/runtime/logs/kafka/`,
`streams/runtime/transports/kafka.py`); everywhere else a topic has its plain one.
"""

from __future__ import annotations

from typing import NamedTuple


class TopicNames(NamedTuple):
    """Names of one shop's topics."""

    prefix: str = ""

    def on_broker(self, topic: str) -> str:
        """Return what the broker calls our `topic`."""
        return self.prefix + topic

    def plain(self, name: str) -> str:
        """Return what we call the broker's topic `name`, which must be the shop's."""
        return name.removeprefix(self.prefix)

    def has(self, name: str) -> bool:
        """Tell whether the broker's topic `name` may be the shop's."""
        return name.startswith(self.prefix)
