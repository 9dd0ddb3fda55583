"""The fields that conditions may ask about, and their types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from schemas.definitions import AnyDefinition
from schemas.definitions.shop import Fields
from schemas.events import PAYLOADS

FieldType = Literal["text", "number", "instant", "date", "flag", "set", "any"]

_FIXED: Mapping[str, FieldType] = {
    "profile.email": "text",
    "profile.first_name": "text",
    "profile.birthday": "date",
    "profile.locale": "text",
    "profile.zone": "text",
    "profile.country": "text",
    "profile.city": "text",
    "orders.count": "number",
    "orders.first": "instant",
    "orders.last": "instant",
    "order.estimated_delivery": "date",
    "cart.total": "number",
    "cart.categories": "set",
    "coupon.expires": "instant",
    "lists": "set",
    "tags": "set",
    "segments": "set",
    "views": "number",
}


class Vocabulary:
    """What is known by the definitions that are live."""

    def __init__(self, definitions: Iterable[AnyDefinition] | None = None) -> None:
        """Without definitions every custom field is taken as known: see `Definitions.add`."""
        self._open = definitions is None
        self._custom: dict[str, FieldType] = {
            f"fields.{field.id}": field.type
            for definition in definitions or ()
            if isinstance(definition, Fields)
            for field in definition.fields
        }

    def types(self, about: str = "") -> Mapping[str, FieldType]:
        """Return all fields; `about` is the occurrence whose properties are `event.…`."""
        model = PAYLOADS.get(about)
        names = () if model is None else model.model_fields
        return {**_FIXED, **self._custom, **{f"event.{name}": "any" for name in names}}

    def knows(self, name: str, about: str = "") -> bool:
        """Return whether there is such a field."""
        return (self._open and name.startswith("fields.")) or name in self.types(about)
