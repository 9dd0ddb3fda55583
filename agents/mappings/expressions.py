"""Expressions in CEL over a record: `value.stato == "PAGATO"`, `"ordine:" + string(value.id)`.

Only what an expression names is handed to it, each path as a variable of its own: a record may be a
megabyte. A path that leads nowhere is null; `has(value.x)` asks whether there is something. What is
nothing but a path, or one that is compared with a text, or needs nothing of the record, never
reaches CEL at all.

Whole numbers are CEL's integers and don't mix with others: `double(value.quantita) * 1.5`.

An expression's work is bounded: its length, one loop over a thousand items, and how much of a
record it gets.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.mappings.functions import FUNCTIONS, MAX_TEXT
from agents.rules.cel_text import FUNCTIONS as OF_CEL
from agents.rules.cel_text import (
    MAX_LENGTH,
    ExpressionError,
    Token,
    check_call_names,
    check_loop_count,
    check_signs,
    first_sentence,
    parsed,
    paths,
    written_tokens,
)
from schemas.suggestions import did_you_mean

if TYPE_CHECKING:
    import cel

MAX_LOOPS = 1
MAX_ITEMS = 1_000
"""Of a list or an object that goes into an expression, all that lies in it counted."""

Scope = Mapping[str, Any]
"""What may be named, by name."""

_COMPARED = re.compile(r"""f\.v0\s*==\s*(["'])([^"'\\]*)\1""")
"""A path that is compared with a text."""

_KNOWN = OF_CEL | frozenset(FUNCTIONS)
_INT64 = 2**63


class ExpressionFailed(Exception):
    """An expression that can't be evaluated of this record."""

    def __init__(self, text: str, *, is_null: bool) -> None:
        super().__init__(text)
        self.is_null = is_null
        """Something that it needs isn't there."""


class CompiledExpression(NamedTuple):
    """An expression that can be evaluated."""

    text: str
    roots: frozenset[str]
    """The first parts of the paths in it."""
    evaluate: Callable[[Scope], Any]
    """Raises ExpressionFailed."""


class _Path(NamedTuple):
    root: str
    keys: tuple[str, ...]
    asked: bool
    """Within `has(…)`: it is left out where there is nothing."""


def compile_value(text: str, roots: Collection[str]) -> CompiledExpression:
    """Compile an expression that may name `roots`. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters, at most {MAX_LENGTH} are possible")
    check_loop_count(text, MAX_LOOPS)
    check_signs(text)
    tokens = written_tokens(text)
    found: dict[_Path, str] = {}
    written, index = "", 0
    for path in paths(tokens):
        each = _resolved(path, tokens, roots)
        variable = found.setdefault(each, f"v{len(found)}")
        written += f"{text[index : path[0].start]}f.{variable}"
        index = path[-1].end
    written += text[index:]
    try:
        program = parsed(written)
    except ExpressionError:
        parsed(text)  # which says where it is wrong in what was written
        raise
    check_call_names(program, _KNOWN)
    used = frozenset(path.root for path in found)
    if written == "f.v0":  # nothing but a path
        (only,) = found
        return CompiledExpression(text, used, lambda scope: _read(scope, only))
    if (compared := _COMPARED.fullmatch(written)) is not None:  # the most frequent condition
        (only,), wanted = found, compared[2]
        return CompiledExpression(text, used, lambda scope: _read(scope, only) == wanted)
    evaluate = _evaluator(text, program, found)
    if not found:
        try:
            value = evaluate({})
        except ExpressionFailed as error:
            raise ExpressionError(str(error)) from None
        return CompiledExpression(text, used, lambda _: value)
    return CompiledExpression(text, used, evaluate)


def _resolved(path: Sequence[Token], tokens: Sequence[Token], roots: Collection[str]) -> _Path:
    root = path[0].text
    if root not in roots:
        near = did_you_mean(root, roots) or f"; there are {', '.join(sorted(roots))}"
        raise ExpressionError(f"no such name: {root}{near}; a text stands in quotes")
    at = tokens.index(path[0])
    asked = at > 1 and tokens[at - 1].text == "(" and tokens[at - 2].text == "has"
    return _Path(root, tuple(part.text for part in path[1:]), asked)


def _read(scope: Scope, path: _Path) -> Any:
    value = scope.get(path.root)
    for key in path.keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _evaluator(
    text: str, program: cel.Program, found: Mapping[_Path, str]
) -> Callable[[Scope], Any]:
    import cel  # noqa: PLC0415  # imports its own command line: 50 ms for whoever maps nothing

    variables = list(found.items())
    functions = {name: FUNCTIONS[name] for name in program.functions() if name in FUNCTIONS}

    def evaluate(scope: Scope) -> Any:
        values: dict[str, Any] = {}
        room, is_null = _Room(), False
        for path, name in variables:
            value = _read(scope, path)
            if value is None:
                if path.asked:
                    continue
                is_null = True
            values[name] = _for_cel(value, room, text)
        try:
            if functions:
                return program.execute(cel.Context({"f": values}, functions))
            return program.execute({"f": values})
        except Exception as error:  # whatever the library raises, of whatever others have written
            why, is_null = first_sentence(error), is_null or isinstance(error, LookupError)
            raise ExpressionFailed(f"{text}: {why}"[:300], is_null=is_null) from None

    return evaluate


class _Room:
    """How much more may be handed to an expression."""

    __slots__ = ("characters", "items")

    def __init__(self) -> None:
        self.items = MAX_ITEMS
        self.characters = MAX_TEXT


def _for_cel(value: Any, room: _Room, text: str) -> Any:
    """Return a value as CEL takes it. Raises ExpressionFailed for what is too large."""
    kind = type(value)
    if kind is str:
        room.characters -= len(value)
    elif kind is int:
        if not -_INT64 <= value < _INT64:
            return float(value)
    elif kind is Decimal:
        return float(value)
    elif kind is list:
        room.items -= len(value)
        if room.items >= 0:
            return [_for_cel(each, room, text) for each in value]
    elif kind is dict:
        room.items -= len(value)
        if room.items >= 0:
            return {name: _for_cel(each, room, text) for name, each in value.items()}
    if room.items < 0 or room.characters < 0:
        problem = f"more than {MAX_ITEMS} values or {MAX_TEXT} characters are handed to it"
        raise ExpressionFailed(f"{text}: {problem}"[:300], is_null=False)
    return value


def as_json(value: Any) -> Any:
    """Return what an expression or a format has given as JSON has it."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, dict):
        return {str(name): as_json(each) for name, each in value.items()}
    return _as_text(value)


def _as_text(value: Any) -> str:
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return f"{value.total_seconds():g}"
        case bytes():
            return b64encode(value).decode()
    return str(value)
