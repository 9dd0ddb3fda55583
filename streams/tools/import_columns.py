"""What the columns of an imported file hold: what each was read as, and which of those that are not
read look as if somebody had agreed to something there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.tools.customer_import.consent_words import are_answers, is_about_consent

MOST_ANSWERS = 8
"""Different values of a column that may be answers; of more it is none."""
LONGEST_ANSWER = 30
"""Characters."""


class ColumnUse(NamedTuple):
    """What a column was read as."""

    column: str
    field: str
    """Empty: it is ignored."""
    filled: int
    """Rows in which something stands there."""
    answers: Mapping[str, int] = {}
    """What stands there how often, where that is little; empty for a column of anything else."""

    @property
    def may_be_consent(self) -> bool:
        """Whether it is ignored and its head or all of its values sound like consent."""
        if self.field or not self.filled:
            return False
        return self.holds_answers or is_about_consent(self.column)

    @property
    def holds_answers(self) -> bool:
        """Whether yes, no and the like are all that stands there."""
        return bool(self.answers) and are_answers(self.answers)


class ColumnCounts:
    """Counts what is filled in, row by row."""

    def __init__(self, header: Sequence[str], fields: Mapping[int, str]) -> None:
        """`fields`: what is read of the columns at these positions."""
        self._header = header
        self._fields = fields
        self._filled = [0] * len(header)
        self._answers: dict[int, Counter[str]] = {
            at: Counter() for at in range(len(header)) if at not in fields
        }

    def note(self, row: Sequence[str]) -> None:
        """Note one row."""
        filled = self._filled
        for at, value in enumerate(row[: len(filled)]):
            if value:
                filled[at] += 1
        for at in tuple(self._answers):
            value = row[at].strip() if at < len(row) else ""
            if not value:
                continue
            answers = self._answers[at]
            answers[value] += 1
            if len(answers) > MOST_ANSWERS or len(value) > LONGEST_ANSWER:
                del self._answers[at]  # whatever it is, it is no answer

    def uses(self) -> list[ColumnUse]:
        """Return what each column was read as."""
        return [
            ColumnUse(
                column,
                self._fields.get(at, ""),
                self._filled[at],
                dict(self._answers.get(at, Counter()).most_common()),
            )
            for at, column in enumerate(self._header)
        ]
