"""Of each trait the newest statement counts, in whatever order they arrive; null and an empty text
take it away."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from agents.customer import statements
from schemas.bounds import kept_bytes
from schemas.customer import Customer, encode_customer
from schemas.customer.person import STATED_TOTAL_BYTES, Profile, StatedAt
from schemas.events import Event
from schemas.records import Record
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_published, parse_record, to_record
from tests.customer.test_custom_fields_and_tags import FIELDS, published, workflow
from tests.harness import DAY, HOUR, START, Harness

Said = tuple[float, dict[str, Any]]
"""When it was stated, and what."""


def told(*said: Said, customer: str = "anna") -> Harness:
    """All of it arrives a day later, in this order."""
    harness = Harness({"fields": published(FIELDS)}).at(DAY)
    for time, data in said:
        harness.tell("customer.updated", customer, happened=time, id_=f"at{time}", **data)
    return harness


def known(harness: Harness) -> tuple[Profile, dict[str, Any], dict[str, StatedAt]]:
    customer = harness.customer()
    return customer.profile, customer.fields, dict(sorted(customer.stated.items()))


@pytest.mark.parametrize(
    "said",
    [
        [(1, {"email": "a@example.com"}), (2, {"email": "b@example.com"}), (3, {"city": "Roma"})],
        [(1, {"phone": "1"}), (2, {"phone": None}), (3, {"size": "M"})],
        [(1, {"phone": "1", "city": "x"}), (2, {"phone": ""}), (3, {"phone": "3", "city": None})],
        [(1, {"size": "M", "budget": 3}), (2, {"size": None}), (3, {"budget": ""})],
        [(1, {"business": True}), (2, {"business": False}), (3, {"wedding": "2026-06-20"})],
        [(1, {"mail_frequency": "less"}), (2, {"mail_frequency": None}), (3, {"locale": "en"})],
    ],
    ids=str,
)
def test_the_order_of_arrival_decides_nothing(said: list[Said]) -> None:
    wanted = known(told(*said))
    for arrived in permutations(said):
        assert known(told(*arrived)) == wanted
        assert known(told(*arrived, *arrived)) == wanted


def test_at_the_same_instant_the_events_id_decides() -> None:
    both = [("e1", "Roma"), ("e2", "Lucca")]
    cities = set()
    for arrived in (both, both[::-1]):
        harness = Harness()
        for id_, city in arrived:
            harness.tell("customer.updated", id_=id_, city=city)
        cities.add(harness.customer().profile.city)
    assert len(cities) == 1


def test_history_that_is_loaded_afterwards_is_older() -> None:
    harness = Harness().at(DAY).tell("customer.updated", email="new@example.com", happened=HOUR)
    harness.tell("customer.updated", email="old@example.com", happened=0, backfill=True)
    harness.tell("customer.updated", phone="1", happened=0, backfill=True)
    assert harness.customer().profile.email == "new@example.com"
    assert harness.customer().profile.phone == "1", "what nobody has said since"


def test_each_trait_has_a_time_of_its_own() -> None:
    harness = told((1, {"city": "Roma"}), (3, {"phone": "3"}), (2, {"city": "Lucca", "phone": "2"}))
    profile = harness.customer().profile
    assert (profile.city, profile.phone) == ("Lucca", "3")


def test_what_was_taken_away_does_not_come_back_with_older_news() -> None:
    harness = told(
        (3, {"birthday": None, "size": ""}), (2, {"birthday": "1990-06-15", "size": "M"})
    )
    assert (harness.customer().profile.birthday, harness.customer().fields) == ("", {})
    harness.tell("customer.updated", happened=4, birthday="1990-06-15")
    assert harness.customer().profile.birthday == "1990-06-15"


def test_an_address_that_is_taken_away_gets_no_mail() -> None:
    harness = Harness().subscribed().at(1).tell("customer.updated", email=None).order()
    assert harness.mails == []
    assert harness.said("w05")[-1][1:] == ("w01-confirmation", "skipped", "no_address")


def test_what_was_kept_without_a_time_gives_way_to_any_statement() -> None:
    harness = told((2, {"city": "Roma"}))
    before = Customer(key="anna", first_seen=START, heard=1, is_customer=True)
    before.profile.city, before.fields["size"] = "Lucca", "L"
    harness.store[b"anna"] = encode_customer(before)
    harness.build()
    harness.tell("customer.updated", happened=1, id_="x", city="Siena", size=None)
    assert (harness.customer().profile.city, harness.customer().fields) == ("Siena", {})


# Who says it.


def test_what_is_typed_takes_no_place_of_what_the_shop_says() -> None:
    harness = Harness().at(DAY)
    harness.tell("customer.updated", happened=1, email="anna@example.com")
    harness.tell("checkout.started", happened=2, email="typed@example.com")
    harness.order(happened=3, email="ordered@example.com")
    assert harness.customer().profile.email == "anna@example.com"


def test_nor_when_it_arrives_first() -> None:
    harness = Harness().at(DAY)
    harness.tell("checkout.started", happened=2, email="typed@example.com")
    assert harness.customer().profile.email == "typed@example.com"
    harness.tell("customer.updated", happened=1, email="anna@example.com")
    assert harness.customer().profile.email == "anna@example.com"


def test_of_what_is_typed_the_latest_counts() -> None:
    harness = Harness().at(DAY)
    harness.tell("checkout.step_completed", "v", happened=2, email="rosa@example.com")
    harness.tell("checkout.started", "v", happened=1, email="rosa@example.co")
    assert harness.customer("v").profile.email == "rosa@example.com"
    harness.tell("checkout.step_completed", "v", happened=3, email="rosa@")
    assert harness.customer("v").profile.email == "rosa@example.com"


def test_a_visitor_fills_gaps_and_takes_nothing_away() -> None:
    harness = Harness({"fields": published(FIELDS)}).at(DAY)
    harness.tell("customer.updated", happened=1, name="Anna Rossi", phone="1", size="M")
    harness.tell(
        "customer.updated", "v", happened=2, name="X", city="Roma", size="XL", budget=3, phone=None
    )
    harness.tell("customer.identified", happened=3, anonymous_id="v")
    profile = harness.customer().profile
    assert (profile.name, profile.phone, profile.city) == ("Anna Rossi", "1", "Roma")
    assert harness.customer().fields == {"size": "M", "budget": 3}
    harness.tell("customer.updated", "v", happened=4, name="Y", city="Lucca", country="IT")
    profile = harness.customer().profile
    assert (profile.name, profile.city, profile.country) == ("Anna Rossi", "Lucca", "IT")


def test_nor_does_what_a_visitor_takes_away_keep_what_the_shop_has_said() -> None:
    harness = Harness().at(DAY)
    harness.tell("customer.updated", "v", happened=3, city=None, email=None, phone="3")
    harness.tell("customer.identified", happened=4, anonymous_id="v")
    harness.tell("customer.updated", happened=1, city="Roma", email="anna@example.com", phone=None)
    profile = harness.customer().profile
    assert (profile.city, profile.email, profile.phone) == ("Roma", "anna@example.com", "3")


def test_what_two_visitors_have_told_is_merged_by_its_time() -> None:
    cities = set()
    for first, second in (("v", "v1"), ("v1", "v")):
        harness = Harness().at(DAY)
        harness.tell("customer.updated", "v", happened=2, city="Roma")
        harness.tell("customer.updated", "v1", happened=1, city="Lucca")
        for visitor in (first, second):
            harness.tell("customer.identified", anonymous_id=visitor)
        cities.add(harness.customer().profile.city)
    assert cities == {"Roma"}


def test_a_step_speaks_after_the_event_that_it_follows() -> None:
    steps = [{"id": "s", "set": {"profile.city": "Roma", "size": "M"}}]
    files = {"fields": published(FIELDS)} | workflow("w", "product.viewed", steps)
    for id_ in "abcdefgh":
        harness = Harness(files).tell("customer.updated", id_=id_, city="Lucca", size="L")
        harness.tell("product.viewed", product_id="p")
        assert (harness.customer().profile.city, harness.customer().fields["size"]) == ("Roma", "M")


# Every way in, and every way on.

SEGMENT = {"type": "identify", "messageId": "1", "userId": "anna",
           "timestamp": "2026-03-03T10:00:00Z"}  # fmt: skip
CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "customer.updated",
         "subject": "anna", "time": "2026-03-03T10:00:00Z"}  # fmt: skip
AWAY: dict[str, Any] = {"phone": None, "birthday": "", "size": None, "budget": ""}


def ways_in() -> dict[str, Event]:
    lines: dict[str, Any] = {
        "segment": {**SEGMENT, "traits": AWAY},
        "segment, with something to mend": {**SEGMENT, "traits": {**AWAY, "name": "An\nna"}},
        "structured": {**CLOUD, "data": AWAY},
        "structured, with something to mend": {**CLOUD, "data": {**AWAY, "name": "An\nna"}},
        "created": {**CLOUD, "type": "customer.created", "data": AWAY},
        "identified": {**CLOUD, "type": "customer.identified", "data": AWAY},
    }
    return {name: parse_published(json.dumps(line)) for name, line in lines.items()}


@pytest.mark.parametrize("way", ways_in())
@pytest.mark.parametrize("hops", [0, 1, 2])
def test_null_takes_a_trait_away_on_every_way_in_and_however_often_it_is_passed_on(
    way: str, hops: int
) -> None:
    event = ways_in()[way]
    for _ in range(hops):
        event = parse_record(Record(CUSTOMER_EVENTS, 0, 0, START, *to_record(event)))
    harness = told((0, {"phone": "1", "birthday": "1990-06-15", "size": "M", "budget": 3}))
    harness.at(2 * DAY).append(to_record(event))
    customer = harness.customer()
    assert (customer.profile.phone, customer.profile.birthday, customer.fields) == ("", "", {})


def test_what_a_visitor_takes_away_reaches_the_customer_it_has_become() -> None:
    harness = Harness().at(DAY).tell("customer.updated", "v", happened=1, city="Roma")
    harness.tell("customer.identified", happened=2, anonymous_id="v")
    harness.tell("customer.updated", "v", happened=3, city=None)
    assert harness.customer().profile.city == ""


def test_nothing_is_written_anew_where_nothing_is_taken_away() -> None:
    line = json.dumps({**SEGMENT, "traits": {"phone": "1", "size": "M"}})
    event = parse_published(line)
    assert event.data.written() is event.data
    assert to_record(event).value == b'{"phone":"1","size":"M"}'


# An address in an object of its own.


@pytest.mark.parametrize(
    "said",
    [
        {"address": {"city": "Roma", "country": "IT"}},
        {"default_address": {"city": "Roma", "country": "IT", "zip": "00100"}},
        {"billing": {"city": "Roma", "country": "IT"}},
        {"city": "Roma", "address": {"city": "Lucca", "country": "IT"}},
    ],
    ids=str,
)
def test_city_and_country_may_stand_in_an_address(said: dict[str, Any]) -> None:
    for line in ({**SEGMENT, "traits": said}, {**CLOUD, "data": said}):
        event = parse_published(json.dumps(line))
        again = parse_record(Record(CUSTOMER_EVENTS, 0, 0, START, *to_record(event)))
        for each in (event, again):
            assert (each.data.city, each.data.country) == ("Roma", "IT")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({"address": None}, ("", "")),
        ({"address": ""}, ("", "")),
        ({"address": {"city": None}}, ("", "IT")),
        ({"address": {"country": ""}}, ("Roma", "")),
        ({"address": {}}, ("Roma", "IT")),
        ({"address": []}, ("Roma", "IT")),
        ({"address": "Via Appia 1, Roma"}, ("Roma", "IT")),
        ({"address": None, "city": "Lucca"}, ("Lucca", "")),
    ],
    ids=str,
)
def test_an_address_can_be_taken_away(said: dict[str, Any], left: tuple[str, str]) -> None:
    event = parse_published(json.dumps({**SEGMENT, "traits": said}))
    for _ in range(2):
        harness = told((1, {"city": "Roma", "country": "IT"}))
        harness.at(2 * DAY).append(to_record(event))
        profile = harness.customer().profile
        assert (profile.city, profile.country) == left
        event = parse_record(Record(CUSTOMER_EVENTS, 0, 0, START, *to_record(event)))


# Bounds.


def test_without_room_the_oldest_times_give_way() -> None:
    customer = Customer(key="anna")
    for number in range(200):
        statements.note(customer, f"fields.{number:041}", StatedAt(START + number))
    assert kept_bytes(customer.stated) <= STATED_TOTAL_BYTES
    assert f"fields.{199:041}" in customer.stated
    assert f"fields.{0:041}" not in customer.stated
