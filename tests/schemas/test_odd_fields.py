"""What is noted of odd fields: bounded, and what was left out before what was read otherwise."""

from __future__ import annotations

from schemas.events.odd import ODD_KEPT, ODD_VALUE, OddField, noted, shown


def test_few_are_noted_as_they_come() -> None:
    odd = [
        OddField("total", "'10,00'", "format", True),
        OddField("tax", "'x'", "unreadable", False),
    ]
    assert noted(odd) == tuple(odd)


def test_of_many_those_left_out_are_noted_first_and_the_rest_is_counted() -> None:
    repaired = [OddField(f"products.{n}.price", "'1,5'", "format", True) for n in range(10)]
    left_out = OddField("tax", "'x'", "unreadable", False)

    kept = noted([*repaired, left_out])

    assert kept == (left_out, *repaired[: ODD_KEPT - 1], OddField("", "3", "more", True))


def test_a_value_is_cut() -> None:
    assert shown("x" * 1000) == "'" + "x" * (ODD_VALUE - 2) + "…"
    assert shown([1]) == "[1]"
