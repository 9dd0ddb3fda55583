"""Expressions in CEL, where rules don't reach: `orders.spent / orders.count > 80.0`.

The library checks no names and no types when it compiles. So the fields that an expression names
are found by reading it, and it is tried once on values of the right types. Each field becomes a
property of one variable: `has(orders.last)` is `has(f.v0)`, and asks whether it is known.

All numbers are doubles, since CEL doesn't mix them with integers: `orders.count + 1.0`. Instants
are timestamps, dates and texts strings, sets lists. What isn't known is not there: an expression
that needs it doesn't hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import Field, FieldRegistry, FieldType
from schemas.instant import to_datetime

if TYPE_CHECKING:
    import cel

MAX_LENGTH = 1000
"""Characters. Keeps nesting away from the parser's limits, and from what anybody can review."""
MAX_LOOPS = 2
"""`exists`, `map` and the like: two over lists of 200 are 40,000 steps, three are 8 million."""

FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string",
     "bytes", "timestamp", "duration", "type", "dyn", "getFullYear", "getMonth", "getDate",
     "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds"}
)  # fmt: skip
_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_WORDS = frozenset({"true", "false", "null", "in"})

_HAS = "invalid argument to has() macro"
"""So the library says of `has(visits)`, which is `has(f.v0)` for us."""

