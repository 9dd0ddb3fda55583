"""An event's properties as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from schemas.events.custom import CustomProperties


class Properties(Mapping[str, Any]):
    """An event's properties as in JSON, read only when somebody asks for one."""

    __slots__ = ("_model", "_said", "_values")

    def __init__(self, model: BaseModel) -> None:
        self._model = model
        own = isinstance(model, CustomProperties)
        self._said = (model.model_extra or {}) if own else vars(model)
        self._values: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        said = self._said.get(name)
        if said is None:
            raise KeyError(name)
        if isinstance(said, str):
            return said  # most ask for one text, which is in JSON what it is here
        return self._read()[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._said.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Any]:
        if self._values is None:
            self._values = self._model.model_dump(mode="json", exclude_none=True)
        return self._values
