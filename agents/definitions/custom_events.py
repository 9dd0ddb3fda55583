"""A shop's own events as they are declared by what is live: what an event of theirs says.

Nothing beyond what is declared reaches a customer: no name, no property and no value of another
type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.rules.values import of_type
from schemas.definitions.custom_events import CustomEvent, CustomEvents, PropertyType
from schemas.events import Event
from schemas.events.custom import CUSTOM, CustomProperties, is_custom
from schemas.events.odd import OddField, noted, shown
from schemas.spelling import spelled

if TYPE_CHECKING:
    from agents.definitions.published import Live


class DeclaredEvent(NamedTuple):
    """One that is live."""

    type: str
    """`custom.quiz_finished`."""
    active: bool
    counted: bool
    properties: Mapping[str, PropertyType]


def declared_events(definition: CustomEvents) -> Mapping[str, DeclaredEvent]:
    """Return them by every name under which they come, as `spelled` writes it."""
    return {name: _declared(event) for event in definition.events for name in event.spellings()}


def _declared(event: CustomEvent) -> DeclaredEvent:
    return DeclaredEvent(CUSTOM + event.id, event.active, event.counted, event.properties)


def as_declared(event: Event, live: Live) -> Event | None:
    """Return a shop's own event as what is live declares it, with its own type and no other
    properties; None when it isn't declared. Any other event stays as it is."""
    return declared_as(event, live.custom_events) if is_custom(event.type) else event


def declared_as(event: Event, events: Mapping[str, DeclaredEvent]) -> Event | None:
    """Return a shop's own event as `events` declare it; None when they don't."""
    declared = events.get(spelled(event.type.removeprefix(CUSTOM)))
    if declared is None:
        return None
    given = _given(event.data.model_extra or {}, declared.properties)
    read = {name: of_type(value, declared.properties[name]) for name, value in given.items()}
    odd = [
        OddField(name, shown(given[name]), "kind", kept=False)
        for name, value in read.items()
        if value is None
    ]
    said = {name: value for name, value in read.items() if value is not None}
    return event._replace(
        type=declared.type,
        data=CustomProperties.model_validate(said),
        odd=noted([*event.odd, *odd]) if odd else event.odd,
    )


def _given(said: Mapping[str, Any], declared: Mapping[str, PropertyType]) -> Mapping[str, Any]:
    """Return what is said under declared names, whatever their spelling; null is nothing."""
    given = {name: said[name] for name in declared if name in said}
    if len(given) < len(declared):
        given = {spelled(name): value for name, value in said.items()} | given
    return {name: given[name] for name in declared if given.get(name) is not None}