_TOKEN = re.compile(
    r"""(?P<text>[rRbB]{0,2}(?:'{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
      | (?P<skip>\s+|//[^\n]*)
      | (?P<number>\.?\d[\w.]*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)

_SAMPLES: Mapping[FieldType, Any] = {
    "text": "x",
    "number": 1.5,
    "money": 1.5,
    "flag": True,
    "instant": to_datetime(1_000_000_000_000),
    "date": "2001-09-09",
    "texts": ["x"],
    "numbers": [1.5],
}


class ExpressionError(ValueError):
    """An expression that can't be used."""


class Expression(NamedTuple):
    """An expression, compiled."""

    matches: Callable[[EvaluationContext], bool]
    fields: tuple[Field, ...]


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def compile_expression(text: str, registry: FieldRegistry, about: str = "") -> Expression:
    """Compile an expression over fields. Raises WrongExpression."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters, at most {MAX_LENGTH} are possible")
    _check_syntax(text)
    check_loop_count(text)
    tokens = _written(text)
    fields: dict[str, Field] = {}
    written, index = "", 0
    for path in _paths(tokens):
        field, end = _resolve(path, registry, about)
        fields.setdefault(field.name, field)
        variable = list(fields).index(field.name)
        written += f"{text[index : path[0].start]}f.v{variable}"
        index = end
    program = parsed(written + text[index:])
    check_call_names(program)
    used = tuple(fields.values())
    _try(program, used)
    return Expression(_runner(program, used, text), used)


def parsed(text: str) -> cel.Program:
    """Return an expression, compiled. Raises ExpressionError."""
    # Imports its own command line: 50 ms for what few files need.
    import cel  # noqa: PLC0415  # see above

    try:
        return cel.compile(text)
    except ValueError as error:
        lines = str(error).splitlines()
        raise ExpressionError(lines[0].partition("ERROR: ")[2][:200] or lines[0][:200]) from None


def _check_syntax(text: str) -> None:
    """A mistake is told in the words that were written, not in ours."""
    try:
        parsed(text)
    except ExpressionError as wrong:
        if _HAS not in str(wrong):
            raise


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        yield _Token(str(match.lastgroup), match[0], match.start(), match.end())


def check_call_names(program: cel.Program) -> None:
    """Raise ExpressionError for a function that there is none of."""
    for function in program.functions():
        if function.isidentifier() and function not in FUNCTIONS:
            near = get_close_matches(function, FUNCTIONS, n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(FUNCTIONS))}"
            )
            raise ExpressionError(f"no such function: {function}; {hint}")


def check_loop_count(text: str) -> None:
    """Raise ExpressionError for more loops than can be waited for."""
    loops = sum(
        1 for dot, name in pairwise(_written(text)) if dot.text == "." and name.text in _LOOPS
    )
    if loops > MAX_LOOPS:
        raise ExpressionError(f"{loops} loops (exists, map…), at most {MAX_LOOPS} are possible")


def _written(text: str) -> list[_Token]:
    return [token for token in _tokens(text) if token.kind != "skip"]


def _paths(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Yield the names with what follows them: `orders.count`, `run.results["reminder"]`.

    Not those that a loop gives its items, nor functions and methods.
    """
    items = {
        tokens[index + 3].text
        for index in range(len(tokens) - 4)
        if tokens[index].text == "."
        and tokens[index + 1].text in _LOOPS
        and tokens[index + 2].text == "("
        and tokens[index + 4].text == ","
    }
    for index, token in enumerate(tokens):
        first = token.kind == "word" and (index == 0 or tokens[index - 1].text != ".")
        if not first or token.text in _WORDS or token.text in items:
            continue
        path = _follow(tokens, index)
        if path:
            yield path


def _follow(tokens: Sequence[_Token], index: int) -> list[_Token]:
    path, brackets = [tokens[index]], False
    index += 1
    while index + 1 < len(tokens):
        opening, name = tokens[index], tokens[index + 1]
        brackets = opening.text == "[" and name.kind == "text"
        if opening.text == "." and name.kind == "word":
            path.append(name)
            index += 2
        elif brackets and index + 2 < len(tokens) and tokens[index + 2].text == "]":
            text = name.text.strip("rRbB").strip("'\"")
            path.append(name._replace(text=text, end=tokens[index + 2].end))
            index += 3
        else:
            break
    called = index < len(tokens) and tokens[index].text == "("
    return path[:-1] if called else path


def _resolve(path: Sequence[_Token], registry: FieldRegistry, about: str) -> tuple[Field, int]:
    """Return the field that a path names, and where its name ends. Raises WrongExpression."""
    name = ".".join(part.text for part in path)
    field = registry.find(name, about)
    if field is None:
        raise ExpressionError(f"no such field: {name}{registry.near(name, about)}")
    return field, path[-1].end


def _try(program: cel.Program, fields: Sequence[Field]) -> None:
    """Find operations that can't work on the fields' types. Raises WrongExpression."""
    if any(field.type == "any" for field in fields):
        return
    sample = {f"v{number}": _SAMPLES[field.type] for number, field in enumerate(fields)}
    for flags in (True, False):
        values = {name: flags if value is True else value for name, value in sample.items()}
        try:
            result = program.execute({"f": values})
        except TypeError as error:
            raise ExpressionError(f"{_first_sentence(error)}; {_types(fields)}") from None
        except RuntimeError as error:
            if "Undefined" in str(error):  # so the library says of a function and its types
                raise ExpressionError(f"a function can't be used so; {_types(fields)}") from None
            continue
        except Exception:  # of these very values, such as a division by zero
            continue
        if not isinstance(result, bool):
            kind = type(result).__name__
            raise ExpressionError(f"it has to be true or false, and gives {kind}: {result!r}"[:200])


def _first_sentence(error: Exception) -> str:
    return str(error).partition(". ")[0][:200]


def _types(fields: Sequence[Field]) -> str:
    if not fields:
        return "numbers without a point are integers, which don't mix with others"
    kinds = {"number": "double", "money": "double", "numbers": "list of doubles", "flag": "bool",
             "instant": "timestamp", "texts": "list of strings"}  # fmt: skip
    said = ", ".join(f"{field.name} is a {kinds.get(field.type, 'string')}" for field in fields)
    return f"{said}; write numbers with a point, 1.0"


def _runner(
    program: cel.Program, fields: Sequence[Field], text: str
) -> Callable[[EvaluationContext], bool]:
    readers = [
        (f"v{number}", field.compared or field.read, _CEL.get(field.type, _as_it_is))
        for number, field in enumerate(fields)
    ]

    def matches(evaluation: EvaluationContext) -> bool:
        values = {}
        for name, read, convert in readers:
            value = read(evaluation)
            if value is not None:
                values[name] = convert(value)
        try:
            return program.execute({"f": values}) is True
        except LookupError:
            return False  # something isn't known
        except Exception as error:  # whatever it is, it must not stop the customer
            if evaluation.failures is not None:
                evaluation.failures.append(f"{text}: {_first_sentence(error)}")
            return False

    return matches


def _as_it_is(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value
    return float(value)


_CEL: Mapping[FieldType, Callable[[Any], Any]] = {
    "number": float,
    "money": float,
    "instant": to_datetime,
    "date": str,
    "texts": list,
    "numbers": lambda values: [float(value) for value in values],
}
