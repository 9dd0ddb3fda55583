"""What is wrong with a value is said in plain words, whatever pydantic calls it."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType

from schemas.problem_words import MAX_SHOWN, problem_words, shown_value

JARGON = ("Input", "Extra", "Field required", "Value error", "instance", "Pydantic", "None")
OURS = {"is_instance_of", "is_subclass_of", "no_such_attribute", "get_attribute_error",
        "default_factory_not_called", "callable_type", "arguments_type", "complex_type",
        "complex_str_parsing", "assertion_error", "value_error"}  # fmt: skip
"""What no model of ours says of YAML or JSON, or says in words of its own."""
CONTEXT = {
    "pattern": "^a$", "expected": "'a' or 'b'", "expected_tags": "'a', 'b'", "tag": "c",
    "discriminator": "'kind'", "error": "EOF", "min_length": 1, "max_length": 2,
    "actual_length": 3, "field_type": "List", "gt": 1, "ge": 1, "lt": 1, "le": 1,
    "multiple_of": 2, "class": "Path", "class_name": "Path", "method_name": "x", "input_type": "x",
    "max_digits": 3, "decimal_places": 2, "whole_digits": 2, "encoding": "hex",
    "encoding_error": "odd", "expected_schemes": "'https'", "expected_version": 4,
    "expected_plural": "s", "tz_expected": 1, "tz_actual": 2, "attribute": "x", "name": "x",
}  # fmt: skip
ERRORS = [each for each in get_args(ErrorType) if each not in OURS and "arg" not in each]


@pytest.mark.parametrize("kind", ERRORS)
def test_no_error_speaks_of_inputs(kind: str) -> None:
    try:
        known = PydanticKnownError(kind, CONTEXT)  # type: ignore[arg-type]  # whichever it is
    except TypeError:
        known = PydanticKnownError(kind)  # type: ignore[arg-type]  # as above
    error: Any = {"type": kind, "loc": (), "msg": known.message(), "input": 1, "ctx": CONTEXT}
    said = problem_words(error)
    assert said and not any(each in said for each in JARGON), said


def test_objects_are_shown_as_json_and_nothing_at_length() -> None:
    assert shown_value({"a": ["b", None]}) == '{"a": ["b", null]}'
    assert shown_value("10,00 €") == "'10,00 €'"
    assert len(shown_value("x" * 1_000)) == MAX_SHOWN + 1
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown_value(deep) == "a list"
