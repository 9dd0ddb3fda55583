"""Conditions and values in CEL: `data.band == "hot" && data.value > 80.0`.

Each names one or two variables that hold JSON. All numbers are doubles, as in workflow files. What
isn't there is not there: a condition that needs it doesn't hold, and a value that needs it is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.outbound.messages import Message
from agents.rules.cel_text import MAX_LENGTH, check_call_names, check_loop_count, parsed
from schemas.suggestions import did_you_mean

OF_MESSAGES = ("type", "data")
"""What is known of a message."""

Holds = Callable[[Message], bool]
Value = Callable[[Mapping[str, Any]], Any]
"""Takes the variables; returns None where something that is needed isn't there."""


def compile_condition(text: str) -> Holds:
    """Return whether a condition holds for a message. Raises ValueError saying what is wrong."""
    value = compile_value(text, OF_MESSAGES)
    return lambda message: value({"type": message.type, "data": message.data}) is True


def compile_value(text: str, names: Sequence[str]) -> Value:
    """Return what an expression over these variables gives. Raises ValueError saying what is
    wrong."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{len(text)} characters, at most {MAX_LENGTH} are possible")
    program = parsed(text)
    check_loop_count(text)
    check_call_names(program)
    unknown = sorted(set(program.variables()) - set(names))
    if unknown:
        near = did_you_mean(unknown[0], names) or f"; there are {', '.join(names)}"
        inner = f"{names[-1]}.{unknown[0]}"
        raise ValueError(f"no such name: {unknown[0]}, unless {inner} is meant{near}")

    def value(variables: Mapping[str, Any]) -> Any:
        try:
            return program.execute(_doubled(dict(variables)))
        except Exception:  # something isn't there, or of another kind than it is used as
            return None

    return value


def _doubled(value: Any) -> Any:
    """Return JSON with every number a double: CEL doesn't mix them with integers."""
    match value:
        case dict():
            return {key: _doubled(each) for key, each in value.items()}
        case list():
            return [_doubled(each) for each in value]
        case bool():
            return value
        case int():
            return float(value)
        case _:
            return value
