"""What a newer contract takes away from an older one: a field that is gone, or allows less.

Both are documents of ours, AsyncAPI or OpenAPI. What others write (events) may not be asked for
more than before, what they read may not say less; values that are new there are nobody's loss.
Compared is what is written, schema by schema: a reference is followed, and what both say in the
same words is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")

ANSWERS = frozenset({"taken", "refused"})
"""Schemas of OpenAPI that Ritorno writes, and others read."""

DEEPEST = 40
"""Of schemas within each other."""


def losses(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what the new document takes away, each with its place."""
    return [*_lost_channels(old, new), *_lost_messages(old, new)]


def lost_calls(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what the new OpenAPI document takes away, each with its place."""
    found = [f"{path}: gone" for path in old["paths"] if path not in new["paths"]]
    schemas = new["components"]["schemas"]
    for name, schema in old["components"]["schemas"].items():
        if name not in schemas:
            found.append(f"{name}: gone")
            continue
        comparing = _Comparing(old, new, is_told=name in ANSWERS)
        found += comparing.narrowed(schema, schemas[name], name, 0)
    return found


def _lost_channels(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, channel in old["channels"].items():
        there = new["channels"].get(name)
        if there is None:
            yield f"channel {name}: gone"
            continue
        for message in channel["messages"]:
            if message not in there["messages"]:
                yield f"channel {name}: message {message} is gone"
        before, now = (_partitions(each) for each in (channel, there))
        if before != now:
            yield f"channel {name}: of partitions, {before} became {now}"


def _partitions(channel: Mapping[str, Any]) -> Any:
    return channel.get("bindings", {}).get("kafka", {}).get("partitions")


def _lost_messages(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, message in old["components"]["messages"].items():
        there = new["components"]["messages"].get(name)
        if there is None:
            continue  # told with its channel
        for part in ("headers", "payload"):
            if part in message:
                comparing = _Comparing(old, new, is_told=not name.startswith("event."))
                yield from comparing.narrowed(
                    message[part], there.get(part, {}), f"{name} {part}", 0
                )


class _Comparing:
    """Of one part of one message."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any], *, is_told: bool) -> None:
        """`is_told`: Ritorno writes it, and others read."""
        self._old = old
        self._new = new
        self._is_told = is_told
        self._seen: set[tuple[str, str]] = set()

    def narrowed(self, old: Any, new: Any, where: str, depth: int) -> Iterator[str]:
        """Yield where the new schema allows or says less than the old one."""
        pair = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if any(pair):
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = _followed(self._old, old), _followed(self._new, new)
        if old == new and not _refers(old):
            return
        if depth > DEEPEST:
            yield f"{where}: too deep to be compared"
            return
        yield from _plainly(old, new, where)
        yield from self._properties(old, new, where, depth)
        if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
            yield from self.narrowed(old["items"], new["items"], f"{where}[]", depth + 1)
        more = "additionalProperties"
        if isinstance(old.get(more), Mapping) and isinstance(new.get(more), Mapping):
            yield from self.narrowed(old[more], new[more], f"{where}.*", depth + 1)
        for kind in ("anyOf", "oneOf", "allOf"):
            if kind in old and kind in new:
                yield from self._alternatives(old[kind], new[kind], f"{where} ({kind})", depth)

    def _properties(self, old: Any, new: Any, where: str, depth: int) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in now:
                yield f"{where}.{name}: gone"
            else:
                yield from self.narrowed(schema, now[name], f"{where}.{name}", depth + 1)
        needed, need = set(old.get("required", ())), set(new.get("required", ()))
        if self._is_told:
            for name in sorted((needed - need) & now.keys()):
                yield f"{where}.{name}: may be missing, and was always there"
        else:
            for name in sorted(need - needed):
                yield f"{where}.{name}: needed, and was not"

    def _alternatives(self, old: Any, new: Any, where: str, depth: int) -> Iterator[str]:
        """Each of the old ones must be among the new ones, in whichever order."""
        for each in old:
            best: list[str] | None = None
            for other in new:
                seen = set(self._seen)
                found = list(self.narrowed(each, other, where, depth + 1))
                self._seen = seen if found else self._seen
                if best is None or len(found) < len(best):
                    best = found
                if not found:
                    break
            yield from best if best is not None else [f"{where}: gone"]


def _plainly(old: Any, new: Any, where: str) -> Iterator[str]:
    """Yield what is less in the keywords that stand by themselves."""
    types = _types(old), _types(new)
    if types[1] and (not types[0] or not types[0] <= types[1]):
        yield f"{where}: {_said(types[0])} became {_said(types[1])}"
    values = _values(old), _values(new)
    if values[1] is not None and (values[0] is None or not values[0] <= values[1]):
        gone = sorted((values[0] or set()) - values[1])
        yield f"{where}: values are gone: {', '.join(gone) or 'all others'}"
    for name in _LEAST:
        if name in new and (name not in old or new[name] > old[name]):
            yield f"{where}: {name} {old.get(name, 'none')} became {new[name]}"
    for name in _MOST:
        if name in new and (name not in old or new[name] < old[name]):
            yield f"{where}: {name} {old.get(name, 'none')} became {new[name]}"
    for name in ("pattern", "format", "multipleOf"):
        if name in new and new[name] != old.get(name):
            yield f"{where}: {name} became {new[name]}"
    for name in ("anyOf", "oneOf", "allOf"):
        if name in new and name not in old and not _allows(old, new[name]):
            yield f"{where}: {name} was not there"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{where}: other properties are refused"


def _allows(old: Any, alternatives: Any) -> bool:
    """Whether one of the alternatives is what was said before."""
    return any(each == old or _types(each) >= _types(old) > set() for each in alternatives)


def _types(schema: Any) -> set[str]:
    found = schema.get("type", ())
    types = {found} if isinstance(found, str) else set(found)
    return types | {"integer"} if "number" in types else types


def _values(schema: Any) -> set[str] | None:
    if "const" in schema:
        return {repr(schema["const"])}
    return set(map(repr, schema["enum"])) if "enum" in schema else None


def _said(types: set[str]) -> str:
    return " or ".join(sorted(types)) or "anything"


def _followed(document: Mapping[str, Any], schema: Any) -> Any:
    for _ in range(DEEPEST):
        if "$ref" not in schema:
            return schema
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _refers(schema: Any) -> bool:
    """Whether a schema leads to others, which may differ though it is the same."""
    if isinstance(schema, Mapping):
        return "$ref" in schema or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))
