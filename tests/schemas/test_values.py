"""Amounts, instants, durations: what is read, what is refused, what is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.definitions import DEFINITION, canonical, version_of
from schemas.durations import duration_text, parse_duration
from schemas.instant import EARLIEST, LATEST, Instant, parse_instant, to_datetime, to_rfc3339
from schemas.money import MAX_AMOUNT, Amount, Price, amount_text, parse_amount
from tests.harness import FILES

amounts = st.decimals(-MAX_AMOUNT, MAX_AMOUNT, places=4)
instants = st.integers(EARLIEST, LATEST - 1)
anything = st.one_of(
    st.text(), st.none(), st.booleans(), st.integers(), st.floats(), st.binary(),
    st.lists(st.integers()), st.decimals(),
)  # fmt: skip


@given(amounts)
def test_an_amount_is_written_and_read_back(amount: Decimal) -> None:
    text = amount_text(amount)
    assert parse_amount(text) == amount
    assert TypeAdapter(Amount).validate_python(text) == amount
    assert "E" not in text
    assert len(text.split(".")[1]) >= 2


@pytest.mark.parametrize(
    ("value", "text"),
    [("52", "52.00"), (52.1, "52.10"), (" 7.5 ", "7.50"), ("0.125", "0.125"), ("-3", "-3.00"),
     (Decimal("1E+3"), "1000.00")],
)  # fmt: skip
def test_amounts_as_people_write_them(value: Any, text: str) -> None:
    amount = TypeAdapter(Amount).validate_python(value)
    assert amount_text(amount) == text


@pytest.mark.parametrize(
    "value", [True, None, [1], "52,00", "1.000,00", "NaN", "-Infinity", "1e999", "", "€ 5", "1_000",
              "1000000000.01", float("nan"), float("inf"), "9" * 400],
)  # fmt: skip
def test_what_is_no_amount(value: Any) -> None:
    with pytest.raises(ValueError, match=r"not an amount|too large"):
        parse_amount(value)
    if value != "1_000":  # Decimal reads it, and means what was meant
        with pytest.raises(ValidationError):
            TypeAdapter(Price).validate_python(value)


@given(anything)
def test_an_amount_is_read_or_refused(value: Any) -> None:
    try:
        assert abs(parse_amount(value)) <= MAX_AMOUNT
    except ValueError as error:
        assert len(str(error)) < 200


@given(instants)
def test_an_instant_is_written_and_read_back(instant: int) -> None:
    text = to_rfc3339(instant)
    assert parse_instant(text) == instant == parse_instant(instant)
    assert parse_instant(to_datetime(instant)) == instant
    assert text.endswith("Z")
    assert ("." in text) == bool(instant % 1000)


@pytest.mark.parametrize(
    "text",
    ["2026-03-02T10:00:00Z", "2026-03-02T11:00:00+01:00", "2026-03-02T10:00:00", "2026-03-02 10:00",
     "2026-03-02T10:00:00.0009Z", "20260302T100000Z"],
)  # fmt: skip
def test_times_as_exports_write_them(text: str) -> None:
    assert to_rfc3339(parse_instant(text)) == "2026-03-02T10:00:00Z"


@pytest.mark.parametrize(
    "value",
    [True, None, 1.5, "", "yesterday", "2026-02-30T00:00:00Z", "1999-12-31T23:59:59.999Z", 0,
     "2100-01-01T00:00:00Z", "1970-01-01", 10**400, -1, "0001-01-01T00:00:00+23:59",
     "9999-12-31T23:59:59-23:59", LATEST, EARLIEST - 1, b"2026-03-02"],
)  # fmt: skip
def test_what_is_no_instant(value: Any) -> None:
    with pytest.raises(ValueError, match=r"not a point|not an RFC|time outside|Exceeds the limit"):
        parse_instant(value)
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(value)


@given(anything | st.datetimes() | st.datetimes(timezones=st.just(timezone(timedelta(hours=14)))))
def test_an_instant_is_read_or_refused(value: Any) -> None:
    try:
        assert EARLIEST <= parse_instant(value) < LATEST
    except ValueError as error:
        assert len(str(error)) < 200


def test_a_moment_without_a_zone_is_utc() -> None:
    moment = datetime(2026, 3, 2, 10)  # a moment without a zone is what is tested
    assert parse_instant(moment) == parse_instant(moment.replace(tzinfo=UTC))


@given(st.integers(0, 10**7))
def test_a_duration_is_written_and_read_back(seconds: int) -> None:
    assert parse_duration(duration_text(seconds * 1000)) == seconds * 1000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), (0, 0), ("90m", 5_400), ("1h", 3_600), ("2d12h", 216_000), ("1w", 604_800),
     ("1w1d1h1m1s", 694_861)],
)  # fmt: skip
def test_durations(text: Any, seconds: int) -> None:
    assert parse_duration(text) == seconds * 1000


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1h 2m", "2m1h", "-1h", "1.5h", 5, True, None, "1y"]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="not a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["99999w", "9" * 60 + "d", "3661d"])
def test_nobody_waits_for_longer_than_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="longer than ten years"):
        parse_duration(text)


# Workflow files.


@pytest.mark.parametrize("name", FILES)
def test_our_own_definitions_have_one_canonical_form(name: str) -> None:
    definition = DEFINITION.validate_json(FILES[name])
    assert canonical(definition) == FILES[name]
    assert len(version_of(FILES[name])) == 12


STEP = {"id": "s", "wait": {"for": "1h", "since": "cart.changed"}, "send": "cart-reminder",
        "class": "marketing", "kind": "informative", "late": {"then": "fire"}}  # fmt: skip
FLOW: dict[str, Any] = {"id": "w", "title": {}, "trigger": "cart.changed",
                        "entry": {"once_per": "cart"}, "steps": [STEP]}  # fmt: skip
SCORING: dict[str, Any] = {"definition": "scoring", "half_life": "1d", "points": {"page.viewed": 1},
                           "bands": [{"name": "cold", "from": 0}]}  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (FLOW | {"triger": "x"}, "triger"),
        (FLOW | {"trigger": "cart.exploded"}, "trigger"),
        (FLOW | {"steps": []}, "steps"),
        (FLOW | {"steps": [STEP, STEP]}, "two steps have the same id: s"),
        (FLOW | {"steps": [STEP | {"kind": "transactional"}]}, "a transactional mail is both"),
        (FLOW | {"steps": [{"id": "s", "wait": []}]}, "wait"),
        (FLOW | {"steps": [STEP | {"wait": {"for": "1 hour", "since": "cart.changed"}}]}, "1 hour"),
        (FLOW | {"steps": [STEP | {"late": {"then": "window"}}]}, "`window` belongs"),
        (FLOW | {"steps": [STEP | {"late": {"then": "window", "window":
                                            {"from": "21:00", "to": "09:00"}}}]}, "window opens"),
        (FLOW | {"entry": {"once_per": "order"}}, "once_per order"),
        (FLOW | {"entry": {"once_per": "list"}}, "once_per list"),
        (SCORING | {"half_life": "0s"}, "half_life"),
        (SCORING | {"bands": [{"name": "warm", "from": 1}]}, "bands must begin at 0"),
        (SCORING | {"bands": [{"name": "a", "from": 0}, {"name": "b", "from": 0}]}, "ascend"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_named(definition: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        DEFINITION.validate_python(definition)


def test_a_right_one_is_accepted() -> None:
    DEFINITION.validate_python(FLOW)
    DEFINITION.validate_python(FLOW | {"entry": {"once_per": "customer"}})
    DEFINITION.validate_python(SCORING)
