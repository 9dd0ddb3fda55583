"""What is wrong with a value, in plain words: pydantic's own speak of inputs, extras and types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

MAX_SHOWN = 64
"""Characters of a value that a message shows."""

MISSING = "missing"

_PLAIN: Mapping[str, str] = {
    "missing": MISSING,
    "extra_forbidden": "no such field",
    "none_required": "expected nothing",
    "recursion_loop": "it contains itself",
    "invalid_key": "names of fields have to be texts",
    "finite_number": "expected a finite number",
    "json_type": "expected JSON as a text",
    "union_tag_not_found": MISSING,
    "timezone_naive": "expected a time without a zone",
    "timezone_aware": "expected a time with its zone",
}

_KINDS: Mapping[str, str] = {
    "string": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "dict": "an object",
    "mapping": "an object",
    "model": "an object",
    "model_attributes": "an object",
    "dataclass": "an object",
    "bytes": "bytes",
    "date": "a date",
    "time": "a time of day",
    "datetime": "a date and a time",
    "time_delta": "a duration",
    "url": "a URL",
    "uuid": "a UUID",
    "fraction": "a number",
    "named_tuple": "an object",
}

_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"expected more than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"expected at least {ctx['ge']}",
    "less_than": lambda ctx: f"expected less than {ctx['lt']}",
    "less_than_equal": lambda ctx: f"expected at most {ctx['le']}",
    "multiple_of": lambda ctx: f"expected a multiple of {ctx['multiple_of']}",
    "string_too_long": lambda ctx: f"longer than {_counted(ctx['max_length'], 'character')}",
    "string_too_short": lambda ctx: (
        "empty" if ctx["min_length"] == 1
        else f"shorter than {_counted(ctx['min_length'], 'character')}"
    ),
    "too_long": lambda ctx: f"more than {ctx['max_length']}, which are the most that may be",
    "too_short": lambda ctx: f"expected at least {ctx['min_length']}",
    "bytes_too_long": lambda ctx: f"longer than {_counted(ctx['max_length'], 'byte')}",
    "bytes_too_short": lambda ctx: f"shorter than {_counted(ctx['min_length'], 'byte')}",
    "literal_error": lambda ctx: f"expected {_listed(ctx['expected'])}",
    "enum": lambda ctx: f"expected {_listed(ctx['expected'])}",
    "union_tag_invalid": lambda ctx: f"expected {_listed(ctx['expected_tags'])}",
    "string_pattern_mismatch": lambda ctx: f"not written as it must be ({ctx['pattern']})",
    "json_invalid": lambda ctx: f"not JSON: {ctx['error']}",
    "decimal_max_digits": lambda ctx: f"expected at most {_counted(ctx['max_digits'], 'digit')}",
    "decimal_max_places": lambda ctx: f"expected at most {ctx['decimal_places']} decimals",
    "decimal_whole_digits": lambda ctx: (
        f"expected at most {_counted(ctx['whole_digits'], 'digit')} before the point"
    ),
}  # fmt: skip

_ENDINGS = re.compile(
    r"_(type|parsing|parsing_size|from_float|from_date_parsing|from_datetime_parsing|"
    r"from_datetime_inexact|unicode|sub_class|class_type|scheme|exact_type|version|invalid_encoding|"
    r"not_hashable|item_not_hashable|object_invalid|syntax_violation|too_long|past|future)$"
)


def problem_words(error: ErrorDetails) -> str:
    """Return what one error of a validation says is wrong, without the place and the value."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _BOUNDS:
        return _BOUNDS[kind](context)
    if kind == "is_instance_of" and isinstance(context.get("class"), str):
        return f"expected {context['class']}"
    known = _KINDS.get(_ENDINGS.sub("", kind))
    if known is not None:
        return f"expected {known}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return re.sub(r"^(?:Input|String|Value|\w+ input) should (?:be|have) ", "expected ", message)


def expected_words(error: ErrorDetails) -> list[str]:
    """Return the words one of which was expected, none where it was something else."""
    context = error.get("ctx", {})
    listed = context.get("expected_tags") or context.get("expected")
    return re.findall(r"'([^']*)'", listed) if isinstance(listed, str) else []


def shown_value(given: object) -> str:
    """Return a value for a message, cut to MAX_SHOWN characters: objects and lists as JSON."""
    text = _json(given) if isinstance(given, dict | list) else repr(given)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _json(given: object) -> str:
    try:
        return json.dumps(given, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return "an object" if isinstance(given, dict) else "a list"


def _listed(listed: str) -> str:
    """Return pydantic's list of words without its quotes."""
    return re.sub(r"'([^']*)'", r"\1", listed)


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
