"""A YAML text from anybody: what is too large, too deep or becomes too much is named with its line,
before anything is built of it."""

from __future__ import annotations

import pytest
import yaml

from schemas.yaml_text import MAX_DEPTH, Document, OutOfBounds

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine lines that stand for a thousand million values."""


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (LAUGHS, 5, "more than 100000 values, with its aliases written out"),
        ("a: 1\nb: &b {c: [*b]}\n", 2, "stands within &b"),
        ("a:\n  " + "[" * 100_000, 2, "nested more than 60 deep"),
        ("a:\n  " + "[" * 50_000 + "]" * 50_000, 2, "nested more than 60 deep"),
        ("a: 1\nb: " + "9" * 5_000, 2, "a number of 5000 digits"),
        ("a: 9223372036854775808", 1, "a number of 19 digits"),
        ("a: -1.5e400", 1, "a number too large"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(OutOfBounds, match=problem) as caught:
        Document(text)
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line + 1 == line


def test_a_text_of_two_megabytes_is_not_read() -> None:
    with pytest.raises(OutOfBounds, match="2000000 characters"):
        Document("x" * 2_000_000)


@pytest.mark.parametrize("value", ["!!timestamp never", "!!int x", "!!float x", "!!bool perhaps"])
def test_a_value_that_is_not_what_its_tag_says_is_a_mistake_in_the_file(value: str) -> None:
    with pytest.raises(yaml.YAMLError):
        Document(f"a: {value}")


def test_what_people_write_is_read() -> None:
    text = "a: &a {b: 1}\nc: [*a, *a]\nd:\n  <<: *a\n  e: -2.5e3\nf: 9223372036854775807\n"
    assert Document(text).content == {
        "a": {"b": 1}, "c": [{"b": 1}] * 2, "d": {"b": 1, "e": -2500.0}, "f": 2**63 - 1,
    }  # fmt: skip
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert str(Document(deep).content) == deep
