"""What can go wrong with the store; texts are for a shopkeeper."""

from __future__ import annotations

from schemas.failures import Failure, InputError


class InsightsError(Failure):
    """The store can't be opened, read or written; the text says what to do."""


class QuestionError(InputError):
    """A question that can't be answered as it was asked."""
