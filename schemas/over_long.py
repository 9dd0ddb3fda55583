"""Texts that must not be cut and take more bytes than they may. Validation counts characters."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from schemas.bounds import InBytes, fits


class OverLong(NamedTuple):
    """A text that takes too many bytes."""

    path: tuple[int | str, ...]
    text: str
    limit: int

    @property
    def what(self) -> str:
        """What is wrong with it."""
        return f"{len(self.text.encode())} bytes, at most {self.limit}"


class _Limited(NamedTuple):
    """Which fields of a model are limited in bytes, and which hold models of whose that is true."""

    texts: tuple[tuple[str, int], ...]
    lists: tuple[str, ...]


def over_long(data: BaseModel) -> OverLong | None:
    """Return the first such text, None when there is none."""
    limited = _limited(type(data))
    for name, limit in limited.texts:
        text = getattr(data, name)
        if text and not fits(text, limit):
            return OverLong((name,), text, limit)
    for name in limited.lists:
        for number, each in enumerate(getattr(data, name) or ()):
            found = over_long(each)
            if found is not None:
                return found._replace(path=(name, number, *found.path))
    return None


@cache
def _limited(model: type[BaseModel]) -> _Limited:
    texts, lists = [], []
    for name, annotation in typing.get_type_hints(model, include_extras=True).items():
        for part in _parts(annotation):
            if isinstance(part, InBytes):
                texts.append((name, part.at_most))
            elif isinstance(part, type) and issubclass(part, BaseModel):
                lists.append(name)
    return _Limited(tuple(texts), tuple(lists))


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation is made of: alternatives, members and what is said of them."""
    yield annotation
    if typing.get_origin(annotation) is not None:
        for part in typing.get_args(annotation):
            yield from _parts(part)
