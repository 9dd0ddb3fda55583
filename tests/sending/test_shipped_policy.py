"""The shipped policy with the shipped workflows, through the actors: who gets what, and when."""

from __future__ import annotations

import json

import pytest

from agents.partition.batch import BatchChanges, BatchCounts
from schemas.decisions import Decision
from schemas.definitions import DEFINITION, canonical
from schemas.instant import parse_instant
from schemas.stored import Progress
from streams.operate.metrics import Metrics
from tests.harness import DAY, HOUR, MINUTE, SHIPPED, START, Harness

TEN = 23 * HOUR
"""10:00 in Rome on the day after START."""
NIGHT = 11 * HOUR
"""22:00 in Rome."""


def harness(**policy: object) -> Harness:
    """The shop as it is shipped, with other settings in its policy."""
    changed = json.loads(SHIPPED["policy"]) | policy
    return Harness(
        SHIPPED | {"policy": canonical(DEFINITION.validate_python(changed))}
    ).subscribed()


def steps(told: Harness) -> list[tuple[float, str]]:
    return [(mail.at, mail.step) for mail in told.mails]


def test_a_cart_by_day_keeps_its_hours() -> None:
    told = harness().at(TEN).add().at(TEN + 10 * DAY)
    assert steps(told) == [
        (TEN + HOUR, "reminder"), (TEN + DAY, "free-shipping"), (TEN + 3 * DAY, "last-call")
    ]  # fmt: skip


def test_a_welcome_by_day_keeps_its_days() -> None:
    told = harness().at(TEN).tell("list.subscribed", list="news", confirmed=True).at(TEN + 10 * DAY)
    assert steps(told) == [
        (TEN, "thanks"), (TEN + 2 * DAY, "tips"), (TEN + 5 * DAY, "first-purchase")
    ]  # fmt: skip


def test_a_purchase_by_day_keeps_its_days() -> None:
    told = harness().at(TEN).order().at(TEN + DAY).tell("order.delivered", order_id="o1")
    assert steps(told.at(TEN + 20 * DAY)) == [
        (TEN, "w01-confirmation"), (TEN + 3 * DAY, "w03-product-guide"),
        (TEN + 6 * DAY, "w04-review-request"),
    ]  # fmt: skip


def test_a_cart_at_any_hour_is_reminded_of_in_time() -> None:
    """However the night lies, also the longest one, the reminder doesn't expire in it."""
    for start in (0, 24 * DAY, 237 * DAY):  # from 2 March; summer time begins and ends
        for hour in range(0, 26 * 60, 20):
            told = harness().at(start + hour * MINUTE).add().at(start + hour * MINUTE + 16 * HOUR)
            assert [step for _, step in steps(told)] == ["reminder"]


@pytest.mark.row("R03")
def test_at_night_only_the_confirmation_goes() -> None:
    told = harness().at(NIGHT).order().tell("list.subscribed", list="news", confirmed=True)
    told.at(2 * DAY)
    assert steps(told) == [(NIGHT, "w01-confirmation"), (22 * HOUR, "thanks")]
    assert [each for each in told.said("w11") if each.decision == "held"] == [
        (NIGHT, "thanks", "held", "quiet_hours")
    ]
    held = next(c for c in told.commands if c.step == "thanks")
    assert held.quiet is not None
    assert (held.quiet.begins, held.quiet.ends, held.kind) == ("21:00", "09:00", "informative")
    assert told.commands[0].quiet is None


def test_the_cart_that_is_bought_at_night_is_not_asked_for_in_the_morning() -> None:
    told = harness().at(NIGHT).add().at(NIGHT + 2 * HOUR).order().at(NIGHT + DAY)
    assert steps(told) == [(NIGHT + 2 * HOUR, "w01-confirmation")]


@pytest.mark.row("R03")
def test_who_moves_to_another_zone_is_asked_anew() -> None:
    """22:00 in Rome is the afternoon in New York: what was held goes at once."""
    told = harness().at(NIGHT).tell("list.subscribed", list="news", confirmed=True).at(NIGHT + HOUR)
    told.tell("customer.updated", zone="America/New_York")
    assert steps(told) == [(NIGHT + HOUR, "thanks")]


def test_a_mail_that_expired_at_the_mailer_frees_its_place() -> None:
    told = harness().at(TEN).tell("list.subscribed", list="news", confirmed=True)
    told.add().at(TEN + 2 * HOUR)
    assert steps(told) == [(TEN, "thanks")]
    told.tell("mail.skipped", command_id=told.commands[0].id, reason="expired").at(TEN + 3 * HOUR)
    assert steps(told)[1:] == [(TEN + 2 * HOUR, "reminder")]


def test_who_does_something_is_not_tired_of_us() -> None:
    tired = {"ignored": 1, "caps": [{"at_most": 1, "per": "6d"}]}
    told = harness(fatigue=tired).at(TEN).add().at(TEN + 26 * HOUR)
    assert steps(told) == [(TEN + HOUR, "reminder")]
    assert told.said("w06")[-1].reason == "fatigue"
    told.tell("page.viewed", url="https://shop.example/").at(TEN + 27 * HOUR)
    assert steps(told)[1:] == [(TEN + 26 * HOUR, "free-shipping")]
    assert told.customer().ignored == 1


def test_an_event_a_day_late_moves_no_mail_into_the_night() -> None:
    told = harness().at(NIGHT + DAY).add(happened=NIGHT - HOUR).at(NIGHT + 4 * DAY)
    assert [(at - NIGHT) % DAY >= 11 * HOUR for at, _ in steps(told)] == [True] * len(told.mails)
    assert len(told.mails) >= 2


def test_soft_opt_in_is_a_basis_only_where_the_shop_allows_it() -> None:
    def bought(allowed: bool) -> Harness:
        data = json.loads(SHIPPED["w05-post-purchase"])
        for step in data["steps"][1:]:
            step["basis"] = "soft_opt_in"
        policy = json.loads(SHIPPED["policy"]) | {"soft_opt_in": allowed}
        files = {"w05-post-purchase": data, "policy": policy}
        told = Harness(SHIPPED | {name: canonical(DEFINITION.validate_python(each))
                                  for name, each in files.items()})  # fmt: skip
        told.tell("customer.updated", email="anna@example.com")
        return told.at(TEN).order().at(TEN + 14 * DAY)

    assert [c.legal_basis for c in bought(True).commands] == [
        "contract", "soft_opt_in", "soft_opt_in"
    ]  # fmt: skip
    assert [c.legal_basis for c in bought(False).commands] == ["contract"]


def test_the_clock_of_these_tests() -> None:
    assert parse_instant("2026-03-03T10:00:00+01:00") == START + TEN * 1000


def test_what_was_held_says_since_when() -> None:
    told = harness().at(NIGHT).tell("list.subscribed", list="news", confirmed=True).at(DAY)
    decided = [e.content for e in told.effects if isinstance(e.content, Decision)]
    sent = next(each for each in decided if each.decision == "sent")
    assert sent.held_since == START + NIGHT * 1000
    metrics = Metrics()
    changes = BatchChanges(told.effects, [], Progress(), BatchCounts())
    metrics.committed(0, changes)
    read = metrics.registry.get_sample_value
    assert read("ritorno_mail_hold_seconds_sum", {"result": "sent"}) == 11 * HOUR
    assert read("ritorno_mail_hold_seconds_count", {"result": "skipped"}) == 0
    assert read("ritorno_decisions_total", {"kind": "held", "reason": "quiet_hours"}) == 1
    assert read("ritorno_decisions_total", {"kind": "held", "reason": "mix"}) == 0
