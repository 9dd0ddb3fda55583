"""YAML as people expect it: only `true` and `false` are truth values.

PyYAML follows YAML 1.1, where `on`, `off`, `yes` and `no` are too; our files have a key `on`, and
`country: NO` is Norway. Times such as `09:00` stay text as well, where 1.1 reads base 60.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

_BOOL = "tag:yaml.org,2002:bool"
_KEPT = frozenset({"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"})
_NUMBERS = (
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")),
    ("tag:yaml.org,2002:float",
     re.compile(r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")),
)  # fmt: skip


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema."""


class FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same on libyaml, where PyYAML was built with it: six times as fast."""


for _loader in (Loader, FastLoader):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|false)$"), list("tf"))
    for _tag, _pattern, _first in _NUMBERS:
        _loader.add_implicit_resolver(_tag, _pattern, _first)


class Document:
    """A YAML text with the lines on which its parts stand. Raises yaml.YAMLError."""

    def __init__(self, text: str) -> None:
        try:
            self._node, self.content = _read(FastLoader(text))
        except yaml.YAMLError:  # which PyYAML itself explains better
            self._node, self.content = _read(Loader(text))

    def line(self, path: Iterable[str | int]) -> int:
        """Return the line, from 1, of what `path` leads to, or of the last part that is there.

        Parts that name no key or place are passed over: pydantic's paths also name the alternatives
        that it has tried. One may be called like a key, so the reading that uses most parts counts.
        """
        return _deepest(self._node, tuple(path), 1)[1]


def _read(loader: Any) -> tuple[yaml.Node | None, Any]:
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _deepest(node: yaml.Node | None, path: tuple[str | int, ...], line: int) -> tuple[int, int]:
    """Return how many parts of `path` lead down from `node` at most, and the line they lead to."""
    if not path:
        return 0, line
    passed_over = _deepest(node, path[1:], line)
    found = _child(node, path[0])
    if found is None:
        return passed_over
    used, there = _deepest(found[0], path[1:], found[1])
    return max(passed_over, (used + 1, there), key=lambda reading: reading[0])


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None
