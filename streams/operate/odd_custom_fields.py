"""What of an event no custom field can keep: the actor finds it by the fields that are declared,
whoever reads events without one finds it here."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from agents.customer.custom_fields import unfitting
from schemas.definitions import DEFINITION
from schemas.definitions.shop import CustomField, Fields
from schemas.events import Event
from schemas.events.odd import noted
from schemas.events.person import Traits


def declared_fields(contents: Iterable[bytes]) -> dict[str, CustomField]:
    """Return the custom fields that published definitions declare; the last file counts."""
    declared: dict[str, CustomField] = {}
    for content in contents:
        if b'"fields"' not in content:
            continue
        try:
            definition = DEFINITION.validate_json(content)
        except ValidationError:
            continue  # of a newer Ritorno
        if isinstance(definition, Fields):
            declared = {each.id: each for each in definition.fields}
    return declared


def with_unfitting(event: Event, declared: dict[str, CustomField]) -> Event:
    """Return an event with what no field can keep among what is odd of it."""
    if not isinstance(event.data, Traits):
        return event
    found = unfitting(event.data, declared)
    return event._replace(odd=noted([*event.odd, *found])) if found else event
