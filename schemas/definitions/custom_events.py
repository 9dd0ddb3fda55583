"""A shop's own events, in `workflows/events.yaml`: which `track` names mean something, and what.

What is not declared there is counted and changes nothing. Declaring a name later doesn't bring back
what came under it before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from schemas.customer.person import OCCURRED_TOTAL_BYTES, occurred_bytes
from schemas.definitions.definition import Definition, Texts
from schemas.events.custom import CUSTOM, CUSTOM_NAME
from schemas.segment import type_of
from schemas.spelling import spelled

EVENTS_DECLARED = 200
"""Events of a shop's own."""
PROPERTIES_DECLARED = 40
"""Of one of them."""

PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
PropertyType = Literal["text", "number", "date", "flag"]


class CustomEvent(Definition):
    """One of them. Workflows, scores and tests call it `custom.ID`."""

    id: str = Field(pattern=f"^{CUSTOM_NAME}$")
    """`quiz_finished`; so `Quiz Finished`, `quiz-finished` and `quizFinished` need no mention."""
    title: Texts = {}
    names: list[str] = Field(default=[], max_length=20)
    """Other names under which it comes: `Quiz completato`."""
    active: bool = False
    """A person does it, in the shop: it counts as a visit, and as interest."""
    counted: bool = False
    """How often, and when last, is kept for each customer: conditions and segments may ask for
    `occurred.ID` and `last_occurred.ID`."""
    properties: dict[PropertyName, PropertyType] = Field(default={}, max_length=PROPERTIES_DECLARED)
    """What conditions and texts may name as `event.NAME`. Others are not looked at, and neither is
    a value of another type."""

    def spellings(self) -> Iterator[str]:
        """Yield all names that are this event's, as `spelled` writes them."""
        yield self.id
        yield from map(spelled, self.names)


class CustomEvents(Definition):
    """All of them, and what becomes of Segment's calls that a shop may do without."""

    id: Literal["events"] = "events"
    definition: Literal["events"]
    events: list[CustomEvent] = Field(default=[], max_length=EVENTS_DECLARED)
    screens: Literal["taken", "ignored"] = "taken"
    """`screen` calls: screens of an app count as pages do, or not at all."""
    groups: Literal["taken", "ignored"] = "taken"
    """`group` calls: what they say of a company goes into custom fields, or nowhere."""

    @field_validator("events")
    @classmethod
    def _each_name_is_one_events(cls, events: list[CustomEvent]) -> list[CustomEvent]:
        taken: dict[str, str] = {}
        for event in events:
            for name in event.spellings():
                if (ours := type_of(name)) is not None:
                    raise ValueError(f"{event.id}: {name!r} is {ours} already")
                if not name:
                    raise ValueError(f"{event.id}: one of its names has no letters")
                if taken.setdefault(name, event.id) != event.id:
                    raise ValueError(f"{event.id}: {name!r} is {CUSTOM}{taken[name]} already")
        ids = [event.id for event in events]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if twice:
            raise ValueError(f"there are two events {', '.join(twice)}")
        return events

    @model_validator(mode="after")
    def _counts_have_room(self) -> CustomEvents:
        needed = occurred_bytes(event.id for event in self.events if event.counted)
        if needed > OCCURRED_TOTAL_BYTES:
            raise ValueError(
                f"counted: {needed} bytes for each customer, at most {OCCURRED_TOTAL_BYTES} are "
                "kept; count fewer events, or give them shorter names"
            )
        return self
