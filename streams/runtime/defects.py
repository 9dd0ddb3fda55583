"""Tracks what failed in a partition by a defect of ours, and which records to take by themselves.

Up to where the actors failed the records are committed, so that nothing is done again and again;
then that record alone, which shows whether it fails a second time. What can't be written (a state
that isn't bytes, an effect that the log doesn't take) shows only when all is collected, so those
records are taken one by one, and the one it was is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from agents.partition.batch import FailureSite, Poisoned, Unwritable
from schemas.customer import UnreadableRecord
from schemas.failures import Failure
from schemas.records import Record
from schemas.stored import FutureFormat
from streams.log import RecordTooLarge

TWICE = 2
"""Failures after which a site is set aside: one may be the machine's, the same again is ours."""


class DefectTracker:
    """What has failed in one partition since it was given to this process."""

    def __init__(self) -> None:
        self._failures: Counter[FailureSite] = Counter()
        self._suspect = -1
        self._singly_until = -1
        self.verified = False
        """Whether the last slice was one record, verified."""

    def next_slice(self, records: Sequence[Record]) -> tuple[Sequence[Record], bool]:
        """Return the records to be taken next, and whether to verify that all can be written."""
        first = records[0].offset
        self.verified = first <= self._singly_until or first == self._suspect
        if self.verified:
            return records[:1], True
        if first < self._suspect:
            return [record for record in records if record.offset < self._suspect], False
        self._failures.clear()
        return records, False

    def failed(self, site: FailureSite) -> bool:
        """Note a failure; return whether the site has failed often enough."""
        self._suspect = site.offset
        self._failures[site] += 1
        return self._failures[site] >= TWICE

    def take_singly(self, records: Sequence[Record]) -> None:
        """One of these has led to something that can't be written."""
        self._singly_until = records[-1].offset


def is_ours(error: BaseException) -> bool:
    """Whether a failure is a defect of ours, and no fault of the machine or of the log."""
    for each in _causes(error):
        if isinstance(each, RecordTooLarge | UnreadableRecord):
            return True
        if isinstance(each, Failure | FutureFormat | OSError | MemoryError):
            return False
    return isinstance(error, Poisoned | Unwritable)


def is_surroundings(error: BaseException) -> bool:
    """Whether the machine or the log is at fault."""
    return any(isinstance(each, Failure | OSError | MemoryError) for each in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
