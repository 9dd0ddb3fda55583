"""Expressions in CEL, where rules don't reach: `orders.spent / orders.count > 80.0`.

The library checks no names and no types when it compiles. So the fields that an expression names
are found by reading it, and it is tried once on values of the right types. Each field becomes a
property of one variable: `has(orders.last)` is `has(f.v0)`, and asks whether it is known.

All numbers are doubles, since CEL doesn't mix them with integers: `orders.count + 1.0`. Instants
are timestamps, dates and texts strings, sets lists. What isn't known is not there: an expression
that needs it doesn't hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.rules.cel_text import (
    MAX_LENGTH,
    ExpressionError,
    HasNoField,
    Token,
    check_call_names,
    check_loop_count,
    first_sentence,
    parsed,
    paths,
    written_tokens,
)
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import Field, FieldRegistry, FieldType
from schemas.instant import to_datetime

if TYPE_CHECKING:
    import cel

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


class Expression(NamedTuple):
    """An expression, compiled."""

    matches: Callable[[EvaluationContext], bool]
    fields: tuple[Field, ...]


def compile_expression(text: str, registry: FieldRegistry, about: str = "") -> Expression:
    """Compile an expression over fields. Raises WrongExpression."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters, at most {MAX_LENGTH} are possible")
    _check_syntax(text)
    check_loop_count(text)
    tokens = written_tokens(text)
    fields: dict[str, Field] = {}
    written, index = "", 0
    for path in paths(tokens):
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


def _check_syntax(text: str) -> None:
    """A mistake is told in the words that were written, not in ours."""
    with suppress(HasNoField):  # of `has(visits)`, which is `has(f.v0)` for us
        parsed(text)


def _resolve(path: Sequence[Token], registry: FieldRegistry, about: str) -> tuple[Field, int]:
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
            raise ExpressionError(f"{first_sentence(error)}; {_types(fields)}") from None
        except RuntimeError as error:
            if "Undefined" in str(error):  # so the library says of a function and its types
                raise ExpressionError(f"a function can't be used so; {_types(fields)}") from None
            continue
        except Exception:  # of these very values, such as a division by zero
            continue
        if not isinstance(result, bool):
            kind = type(result).__name__
            raise ExpressionError(f"it has to be true or false, and gives {kind}: {result!r}"[:200])


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
                evaluation.failures.append(f"{text}: {first_sentence(error)}")
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
