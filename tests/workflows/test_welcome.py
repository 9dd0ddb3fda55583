"""W11: who joins a list is welcomed, as soon as subscription and consent are both there."""

from __future__ import annotations

import pytest

from tests.harness import DAY, HOUR, Harness

W11 = [(0, "thanks"), (2 * DAY, "tips"), (5 * DAY, "first-purchase")]


def steps(harness: Harness, since: float = 0) -> list[tuple[float, str]]:
    return [(mail.at - since, mail.step) for mail in harness.mails]


def confirmed(harness: Harness, **data: object) -> Harness:
    return harness.tell("list.subscribed", email="a@example.com", confirmed=True, **data)


def test_a_confirmed_subscription_is_consent_and_starts_the_series() -> None:
    harness = confirmed(Harness()).at(10 * DAY)
    assert steps(harness) == W11
    consent = harness.customer().consents["marketing"]
    assert (consent.given, consent.event_id) == (True, "e1")
    assert [said.decision for said in harness.said()] == ["entered", "sent", "sent", "acted",
                                                          "sent", "completed"]  # fmt: skip


@pytest.mark.parametrize("consent_first", [False, True])
def test_it_starts_when_the_later_of_both_comes(consent_first: bool) -> None:
    both = [("list.subscribed", {"email": "a@example.com"}),
            ("consent.given", {"purpose": "marketing"})]  # fmt: skip
    first, second = reversed(both) if consent_first else both
    harness = Harness().tell(first[0], **first[1]).at(3 * HOUR)
    assert harness.mails == []
    harness.tell(second[0], **second[1]).at(10 * DAY)
    assert steps(harness, since=3 * HOUR) == W11


def test_consent_reported_late_counts_from_the_subscription() -> None:
    harness = Harness().at(HOUR).tell("list.subscribed", email="a@example.com").at(2 * HOUR)
    harness.tell("consent.given", purpose="marketing", happened=60).at(10 * DAY)
    assert steps(harness)[1:] == [(HOUR + at, step) for at, step in W11[1:]]


def test_without_consent_nothing_starts() -> None:
    harness = Harness().tell("list.subscribed", email="a@example.com").at(10 * DAY)
    assert harness.mails == []
    assert harness.customer().lists["newsletter"].subscribed


def test_the_code_is_the_customers_own_and_goes_with_the_last_mail_only() -> None:
    harness = confirmed(Harness()).at(10 * DAY)
    (code,) = harness.customer().coupons
    mails = [mail.variables["coupon"] for mail in harness.commands]
    assert [mail and mail["code"] for mail in mails] == [None, None, code.code]  # type: ignore[index, call-overload]  # JSON
    assert code.campaign == "welcome"


def test_a_purchase_ends_it() -> None:
    harness = confirmed(Harness()).at(DAY).order().at(30 * DAY)
    assert [m.step for m in harness.mails if m.step in dict(W11).values() or m.step == "tips"] == [
        "thanks"
    ]
    assert (DAY, "", "exited", "order.completed") in harness.said("w11")


def test_who_has_ordered_before_is_not_asked_for_a_first_purchase() -> None:
    harness = Harness().order(backfill=True)
    confirmed(harness).at(10 * DAY)
    assert [mail.step for mail in harness.mails] == ["thanks", "tips"]
    assert (5 * DAY, "first-purchase", "skipped", "condition") in harness.said("w11")
    assert harness.customer().coupons == []


def test_leaving_the_list_ends_it_and_coming_back_does_not_begin_again() -> None:
    harness = confirmed(Harness()).at(DAY).tell("list.unsubscribed").at(2 * DAY)
    assert (DAY, "", "exited", "list.left") in harness.said("w11")
    assert not harness.customer().consented("marketing")
    confirmed(harness).at(30 * DAY)
    assert [mail.step for mail in harness.mails] == ["thanks"]
    assert harness.said("w11")[-1][2:] == ("not_entered", "already_entered")


def test_another_list_is_another_conversation_and_leaving_it_ends_only_that() -> None:
    harness = confirmed(confirmed(Harness()), list="sales").at(HOUR)
    assert [mail.step for mail in harness.mails] == ["thanks", "thanks"]
    harness.tell("list.unsubscribed", list="sales").at(10 * DAY)
    assert [mail.step for mail in harness.mails] == ["thanks", "thanks", "tips", "first-purchase"]


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("consent.withdrawn", {"purpose": "marketing"}),
        ("mail.unsubscribed", {"command_id": "x"}),
        ("mail.complained", {}),
        ("mail.bounced", {"code": 550, "kind": "hard", "reason": "unknown"}),
    ],
)
def test_an_objection_or_a_dead_address_acts_at_once(type_: str, data: dict[str, object]) -> None:
    harness = confirmed(Harness()).at(HOUR).tell(type_, **data)
    reason = "address.bounced" if type_ == "mail.bounced" else "consent.withdrawn"
    assert harness.said()[-1] == (HOUR, "", "exited", reason)
    assert harness.cancels == [(harness.commands[0].id, "anna", reason)]
    harness.at(10 * DAY)
    assert [mail.step for mail in harness.mails] == ["thanks"]


def test_a_soft_bounce_says_nothing_of_the_address() -> None:
    harness = confirmed(Harness()).tell("mail.bounced", code=552, kind="soft", reason="full")
    assert harness.at(10 * DAY).customer().suppressed == ""
    assert steps(harness) == W11


def test_a_new_address_is_not_suppressed() -> None:
    harness = Harness().subscribed().tell("mail.bounced", code=550, kind="hard", reason="unknown")
    harness.order()
    assert harness.said("w05")[-1][1:] == ("w01-confirmation", "skipped", "suppressed")
    harness.at(1).tell("customer.updated", email="new@example.com").order("o2")
    assert [mail.step for mail in harness.mails] == ["w01-confirmation"]


def test_an_older_word_on_consent_does_not_overrule_a_newer_one() -> None:
    harness = Harness().at(HOUR).tell("consent.withdrawn", purpose="marketing")
    harness.tell("consent.given", purpose="marketing", happened=60)
    assert not harness.customer().consented("marketing")
    harness.tell("mail.complained", happened=30)
    assert harness.customer().consents["marketing"].event_id == "e1"


def test_history_builds_state_and_mails_nobody() -> None:
    harness = Harness()
    confirmed(harness, backfill=True)
    harness.add(backfill=True).order(backfill=True).add("tazza", backfill=True).at(60 * DAY)
    assert harness.mails == []
    assert harness.said() == []
    customer = harness.customer()
    assert (customer.statistics.count, len(customer.cart.lines)) == (1, 1)
    assert customer.consented("marketing")
