"""Values for a step's own variables in a preview: where they name a field, a sample of its type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agents.mail.templates.sample import FULL
from agents.rules.fields import FieldRegistry
from agents.rules.fields.field import FieldType
from schemas.definitions import DEFINITION

_NAMED = re.compile(r"\{([a-z_][\w.-]*)\}")
_BY_TYPE: Mapping[FieldType, str] = {
    "number": "5",
    "numbers": "5",
    "money": "52,00",
    "date": "2026-03-05",
    "instant": "2026-03-05 10:00",
}

_ANSWER_URL = "https://mail.shop.example/a/sample"


class Samples:
    """Fills the variables of steps for somebody who looks at a mail."""

    def __init__(self, definitions: Iterable[bytes]) -> None:
        """`definitions`: those of the shop, which have its custom fields."""
        read = [DEFINITION.validate_json(content) for content in definitions]
        self._registry = FieldRegistry(read)

    def fill(self, value: Any) -> Any:
        """Return a variable with a sample for each `{field}` in its texts."""
        if isinstance(value, str):
            return _NAMED.sub(lambda match: self._sample(match[1]), value)
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, Mapping):
            filled = {name: self.fill(each) for name, each in value.items()}
            return {"url": _ANSWER_URL, **filled} if "answer" in filled else filled
        return value

    def _sample(self, name: str) -> str:
        field = self._registry.find(name)
        if field is not None and field.type in _BY_TYPE:
            return _BY_TYPE[field.type]
        room, _, key = name.partition(".")
        known = FULL.get(room)
        found = known.get(key) if isinstance(known, Mapping) else None
        return found if isinstance(found, str) else key or name
