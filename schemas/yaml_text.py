"""YAML as people expect it: only `true` and `false` are truth values.

PyYAML follows YAML 1.1, where `on`, `off`, `yes` and `no` are too; our files have a key `on`, and
`country: NO` is Norway. Times such as `09:00` stay text as well, where 1.1 reads base 60.

A file may come from anybody whom the shop lets write workflows, so it has bounds that are looked at
before anything is built of it: how large it is, how deep it nests, how much it becomes when each
alias is written out (nine lines of aliases can stand for a thousand million values), and how large
its numbers are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

MAX_CHARACTERS = 1_000_000
"""Of a file; the longest of the catalogue has some 6,000."""

MAX_DEPTH = 60
"""Lists and mappings in each other; steps in branches in branches come to twenty."""

MAX_VALUES = 100_000
"""Of a file, with each alias counted as what it stands for."""

MAX_WHOLE = 2**63
"""What the log's own numbers hold."""

_BOOL = "tag:yaml.org,2002:bool"
_MERGE = "tag:yaml.org,2002:merge"
_KEPT = frozenset({"tag:yaml.org,2002:null", _MERGE})
_NUMBERS = (
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")),
    ("tag:yaml.org,2002:float",
     re.compile(r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")),
)  # fmt: skip


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema."""


class FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same on libyaml, where PyYAML was built with it: six times as fast."""


class RepeatedName(NamedTuple):
    """A name that stands twice in one mapping: readers pass over all but the last."""

    path: tuple[str | int, ...]
    line: int
    """Of the later one, from 1."""
    first_line: int

    @property
    def problem(self) -> str:
        """What is wrong with it."""
        return f"there is one on line {self.first_line} already; which of them counts?"


class OutOfBounds(yaml.MarkedYAMLError):
    """A text that is larger than any file of ours, or has a number that nothing can hold."""


def _whole(loader: Any, node: yaml.ScalarNode) -> int:
    digits = loader.construct_scalar(node)
    value = int(digits) if len(digits) < 30 else MAX_WHOLE
    if abs(value) >= MAX_WHOLE:
        raise OutOfBounds(
            problem=f"a number of {len(digits)} digits is too large",
            problem_mark=node.start_mark,
        )
    return value


def _fraction(loader: Any, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node)
    value = float(text)
    if not math.isfinite(value):
        raise OutOfBounds(
            problem=f"a number too large (got {text[:20]})", problem_mark=node.start_mark
        )
    return value


for _loader in (Loader, FastLoader):
    _loader.add_constructor("tag:yaml.org,2002:int", _whole)
    _loader.add_constructor("tag:yaml.org,2002:float", _fraction)
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|false)$"), list("tf"))
    for _tag, _pattern, _first in _NUMBERS:
        _loader.add_implicit_resolver(_tag, _pattern, _first)


class Document:
    """A YAML text with the lines on which its parts stand. Raises yaml.YAMLError, OutOfBounds among
    them."""

    def __init__(self, text: str) -> None:
        try:
            _check_bounds(text)
            self._node, self.content = _read(FastLoader(text))
        except OutOfBounds:
            raise
        except yaml.YAMLError:  # which PyYAML itself explains better
            self._node, self.content = _read(Loader(text))

    def repeated(self) -> Iterator[RepeatedName]:
        """Yield the names that stand twice where each may stand once."""
        return _repeated(self._node, (), set())

    def line(self, path: Iterable[str | int]) -> int:
        """Return the line, from 1, of what `path` leads to, or of the last part that is there.

        Parts that name no key or place are passed over: pydantic's paths also name the alternatives
        that it has tried. One may be called like a key, so the reading that uses most parts counts.
        """
        return _deepest(self._node, tuple(path), 1)[1]


def yaml_problem(error: yaml.YAMLError) -> tuple[int, str]:
    """Return on which line a text is no YAML, 1 where the reader can't say, and what is wrong, in
    words that show nothing of it: it may be a secret."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    said = " ".join(str(problem or error).split())
    for begun, words in _NO_YAML:
        if begun in said:
            said = words
            break
    return 1 if mark is None else mark.line + 1, said[:200]


_NO_YAML = (
    ("\\t", "a tab: YAML is indented by blanks"),
    ("mapping values are not allowed", "a colon where none can stand: is the line indented as the "
     "one before it? A text with `: ` in it stands in quotes"),
    ("could not find expected ':'", "a name without a colon and a value behind it"),
    ("found undefined alias", "a text that begins with * is an alias: put it in quotes"),
    ("could not determine a constructor", "a text that begins with ! is a tag: put it in quotes"),
    ("found undefined tag", "a text that begins with ! is a tag: put it in quotes"),
    ("expected <block end>", "indented otherwise than the lines before it"),
    ("did not find expected key", "indented otherwise than the lines before it"),
    ("cannot start any token", "a text that begins with @, ` or % stands in quotes"),
    ("expected ',' or ']'", "a list that begins with [ has no ] at its end"),
    ("expected ',' or '}'", "an object that begins with { has no } at its end"),
    ("found unexpected end of stream", "a quotation mark or a bracket is not closed"),
    ("special characters are not allowed", "a control character, which YAML doesn't take"),
    ("a value is not what its tag says", "a value is not what its tag (!!…) says"),
)  # fmt: skip
"""What PyYAML says, and what that is for somebody who has never heard of tokens and blocks."""


def _repeated(
    node: yaml.Node | None, path: tuple[str | int, ...], seen: set[int]
) -> Iterator[RepeatedName]:
    if node is None or id(node) in seen:  # an alias stands for what was looked at
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            inner = (*path, name)
            if (key.tag, name) in first and key.tag != _MERGE:
                yield RepeatedName(inner, line, first[key.tag, name])
            first.setdefault((key.tag, name), line)
            yield from _repeated(value, inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            yield from _repeated(each, (*path, number), seen)


def _check_bounds(text: str) -> None:
    """Raise OutOfBounds for what is too large, too deep, or becomes too much."""
    if len(text) > MAX_CHARACTERS:
        raise OutOfBounds(problem=f"{len(text)} characters, at most {MAX_CHARACTERS}")
    sizes: dict[str, int | None] = {}  # None: not at its end yet
    open_: list[tuple[str | None, int]] = []
    size = 0
    for event in _events(text):
        anchor = getattr(event, "anchor", None)
        problem = ""
        if isinstance(event, yaml.AliasEvent):
            known = sizes.get(anchor or "", 0)
            if known is None:
                problem = f"*{anchor} stands within &{anchor}, so it would never end"
            size += known or 0
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((anchor, size))
            sizes |= {anchor: None} if anchor else {}
            size += 1
            if len(open_) > MAX_DEPTH:
                problem = f"nested more than {MAX_DEPTH} deep"
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            sizes |= {anchor: size - before} if anchor else {}
        elif isinstance(event, yaml.ScalarEvent):
            sizes |= {anchor: 1} if anchor else {}
            size += 1
        if size > MAX_VALUES:
            problem = f"more than {MAX_VALUES} values, with its aliases written out"
        if problem:
            raise OutOfBounds(problem=problem, problem_mark=event.start_mark)


def _events(text: str) -> Iterator[Any]:
    loader = FastLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _read(loader: Any) -> tuple[yaml.Node | None, Any]:
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # PyYAML's own constructors, of what a tag says that the text isn't: `!!timestamp never`.
        raise yaml.YAMLError(f"a value is not what its tag says: {error}") from None
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
