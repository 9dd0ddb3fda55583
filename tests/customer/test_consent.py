"""R04: consent with its evidence, and double opt-in."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.customer.consent import EVIDENCE_KEPT, EVIDENCE_TEXT, LISTS_KEPT
from tests.harness import FILES, HOUR, MINUTE, Harness, changed

ASKS = changed(
    "w11-welcome",
    id="asks",
    trigger="list.pending",
    exit_on=["list.joined"],
    steps=[{"id": "asks", "wait": "1d", "send": "welcome-thanks", "kind": "informative"}],
)


class Asking(Harness):
    """A shop that asks for double opt-in: a workflow waits for `list.pending`."""

    def __init__(self) -> None:
        super().__init__(FILES | {"asks": ASKS})


def kept(harness: Harness) -> list[tuple[str, bool, str, str, str]]:
    return [(e.purpose, e.given, e.source, e.wording, e.mail) for e in harness.customer().evidence]


@pytest.mark.row("R04")
def test_every_statement_is_kept_with_what_proves_it() -> None:
    harness = Harness()
    proof = {"wording": "checkout-3", "mail": "m1", "ip": "192.0.2.1"}
    harness.tell("consent.given", purpose="marketing", source="checkout", **proof)
    harness.tell("consent.given", purpose="tracking", source="preferences_page")
    harness.at(HOUR).tell("consent.withdrawn", purpose="tracking")
    harness.tell("list.subscribed", list="sales", source="popup")
    harness.tell("mail.unsubscribed", command_id="m9", reason="one_click", wording="it-1")
    assert kept(harness) == [
        ("marketing", True, "checkout", "checkout-3", "m1"),
        ("tracking", True, "preferences_page", "", ""),
        ("tracking", False, "/shop", "", ""),
        ("list", True, "popup", "", ""),
        ("marketing", False, "unsubscribed, one_click", "it-1", "m9"),
    ]
    first, *_ = harness.customer().evidence
    assert (first.ip, first.event_id, first.time) == (
        "192.0.2.1",
        "e1",
        harness.records[0].timestamp,
    )


def test_what_comes_too_late_to_count_is_evidence_all_the_same() -> None:
    harness = Harness().at(HOUR).tell("consent.withdrawn", purpose="marketing")
    harness.tell("consent.given", purpose="marketing", happened=60)
    assert not harness.customer().consented("marketing")
    assert [(e.given, e.event_id) for e in harness.customer().evidence] == [
        (False, "e1"), (True, "e2"),
    ]  # fmt: skip


def test_evidence_is_bounded_per_purpose() -> None:
    harness = Harness().tell("consent.given", purpose="profiling", id_="first")
    for n in range(EVIDENCE_KEPT + 5):
        harness.tell("consent.given", purpose="tracking", id_=f"t{n}", source="x" * 900)
    evidence = harness.customer().evidence
    assert [e.event_id for e in evidence[:2]] == ["first", "t5"]
    assert len(evidence) == EVIDENCE_KEPT + 1
    assert len(evidence[-1].source) == EVIDENCE_TEXT


def test_a_visitors_statements_become_the_customers() -> None:
    harness = Harness().tell("consent.given", "v", purpose="marketing", wording="w1")
    harness.at(HOUR).tell("consent.withdrawn", purpose="marketing")
    harness.tell("customer.identified", anonymous_id="v")
    assert [(e.given, e.wording) for e in harness.customer().evidence] == [
        (True, "w1"),
        (False, ""),
    ]
    assert not harness.customer().consented("marketing")


def test_a_confirmed_subscription_proves_both_the_list_and_the_consent() -> None:
    harness = Harness().tell("list.subscribed", confirmed=True, source="double_opt_in", mail="m1")
    assert [(e.purpose, e.list, e.mail) for e in harness.customer().evidence] == [
        ("list", "newsletter", "m1"), ("marketing", "newsletter", "m1"),
    ]  # fmt: skip


def signed_up(harness: Harness, **data: Any) -> Harness:
    return harness.tell("list.subscribed", email="anna@example.com", **data)


@pytest.mark.row("R04")
def test_a_pending_subscription_joins_nothing_until_it_is_confirmed() -> None:
    harness = signed_up(Asking()).tell("consent.given", purpose="marketing")
    customer = harness.customer()
    assert customer.lists["newsletter"].pending
    assert not customer.consented("marketing")
    assert [said.decision for said in harness.said("asks")] == ["entered"]
    assert harness.said("w11") == []

    harness.at(HOUR).tell("list.subscribed", confirmed=True, source="double_opt_in")
    customer = harness.customer()
    assert (customer.lists["newsletter"].pending, customer.lists["newsletter"].joined) == (
        False, True,
    )  # fmt: skip
    assert customer.consented("marketing")


def test_without_a_workflow_that_asks_nothing_is_pending() -> None:
    harness = signed_up(Harness())
    assert not harness.customer().lists["newsletter"].pending
    assert harness.tell("consent.given", purpose="marketing").customer().consented("marketing")


def test_a_confirmed_or_consenting_customer_is_not_asked_again() -> None:
    harness = Asking().subscribed()
    assert not signed_up(harness).customer().lists["newsletter"].pending
    assert not signed_up(Asking(), confirmed=True).customer().lists["newsletter"].pending


def test_one_confirmed_list_is_enough_for_marketing_and_the_other_still_waits() -> None:
    harness = signed_up(signed_up(Asking(), list="a"), list="b")
    harness.tell("list.subscribed", list="a", confirmed=True)
    customer = harness.customer()
    assert customer.consented("marketing")
    assert {name: each.joined for name, each in customer.lists.items()} == {"a": True, "b": False}


def test_leaving_a_pending_list_ends_the_wait() -> None:
    harness = signed_up(Asking()).tell("list.unsubscribed")
    assert not harness.customer().lists["newsletter"].pending
    assert harness.customer().confirmed()


def test_signing_up_again_asks_again() -> None:
    harness = signed_up(signed_up(Asking()).at(HOUR))
    assert harness.customer().lists["newsletter"].time == harness.now
    assert harness.customer().lists["newsletter"].pending


@pytest.mark.parametrize("wanted", ["less", "normal"])
def test_the_wanted_frequency_is_kept(wanted: str) -> None:
    harness = Harness().tell("customer.updated", mail_frequency=wanted)
    assert harness.customer().profile.mail_frequency == wanted
    harness.tell("customer.updated", first_name="Anna")
    assert harness.customer().profile.mail_frequency == wanted


def test_nobody_invents_a_frequency() -> None:
    harness = Harness().tell("customer.updated", mail_frequency="never")
    assert harness.refusals == []
    assert harness.customer().profile.mail_frequency == ""


def test_a_strangers_subscription_takes_the_room_of_no_list() -> None:
    harness = Harness().tell("customer.updated", named=True, email="anna@example.com")
    for number in range(LISTS_KEPT):
        harness.at(number * MINUTE).tell("list.subscribed", list=f"l{number}")
    harness.at(HOUR).tell("list.subscribed", list="another", email="somebody-else@example.net")
    assert len(harness.customer().lists) == LISTS_KEPT
    assert list(harness.customer().list_addresses) == ["another"]
    harness.tell("list.subscribed", list="another")
    assert len(harness.customer().lists) == LISTS_KEPT
    assert "another" in harness.customer().lists
    assert "l0" not in harness.customer().lists, "it has waited longest"
