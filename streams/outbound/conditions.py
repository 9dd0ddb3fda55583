"""Conditions on messages, in CEL: `data.band == "hot" && data.value > 80.0`.

Known are `type` and `data`. All numbers are doubles, as in workflow files. What a message doesn't
have is not there, and a condition that needs it doesn't hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.outbound.messages import Message
from agents.rules.cel_text import MAX_LENGTH, check_call_names, check_loop_count, parsed

_NAMES = frozenset({"type", "data"})

Holds = Callable[[Message], bool]


def compile_condition(text: str) -> Holds:
    """Return whether a condition holds for a message. Raises ValueError saying what is wrong."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{len(text)} characters, at most {MAX_LENGTH} are possible")
    program = parsed(text)
    check_loop_count(text)
    check_call_names(program)
    unknown = sorted(set(program.variables()) - _NAMES)
    if unknown:
        raise ValueError(f"no such name: {unknown[0]}; there are type and data")

    def holds(message: Message) -> bool:
        try:
            found = program.execute({"type": message.type, "data": _doubled(message.data)})
        except Exception:  # something isn't there, or of another kind: it doesn't hold
            return False
        return found is True

    return holds


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
