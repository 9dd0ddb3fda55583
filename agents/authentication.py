"""Authentication of records: what only Ritorno itself may write has to be signed, from one offset
of the partition's log on.

Release 0.1 signed nothing. What a partition then held is believed, up to the offset at which an
owner of this release first opened it; that offset is kept in the partition's progress, so that it
is the same whenever the log is read again.

A control record has a number besides, and one not above the highest so far is refused: whoever may
write to the log can't bring last year's prices back by copying a record that we had signed. Only
the records of one feed share a number.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from schemas.events import PRODUCTS, RETRY, WORKFLOWS, Event
from schemas.records import Record
from schemas.reference import is_visitors
from schemas.reserved import reserved, reserved_id
from schemas.signing import NUMBER, NotSigned, RecordSigner, number_of
from schemas.stored import Progress
from schemas.validation import Unreadable

OBEYED = frozenset({WORKFLOWS, PRODUCTS, RETRY})
"""Control records of `customer-events` that change anything; a tick only gives the time."""

_OF_HOLDS = frozenset({"pause", "resume", "release"})
"""Commands that undo each other: one of them is old when any of them came later."""

NUMBERED = OBEYED | _OF_HOLDS
"""Control records of which an old one has a meaning still."""

RESENT = "resent"
"""What our actors had told and was sent again, whatever its type; it has no origin any more, which
would tell a copy of it."""


class Trust:
    """Checks the records of one partition of a topic."""

    def __init__(self, signer: RecordSigner | None, topic: str, progress: Progress) -> None:
        """Without a signer everybody is believed, as in a replay that has no keys. `topic` is the
        one that the records were signed for, wherever they are read from."""
        self._signer = signer
        self._topic = topic
        self._insists_from = progress.insists_from
        self.numbers = dict(progress.numbers)
        """Type of a control record, or RESENT → the highest number that one of them had."""
        self.unsigned: Counter[str] = Counter()
        """How many were believed although they aren't signed, by type; for the metrics."""

    def check_event(self, event: Event, record: Record) -> int | None:
        """Return the number of what our actors had told and was sent again, None for any other.
        Raises Unreadable when an event isn't its sender's to tell."""
        if named := reserved_id(event):
            raise Unreadable("reserved", named)
        if claim := reserved(event):
            # Release 0.1 wrote neither: that they aren't signed can't be because they are old.
            signed = self._is_signed(
                event.type,
                record,
                claim,
                insists=event.origin is not None or is_visitors(event.customer),
            )
            return number_of(record.headers) if signed else None
        return None

    def use_up(self, number: int) -> None:
        """Raise Unreadable when a number of `check_event` is not above the highest so far: it was
        heard, and would be heard again when nobody remembers its id any more."""
        highest = self.numbers.get(RESENT, -1)
        if number <= highest:
            raise Unreadable("outdated", f"{NUMBER}: {number} comes after {highest}")
        self.numbers[RESENT] = number

    def check_control(self, kind: str, record: Record) -> None:
        """Raise Unreadable when a control record or a command isn't ours, or when it has a number
        and is older than one before it."""
        if not self._is_signed(kind, record, f"type: {kind!r} is Ritorno's own"):
            return
        number = number_of(record.headers)
        counted = _OF_HOLDS if kind in _OF_HOLDS else (kind,)
        highest = max(self.numbers.get(each, -1) for each in counted)
        if number is None and kind in NUMBERED:
            raise Unreadable("outdated", f"{NUMBER}: missing")
        if number is not None and number < highest + (kind != PRODUCTS):
            raise Unreadable("outdated", f"{NUMBER}: {number} comes after {highest}")
        if number is not None:
            self.numbers[kind] = number

    def pass_over(self, kind: str, record: Record) -> None:
        """Let a control record that isn't obeyed, by a defect of ours, use up its number: it is
        told again with another one, and a copy of it would be obeyed as well."""
        with suppress(Unreadable):
            self.check_control(kind, record)

    def _is_signed(self, kind: str, record: Record, claim: str, *, insists: bool = False) -> bool:
        """Return whether we have signed it. Raises Unreadable when not, and we insist."""
        if self._signer is None:
            return False
        try:
            self._signer.check(self._topic, record)
        except NotSigned as error:
            if insists or record.offset >= self._insists_from:
                raise Unreadable("unsigned", f"{claim} ({error})") from None
            self.unsigned[kind] += 1
            return False
        return True
