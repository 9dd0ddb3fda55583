"""The shop whose facts are told: what all of its events have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.events import Event
from schemas.notation import DEFAULT_NOTATION, Notation
from streams.connect.facts import Subject, event_of, key_of, subject_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSource:
    """A shop as the source of events."""

    source: str
    """`prestashop:negozio.example.it`."""
    url: str
    """`https://negozio.example.it`, without a slash at the end."""
    prefix: str = ""
    """Before the ids of its customers, where several shops count theirs alike."""
    notation: Notation = DEFAULT_NOTATION

    def subject(self, customer: object, address: str) -> Subject | None:
        """Return whom a fact is about, None when nothing says it. Raises Unreadable."""
        return subject_of(customer, address, prefix=self.prefix)

    def key(self, customer: object, address: str) -> bytes | None:
        """Return the key of whom something is about that can't be read."""
        return key_of(customer, address, prefix=self.prefix)

    def event(
        self, type_: str, id_: str, time: int, subject: Subject, data: Mapping[str, Any]
    ) -> Event:
        """Return the event of a fact; `time` in ms. Raises Unreadable."""
        return event_of(
            type_, id_, source=self.source, time=time, subject=subject, data=data,
            notation=self.notation,
        )  # fmt: skip
