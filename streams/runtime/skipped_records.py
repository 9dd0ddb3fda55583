"""Records that can't be read, where somebody reads a whole topic: passed over, and said where."""

from __future__ import annotations

from schemas.records import Record
from streams.logging import get_logger

NAMED = 5
"""Records of a reading that are named each: whoever fills a topic doesn't fill the log of a worker
or a person's screen."""

_log = get_logger(__name__)


class SkippedRecords:
    """Those of one reading. Call `tell` at its end."""

    def __init__(self, wanted: str) -> None:
        """`wanted`: what they should have been, as in `a product`."""
        self._wanted = wanted
        self.count = 0

    def note(self, record: Record, error: object) -> None:
        """One could not be read, and why."""
        self.count += 1
        if self.count <= NAMED:
            _log.warning(f"not {self._wanted}, passed over", topic=record.topic,
                         partition=record.partition, offset=record.offset,
                         error=" ".join(str(error).split())[:200])  # fmt: skip

    def tell(self) -> None:
        """Say how many there were beside those that were named."""
        if self.count > NAMED:
            _log.warning(f"more that is not {self._wanted}, passed over",
                         records=self.count - NAMED)  # fmt: skip
