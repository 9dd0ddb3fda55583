"""What becomes of an event that changes nothing: it is known already, or makes no sense."""

from __future__ import annotations


class Repeated(Exception):
    """What the event tells is known already, though under another event id; nothing was changed."""


class Ignored(Exception):
    """What came back of a mail says nothing of this customer's address; nothing was changed."""


class EventRefused(Exception):
    """An event that can be read but makes no sense; nothing was changed. Goes to dead letters."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
