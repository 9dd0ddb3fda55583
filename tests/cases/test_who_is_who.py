"""One person under many ids: what is right of the cases about who somebody is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.cases.played import CASES, Played, lines_of, played
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["ritorno"]

EMPTY = "01-empty-user-id"
UNSUBSCRIBED = "02-unsubscribe-same-address"
GUEST = "03-guest-order-other-id"
LATE = "05-late-identify"
TWO_SOURCES = "11-same-id-two-sources"
REPEATED = "12-repeat-after-64"
MISTYPED = "13-mistyped-at-checkout"
TAKEN_AWAY = "14-trait-taken-away"
ELSEWHERE = "25-unsubscribed-elsewhere"
FORM = "31-newsletter-form-takes-the-account"
BOMBING = "32-subscription-bombing"
SERIES = {"reminder", "free-shipping", "last-call"}


# 01: an empty id is an absent one.


def test_a_visitor_with_an_empty_user_id_is_a_visitor() -> None:
    found = played(EMPTY)
    assert found.refusals == []
    assert [str(line.price) for line in found.customers["rosa"].cart.lines] == ["34.90"]
    assert found.steps() == ["reminder", "free-shipping", "last-call"]
    assert {mail.customer for mail in found.mails} == {"rosa"}


def test_an_empty_id_is_absent_wherever_it_stands() -> None:
    found = played(EMPTY, file="more.ndjson")
    assert found.refusals == []
    for customer in ("u3", "u5", "u6"):
        assert found.customers[customer].statistics.count == 1
    assert found.visitor("a4").statistics.count == 1
    assert found.visitor("a2").profile.email == "x@example.com"
    assert found.customers["u7"].visitors == []
    assert found.customers["u6"].orders[0].id == "o4"


# 02: consent belongs to the address.


def test_who_says_no_under_one_id_gets_no_marketing_under_another() -> None:
    found = played(UNSUBSCRIBED)
    assert found.refusals == []
    assert [mail for mail in found.mails if mail.time >= "2026-03-03T09:00:00Z"] == []


# 03: an order ends the reminders of its cart and of its address.


def test_an_order_ends_the_series_of_its_cart_under_another_id() -> None:
    found = played(GUEST)
    assert not SERIES & {mail.step for mail in found.mails if mail.email == "rosa@example.com"}
    assert found.steps("4711") == ["w01-confirmation"]


def test_an_order_ends_the_series_of_the_same_address_in_other_letters() -> None:
    found = played(GUEST)
    assert not SERIES & {
        mail.step for mail in found.mails if mail.email.lower() == "nina@example.com"
    }


def test_each_order_is_confirmed_to_its_address() -> None:
    confirmed = {
        mail.email.lower() for mail in played(GUEST).mails if mail.step == "w01-confirmation"
    }
    assert confirmed == {"rosa@example.com", "nina@example.com"}


# 05: the newest statement by its own time wins.


def test_older_news_that_arrive_later_change_nothing() -> None:
    found = played(LATE)
    assert found.customers["rosa"].profile.email == "new@example.com"
    assert {m.email for m in found.mails if m.customer == "rosa"} == {"new@example.com"}


def test_nor_does_history() -> None:
    found = played(LATE)
    assert found.customers["nina"].profile.email == "nina.new@example.com"
    assert {m.email for m in found.mails if m.customer == "nina"} == {"nina.new@example.com"}


def test_nor_does_an_import_of_old_orders(ritorno: Ritorno) -> None:
    done = ritorno(
        "import", str(CASES / LATE / "old-orders.csv"), "--output", "old.ndjson", "--zone", "UTC"
    )
    assert done.code == 0
    imported = Path("old.ndjson").read_bytes().splitlines()
    assert len(imported) == 2  # who it was, and the order
    found = Played([*lines_of(LATE), *imported], frozenset())
    nina = found.customers["nina"]
    assert nina.profile.email == "nina.new@example.com"
    assert found.kept("nina") == 120


# 11, 12: an event is known by its source and its id, for a time.


def test_two_sources_may_count_alike() -> None:
    found = played(TWO_SOURCES)
    assert str(found.kept("rosa")) == "34.90"
    assert found.customers["rosa"].cart.lines == []
    assert not SERIES & set(found.steps())


def test_an_event_that_comes_again_after_many_others_counts_once() -> None:
    rosa = played(REPEATED).customers["rosa"]
    assert [(line.product_id, int(line.quantity)) for line in rosa.cart.lines] == [("p0", 1)]
    assert all(len(interest.times) == 1 for interest in rosa.interests.values())
    assert len(rosa.interests) == 50


# 13: a mail goes to the address of its occasion.


def test_the_confirmation_goes_to_the_address_of_the_order() -> None:
    found = played(MISTYPED)
    assert [(m.email, m.step) for m in found.mails if m.step == "w01-confirmation"] == [
        ("rosa@example.com", "w01-confirmation")
    ]


# 14: null and an empty text take a trait away.


def test_what_is_taken_away_is_gone() -> None:
    found = played(TAKEN_AWAY, "w25-birthday")
    rosa = found.customers["rosa"].profile
    assert (rosa.birthday, rosa.phone, rosa.email) == ("", "", "rosa@example.com")
    assert found.steps() == []


def test_without_taking_it_away_there_is_a_birthday_mail() -> None:
    found = Played(lines_of(TAKEN_AWAY)[:2], frozenset({"w25-birthday"}))
    assert found.steps() != []


# 25: what another mailer has heard counts as ours.


def test_who_leaves_and_complains_in_another_mailer_has_left() -> None:
    found = played(ELSEWHERE)
    rosa = found.customers["rosa"]
    assert found.refusals == []
    assert not rosa.consents["marketing"].given
    assert found.steps() == []


# 31: a form takes nobody's account.


def test_a_sign_up_form_with_another_address_leaves_the_account_as_it_is() -> None:
    found = played(FORM)
    assert found.customers["rosa"].profile.email == "rosa@example.com"
    assert {mail.email for mail in found.mails if mail.step == "w01-confirmation"} == {
        "rosa@example.com"
    }


# 32: an address is asked once a day, and three times in ninety days.


def test_an_address_that_many_forms_name_is_asked_once() -> None:
    found = played(BOMBING, "w34-double-opt-in")
    asked = Counter(mail.email for mail in found.mails)
    assert asked.keys() == {f"victim-{number}@example.com" for number in (1, 2, 3)}
    assert max(asked.values()) <= 3
    for email in asked:
        days = [mail.time[:10] for mail in found.mails if mail.email == email]
        assert len(days) == len(set(days))


# 35: what PHP calls an empty array is an empty object.


def test_an_empty_list_is_an_empty_object() -> None:
    found = played("35-php-empty-array")
    assert found.refusals == []
    assert found.customers["rosa"].views == 1
    assert found.customers["rosa"].visitors == ["a1"]
    assert found.customers["rosa"].cart.step == "started"
    assert not found.customers["rosa"].lists["newsletter"].subscribed


def test_the_inputs_are_json() -> None:
    for path in CASES.glob("*/*.ndjson"):
        assert all(json.loads(line) for line in path.read_bytes().splitlines())
