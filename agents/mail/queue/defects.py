"""Where the mailer's own code has failed, in one partition of one process.

What fails is tried once more, on a queue that was built again. The second time a record is refused
(`internal_error`), and a mail is given up, which its customer's actor is told. A mail that can't
even be given up, or that can't be read, is stuck: it is left as it is, nothing more is done about
it here, and the next opening of the partition tries it again. Nobody else has to remember any of
this: an outcome and a dead letter are durable, and another owner fails as often and does the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.failures import Failure
from schemas.validation import Unreadable

INTERNAL_ERROR = "internal_error"
TWICE = 2


class FailedAt(Exception):
    """A defect of ours, at a mail or at a record of the log."""

    def __init__(self, error: Exception, *, mail: str = "", offset: int = -1) -> None:
        super().__init__(f"{mail or f'offset {offset}'}: {type(error).__name__}")
        self.mail = mail
        self.offset = offset


@contextmanager
def failing_at(*, mail: str = "", offset: int = -1) -> Iterator[None]:
    """Say of a defect what it was at; faults of the machine and of the log stay what they are."""
    try:
        yield
    except (Unreadable, Failure, OSError, MemoryError, FailedAt):
        raise
    except Exception as error:
        raise FailedAt(error, mail=mail, offset=offset) from error


class Defects:
    """How often it has failed, and at what."""

    def __init__(self) -> None:
        self._mails: Counter[str] = Counter()
        self._records: Counter[int] = Counter()

    def note(self, error: BaseException) -> None:
        """Note a failure, if it is a defect."""
        if isinstance(error, FailedAt):
            if error.mail:
                self._mails[error.mail] += 1
            else:
                self._records[error.offset] += 1

    def is_refused(self, offset: int) -> bool:
        """Whether a record is to be refused."""
        return self._records[offset] >= TWICE

    def given_up(self) -> list[str]:
        """Return the mails that are to be given up."""
        return [id_ for id_, failures in self._mails.items() if failures == TWICE]

    def is_stuck(self, id_: str) -> bool:
        """Whether a mail could not even be given up."""
        return self._mails[id_] > TWICE

    def done(self, next_offset: int) -> None:
        """Forget the records before `next_offset`."""
        for offset in [each for each in self._records if each < next_offset]:
            del self._records[offset]
