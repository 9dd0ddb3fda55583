"""What anybody may type into a form is greeted only where it looks like a name."""

from __future__ import annotations

import pytest

from agents.customer.names import greetable
from agents.customer.profile import first_name, full_name
from schemas.customer.person import Profile


@pytest.mark.parametrize(
    "name",
    [
        *("Anna", "Maria Grazia", "Jean-Luc", "D’Artagnan", "O'Neill", "J.R.", "Nicolò", "Łukasz"),
        *("Anna-Maria", "Xuân", "محمد", "李", "नेहा", "Мария", "M.", "Mª Carmen", "A" * 40),
    ],
)
def test_names_are_greeted(name: str) -> None:
    assert greetable(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "-", "http://evil.example", "evil.example", "WIN at evil.it now", "www.evil.it"),
        *("anna@example.it", "Anna 2", "€500", "Anna\nBcc", "<b>Anna</b>", "{{ shop }}"),
        *("Anna\u202e", "A" * 41, "t.me/x", "Anna: click", "!!!"),
    ],
)  # fmt: skip
def test_what_is_no_name_is_not(name: str) -> None:
    assert not greetable(name)


def test_the_first_part_of_the_name_stands_in_for_a_first_name_that_is_none() -> None:
    assert first_name(Profile(first_name="evil.example", name="Anna Rossi")) == "Anna"
    assert first_name(Profile(first_name=" Anna ", name="Rossi")) == "Anna"
    assert first_name(Profile(first_name="", name="evil.example Rossi")) == ""


def test_nobody_is_written_to_under_a_link() -> None:
    assert full_name(Profile(name="Win at evil.example", first_name="Anna")) == "Anna"
    assert full_name(Profile(name="Anna Rossi")) == "Anna Rossi"
    assert full_name(Profile(name="x" * 101)) == ""
