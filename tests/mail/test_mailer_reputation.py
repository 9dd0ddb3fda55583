"""Marketing is held while the sender's reputation is bad, and a new sender begins slowly."""

from __future__ import annotations

import pytest

from agents.mail.replies import RelayRefused
from agents.mail.reputation import OLD_MS, Reputation, SenderStatistics, WarmUp, pack_statistics
from schemas.instant import parse_instant
from schemas.stored import head
from tests.mail.harness import QueueHarness, bounce_some
from tests.mail.samples import DAY, HOUR, START, feedback, release, resume, send

MINUTE = 60_000


@pytest.mark.parametrize(
    ("good", "bad", "held"), [(189, 10, False), (189, 11, True), (190, 10, False), (0, 198, False)]
)
def test_more_than_five_bounces_in_a_hundred_of_at_least_200_hold_marketing(
    good: int, bad: int, held: bool
) -> None:
    harness = QueueHarness()
    bounce_some(harness, good, bad)
    harness.read(send("m1"), send("t", urgent=True))
    assert harness.send_all(START) == (["t"] if held else ["t", "m1"])
    assert harness.state() == ("held" if held else "sent")
    assert (("m1", "mail.held", "reputation") in harness.told) is held


def test_only_the_last_mails_count() -> None:
    harness = QueueHarness()
    bounce_some(harness, 1_000, 0)
    bounce_some(harness, 0, 13, start=START + 1)  # of the last 250 at most
    assert harness.reputation.held_since


@pytest.mark.parametrize(
    ("mails", "complaints", "held"),
    [(199, 1, False), (200, 1, True), (1_000, 1, False), (1_000, 2, True)],
)
def test_more_than_one_complaint_in_a_thousand_holds_marketing(
    mails: int, complaints: int, held: bool
) -> None:
    harness = QueueHarness()
    bounce_some(harness, mails, 0)
    harness.read(*(feedback(f"e{n}") for n in range(complaints)))
    harness.read(*(feedback(f"e{n}") for n in range(complaints)))  # told twice, counted once
    harness.pass_time(START)
    assert bool(harness.reputation.held_since) is held


def test_bounces_that_come_back_later_count_too() -> None:
    harness = QueueHarness()
    bounce_some(harness, 200, 0)
    harness.read(*(feedback(f"e{n}", "bounced") for n in range(11)))
    assert harness.reputation.held_since


def test_marketing_goes_on_when_the_share_is_half_of_what_was_bad() -> None:
    harness = QueueHarness()
    bounce_some(harness, 188, 12)
    harness.read(send("m1"))
    assert harness.send_all(START) == []
    bounce_some(harness, 100, 0, start=START + MINUTE)
    assert harness.send_all(START + MINUTE) == []  # better, and not good yet
    bounce_some(harness, 100, 0, start=START + 2 * MINUTE)
    assert harness.send_all(START + 2 * MINUTE) == ["m1"]


def test_time_heals_too() -> None:
    harness = QueueHarness()
    bounce_some(harness, 150, 50)
    harness.read(send("m1", expires=START + 10 * DAY))
    assert harness.queue.next_time(START + 3 * DAY) is not None
    assert harness.send_all(START + OLD_MS - 1) == []
    assert harness.send_all(START + OLD_MS) == ["m1"]


def test_a_person_resumes_marketing_and_what_was_is_forgiven() -> None:
    harness = QueueHarness()
    bounce_some(harness, 150, 50)
    harness.read(send("m1"))
    harness.read(resume(workflow="w06"))  # that is about something else
    assert harness.send_all(START) == []
    harness.read(resume(), at=START + 1)
    assert harness.send_all(START + 1) == ["m1"]
    harness.queue = harness.reopened()
    harness.read(send("m2"), at=START + 2)
    assert harness.send_all(START + 2) == ["m2"]


@pytest.mark.parametrize("held_already", [True, False])
def test_a_single_mail_is_released_from_a_bad_reputation(held_already: bool) -> None:
    harness = QueueHarness()
    bounce_some(harness, 150, 50)
    harness.read(send("m1"), send("m2"), at=START + 1)
    if held_already:
        assert harness.send_all(START + 1) == []
    harness.read(release("m1"), at=START + 2)
    assert harness.send_all(START + 2) == ["m1"]


def test_the_verdict_survives_a_restart() -> None:
    harness = QueueHarness()
    bounce_some(harness, 150, 50)
    harness.reputation = Reputation()
    harness.queue = harness.reopened()
    harness.read(send("m1"))
    assert harness.send_all(START) == []


def test_what_an_owner_counts_that_is_none_any_more_is_the_older() -> None:
    late, ours = SenderStatistics(), SenderStatistics()
    late.begin_epoch(2)
    ours.begin_epoch(3)
    before = [pack_statistics(late) for _ in range(100)]
    assert head(pack_statistics(ours)).applied > head(before[-1]).applied


def test_the_partitions_of_a_worker_are_judged_together() -> None:
    reputation, statistics_of_all = Reputation(), [SenderStatistics(), SenderStatistics()]
    for number, statistics in enumerate(statistics_of_all):
        reputation.join(number, statistics)
        for bounce in range(120):
            statistics.note(START, bounced=number == 0 and bounce < 13)
    assert reputation.judge(START)
    assert all(statistics.held_since == START for statistics in statistics_of_all)
    reputation.leave(0)
    reputation.judge(START)
    assert not reputation.held_since


# Warm-up.

ROME = "Europe/Rome"


def warm(partitions: int = 1) -> Reputation:
    return Reputation(partitions=partitions, warm_up=WarmUp(start=10, growth=2, zone=ROME))


def test_a_new_sender_begins_with_few_and_doubles() -> None:
    harness = QueueHarness(warm())
    harness.read(*(send(f"m{n}", expires=START + 10 * DAY) for n in range(100)))
    harness.read(send("t", urgent=True))
    days = [len(harness.send_all(START + day * DAY)) for day in range(5)]
    assert days == [11, 20, 40, 30, 0]  # 10 and the receipt, which no warm-up holds
    held = [told for told in harness.told if told[1] == "mail.held"]
    assert {told[2] for told in held} == {"warm_up"}
    assert len({told[0] for told in held}) == len(held) == 90  # each told once, not once a day


def test_the_day_changes_at_midnight_in_the_shops_zone_and_survives_a_restart() -> None:
    harness = QueueHarness(warm())
    harness.read(*(send(f"m{n}", expires=START + 10 * DAY) for n in range(30)))
    assert len(harness.send_all(START)) == 10
    harness.reputation = warm()
    harness.queue = harness.reopened()
    midnight = parse_instant("2026-03-02T00:00:00+01:00")
    assert harness.send_all(midnight - 1) == []
    assert len(harness.send_all(midnight)) == 20


def test_a_claim_that_is_given_back_costs_nothing_of_the_day() -> None:
    harness = QueueHarness(warm())
    harness.read(*(send(f"m{n}") for n in range(12)))
    for _ in range(15):
        entry = harness.claim()
        harness.do(harness.queue.release(entry.id, START))
    assert len(harness.send_all(START)) == 10


def test_a_second_attempt_is_not_a_second_mail() -> None:
    harness = QueueHarness(warm())
    harness.read(*(send(f"m{n}") for n in range(10)))
    assert len(harness.send_all(START, RelayRefused("rcpt", 451, "later"))) == 10
    assert len(harness.send_all(START + HOUR)) == 10


def test_a_worker_has_its_share_of_the_day() -> None:
    harness = QueueHarness(warm(partitions=4))
    harness.read(*(send(f"m{n}") for n in range(12)))
    assert len(harness.send_all(START)) == 3
