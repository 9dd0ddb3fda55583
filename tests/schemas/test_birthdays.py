"""Birthdays are read in every form that has one meaning; the others are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.birthdays import read_birthday
from schemas.events.odd import OddField
from schemas.wire import parse_published
from streams.tools.order_import.order_values import trait
from tests.harness import Harness


@pytest.mark.parametrize(
    "text",
    [
        "1990-06-15",
        " 1990-06-15 ",
        "15/06/1990",
        "15.6.1990",
        "15-06-1990",
        "1990/06/15",
        "1990.6.15",
        "19900615",
        "1990-06-15T00:00:00Z",
        "1990-06-15T00:00:00.000+00:00",
        "1990-06-15 00:00:00",
        "1990-06-15T00:00:00+02:00",
        "1990-06-14T22:00:00.000Z",  # midnight in Rome
        "1990-06-14T15:00:00Z",  # in Tokyo
        "1990-06-15T04:00:00Z",  # in New York
        "1990-06-15T12:00:00Z",
        "645408000",
        "645400800",
        "645408000000",
        "645400800000",
    ],
)
def test_one_day_in_many_forms(text: str) -> None:
    assert read_birthday(text) == "1990-06-15"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("--06-15", "--06-15"),
        ("06-15", "--06-15"),
        ("15/06", "--06-15"),
        ("1604-06-15", "--06-15"),
        ("-315619200", "1960-01-01"),
        ("-315619200000", "1960-01-01"),
        ("2000-02-29", "2000-02-29"),
        ("", ""),
        ("  ", ""),
        ("0000-00-00", ""),
        ("0000-00-00 00:00:00", ""),
    ],
)
def test_other_days_and_none(text: str, day: str) -> None:
    assert read_birthday(text) == day


@pytest.mark.parametrize(
    "text",
    ["soon", "1990", "06/15/1990", "1990-13-01", "1990-02-30", "31/02/1990", "99999999", "1",
     "-9999999999999", "9999999999999", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z",
     "2001-02-29", "June 15", "{}", "1990-06-15; DROP", "1" * 400],
)  # fmt: skip
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no day"):
        read_birthday(text)


@pytest.mark.parametrize("given", ["15/06/1990", 645408000000, "1990-06-14T22:00:00.000Z"])
def test_it_is_kept_as_a_day(given: Any) -> None:
    harness = Harness().tell("customer.updated", birthday=given)
    assert harness.customer().profile.birthday == "1990-06-15"
    assert harness.counts[-1].odd == {}


def test_what_cant_be_read_is_left_out_and_said_and_the_former_one_stays() -> None:
    harness = Harness().tell("customer.updated", birthday="1990-06-15")
    harness.at(1).tell("customer.updated", birthday="soon", city="Roma")
    profile = harness.customer().profile
    assert (profile.birthday, profile.city) == ("1990-06-15", "Roma")
    assert harness.counts[-1].odd == {("customer.updated", "birthday", "unreadable"): 1}
    line = {"type": "identify", "messageId": "1", "userId": "a", "traits": {"birthday": "soon"}}
    event = parse_published(json.dumps(line))
    assert event.odd == (OddField("birthday", "'soon'", "unreadable", kept=False),)


def test_an_address_that_is_none_is_said_and_the_former_one_stays() -> None:
    harness = Harness().subscribed()
    harness.at(1).tell("customer.updated", email="not an address", city="Roma")
    assert harness.customer().profile.email == "anna@example.com"
    assert harness.customer().profile.city == "Roma"
    assert harness.counts[-1].odd == {("customer.updated", "email", "unreadable"): 1}


def test_an_older_statement_that_is_left_out_takes_nobodys_place() -> None:
    harness = Harness().at(10).tell("customer.updated", happened=5, birthday="soon")
    harness.tell("customer.updated", happened=1, birthday="1990-06-15")
    assert harness.customer().profile.birthday == "1990-06-15"


def test_an_imported_file_is_told_the_same() -> None:
    assert trait("birthday", "15/06/1990") == "1990-06-15"
    assert trait("birthday", "soon") == ""
