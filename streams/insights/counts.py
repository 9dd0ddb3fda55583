"""What has become of the facts that were read."""

from __future__ import annotations


class FactCounts:
    """Those of one process."""

    def __init__(self) -> None:
        self.facts = 0
        self.repeated = 0
        self.unreadable = 0
        self.erased = 0
        self.lost = 0
        """Records that the log no longer held when they should have been read."""
