"""Two definitions of a kind, field by field: a dotted path as in the file, old and new words.

Things of a list that have an id or a name are known by it, so that one more at the top of a file
is one thing more and not a change of all that follow.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from schemas.definitions.conditions import Condition
from streams.messages.conditions import condition, value
from streams.messages.translations import Language
from streams.tools.workflow_files.changes.alteration import Alteration

NOTHING = "—"
_NEVER_COMPARED = frozenset({"id", "definition", "tests"})
_SHOWN = 12
"""Members of a list of plain values that are shown; a pool may hold thousands of codes."""


def altered(
    old: BaseModel,
    new: BaseModel,
    language: Language,
    *,
    step: str = "",
    path: str = "",
    without: Container[str] = (),
) -> Iterator[Alteration]:
    """Yield every field that differs, those of parts by dotted paths; `without`: not these."""
    shown_old, shown_new = _plain(old), _plain(new)
    for name, info in type(old).model_fields.items():
        if name in _NEVER_COMPARED or name in without:
            continue
        key = info.alias or name
        yield from _differing(
            _ValuePath(step, f"{path}.{key}" if path else key),
            _Side(getattr(old, name), shown_old.get(key)),
            _Side(getattr(new, name), shown_new.get(key)),
            language,
        )


class _ValuePath:
    """Where something stands."""

    def __init__(self, step: str, path: str) -> None:
        self.step, self.path = step, path

    def below(self, key: object) -> _ValuePath:
        return _ValuePath(self.step, f"{self.path}.{key}")

    def changed(self, old: str, new: str) -> Alteration:
        return Alteration("changed", self.step, self.path, old, new)


class _Side:
    """A value, and the same as a file would show it."""

    def __init__(self, value: Any, shown: Any) -> None:
        self.value, self.shown = value, shown

    def of(self, key: Any) -> _Side:
        return _Side(self.value.get(key), (self.shown or {}).get(key))

    def members(self) -> list[_Side]:
        pairs = zip(self.value, self.shown or [], strict=True)
        return [_Side(each, shown) for each, shown in pairs]

    def words(self, language: Language) -> str:
        if isinstance(self.value, Condition):
            return condition(self.value, language)
        if isinstance(self.value, BaseModel):
            return _member(self, language)
        if self.value and _are_parts(self.value):
            return "; ".join(_member(each, language) for each in self.members())
        return _words(self.shown, language)


def _differing(at: _ValuePath, old: _Side, new: _Side, language: Language) -> Iterator[Alteration]:
    if old.value == new.value:
        return
    if _is_part(old.value) and type(old.value) is type(new.value):
        yield from altered(old.value, new.value, language, step=at.step, path=at.path)
    elif _is_named(old.value) and _is_named(new.value) and (old.value or new.value):
        yield from _members(at, old, new, language)
    elif _are_parts(old.value) and _are_parts(new.value):
        yield from _nameless(at, old, new, language)
    elif isinstance(old.value, Mapping) and isinstance(new.value, Mapping):
        for key in dict.fromkeys((*old.value, *new.value)):
            yield from _differing(at.below(key), old.of(key), new.of(key), language)
    else:
        yield at.changed(old.words(language), new.words(language))


def _members(at: _ValuePath, old: _Side, new: _Side, language: Language) -> Iterator[Alteration]:
    """Compare lists whose members have names."""
    before, after = _by_name(old), _by_name(new)
    for name in dict.fromkeys((*before, *after)):
        here = at.below(name)
        if name not in before:
            yield Alteration("added", at.step, here.path, new=_member(after[name], language))
        elif name not in after:
            yield Alteration("removed", at.step, here.path, old=_member(before[name], language))
        else:
            yield from _differing(here, before[name], after[name], language)
    orders = [
        [name for name in side if name in before and name in after] for side in (before, after)
    ]
    if orders[0] != orders[1]:
        yield at.changed(*(", ".join(order) for order in orders))


def _nameless(at: _ValuePath, old: _Side, new: _Side, language: Language) -> Iterator[Alteration]:
    """Compare lists whose members have no names: a member is another one or the same."""
    gone = [each for each in old.members() if each.value not in new.value]
    come = [each for each in new.members() if each.value not in old.value]
    for each in gone:
        yield Alteration("removed", at.step, at.path, old=_member(each, language))
    for each in come:
        yield Alteration("added", at.step, at.path, new=_member(each, language))
    if not gone and not come:
        yield at.changed(old.words(language), new.words(language))


def _member(side: _Side, language: Language) -> str:
    """Return a member of a list in a line, without its name."""
    shown = side.shown or {}
    parts = {}
    for name, given in side.value:
        key = type(side.value).model_fields[name].alias or name
        if key not in ("id", "name", "title") and given and key in shown:
            parts[key] = _Side(given, shown[key]).words(language)
    if len(parts) == 1:
        return next(iter(parts.values()))
    return ", ".join(f"{key}: {words}" for key, words in parts.items())


def _by_name(side: _Side) -> dict[str, _Side]:
    return {_name(each.value): each for each in side.members()}


def _name(member: Any) -> str:
    return str(getattr(member, "id", None) or getattr(member, "name", ""))


def _is_part(given: Any) -> bool:
    return isinstance(given, BaseModel) and not isinstance(given, Condition)


def _are_parts(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(each, BaseModel) for each in given)


def _is_named(given: Any) -> bool:
    return _are_parts(given) and all(_name(each) for each in given)


def _plain(model: BaseModel) -> Mapping[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _words(shown: Any, language: Language) -> str:
    if shown is None or shown in ("", [], {}):
        return NOTHING
    if isinstance(shown, list) and not any(isinstance(each, dict | list) for each in shown):
        more = f"… ({len(shown)})" if len(shown) > _SHOWN else ""
        return ", ".join(value(each, language) for each in shown[:_SHOWN]) + more
    if isinstance(shown, dict | list):
        return json.dumps(shown, ensure_ascii=False)
    return value(shown, language)
