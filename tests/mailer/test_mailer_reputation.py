"""Marketing is held while the sender's reputation is bad, and a new sender begins slowly."""

from __future__ import annotations

import pytest

from agents.mail.replies import RelayRefused
from agents.mail.reputation import OLD_MS, Reputation, SenderStatistics, WarmUp, pack_standing
from schemas.instant import parse_instant
from schemas.stored import head
from tests.mailer.bench import Bench, bounce_some
from tests.mailer.samples import DAY, HOUR, START, feedback, release, resume, send

MINUTE = 60_000


@pytest.mark.parametrize(
    ("good", "bad", "held"), [(189, 10, False), (189, 11, True), (190, 10, False), (0, 198, False)]
)
def test_more_than_five_bounces_in_a_hundred_of_at_least_200_hold_marketing(
    good: int, bad: int, held: bool
) -> None:
    bench = Bench()
    bounce_some(bench, good, bad)
    bench.read(send("m1"), send("t", urgent=True))
    assert bench.send_all(START) == (["t"] if held else ["t", "m1"])
    assert bench.state() == ("held" if held else "sent")
    assert (("m1", "mail.held", "reputation") in bench.told) is held


def test_only_the_last_mails_count() -> None:
    bench = Bench()
    bounce_some(bench, 1_000, 0)
    bounce_some(bench, 0, 13, start=START + 1)  # of the last 250 at most
    assert bench.reputation.held_since


@pytest.mark.parametrize(
    ("mails", "complaints", "held"),
    [(199, 1, False), (200, 1, True), (1_000, 1, False), (1_000, 2, True)],
)
def test_more_than_one_complaint_in_a_thousand_holds_marketing(
    mails: int, complaints: int, held: bool
) -> None:
    bench = Bench()
    bounce_some(bench, mails, 0)
    bench.read(*(feedback(f"e{n}") for n in range(complaints)))
    bench.read(*(feedback(f"e{n}") for n in range(complaints)))  # told twice, counted once
    bench.pass_time(START)
    assert bool(bench.reputation.held_since) is held


def test_bounces_that_come_back_later_count_too() -> None:
    bench = Bench()
    bounce_some(bench, 200, 0)
    bench.read(*(feedback(f"e{n}", "bounced") for n in range(11)))
    assert bench.reputation.held_since


def test_marketing_goes_on_when_the_share_is_half_of_what_was_bad() -> None:
    bench = Bench()
    bounce_some(bench, 188, 12)
    bench.read(send("m1"))
    assert bench.send_all(START) == []
    bounce_some(bench, 100, 0, start=START + MINUTE)
    assert bench.send_all(START + MINUTE) == []  # better, and not good yet
    bounce_some(bench, 100, 0, start=START + 2 * MINUTE)
    assert bench.send_all(START + 2 * MINUTE) == ["m1"]


def test_time_heals_too() -> None:
    bench = Bench()
    bounce_some(bench, 150, 50)
    bench.read(send("m1", expires=START + 10 * DAY))
    assert bench.queue.next_time(START + 3 * DAY) is not None
    assert bench.send_all(START + OLD_MS - 1) == []
    assert bench.send_all(START + OLD_MS) == ["m1"]


def test_a_person_resumes_marketing_and_what_was_is_forgiven() -> None:
    bench = Bench()
    bounce_some(bench, 150, 50)
    bench.read(send("m1"))
    bench.read(resume(workflow="w06"))  # that is about something else
    assert bench.send_all(START) == []
    bench.read(resume(), at=START + 1)
    assert bench.send_all(START + 1) == ["m1"]
    bench.queue = bench.reopened()
    bench.read(send("m2"), at=START + 2)
    assert bench.send_all(START + 2) == ["m2"]


@pytest.mark.parametrize("held_already", [True, False])
def test_a_single_mail_is_released_from_a_bad_reputation(held_already: bool) -> None:
    bench = Bench()
    bounce_some(bench, 150, 50)
    bench.read(send("m1"), send("m2"), at=START + 1)
    if held_already:
        assert bench.send_all(START + 1) == []
    bench.read(release("m1"), at=START + 2)
    assert bench.send_all(START + 2) == ["m1"]


def test_the_verdict_survives_a_restart() -> None:
    bench = Bench()
    bounce_some(bench, 150, 50)
    bench.reputation = Reputation()
    bench.queue = bench.reopened()
    bench.read(send("m1"))
    assert bench.send_all(START) == []


def test_what_an_owner_counts_that_is_none_any_more_is_the_older() -> None:
    late, ours = SenderStatistics(), SenderStatistics()
    late.begin_term(2)
    ours.begin_term(3)
    before = [pack_standing(late) for _ in range(100)]
    assert head(pack_standing(ours)).applied > head(before[-1]).applied


def test_the_partitions_of_a_worker_are_judged_together() -> None:
    reputation, standings = Reputation(), [SenderStatistics(), SenderStatistics()]
    for number, standing in enumerate(standings):
        reputation.join(number, standing)
        for bounce in range(120):
            standing.note(START, bounced=number == 0 and bounce < 13)
    assert reputation.judge(START)
    assert all(standing.held_since == START for standing in standings)
    reputation.leave(0)
    reputation.judge(START)
    assert not reputation.held_since


# Warm-up.

ROME = "Europe/Rome"


def warm(partitions: int = 1) -> Reputation:
    return Reputation(partitions=partitions, warm_up=WarmUp(start=10, growth=2, zone=ROME))


def test_a_new_sender_begins_with_few_and_doubles() -> None:
    bench = Bench(warm())
    bench.read(*(send(f"m{n}", expires=START + 10 * DAY) for n in range(100)))
    bench.read(send("t", urgent=True))
    days = [len(bench.send_all(START + day * DAY)) for day in range(5)]
    assert days == [11, 20, 40, 30, 0]  # 10 and the receipt, which no warm-up holds
    held = [told for told in bench.told if told[1] == "mail.held"]
    assert {told[2] for told in held} == {"warm_up"}
    assert len({told[0] for told in held}) == len(held) == 90  # each told once, not once a day


def test_the_day_changes_at_midnight_in_the_shops_zone_and_survives_a_restart() -> None:
    bench = Bench(warm())
    bench.read(*(send(f"m{n}", expires=START + 10 * DAY) for n in range(30)))
    assert len(bench.send_all(START)) == 10
    bench.reputation = warm()
    bench.queue = bench.reopened()
    midnight = parse_instant("2026-03-02T00:00:00+01:00")
    assert bench.send_all(midnight - 1) == []
    assert len(bench.send_all(midnight)) == 20


def test_a_claim_that_is_given_back_costs_nothing_of_the_day() -> None:
    bench = Bench(warm())
    bench.read(*(send(f"m{n}") for n in range(12)))
    for _ in range(15):
        entry = bench.claim()
        bench.do(bench.queue.release(entry.id, START))
    assert len(bench.send_all(START)) == 10


def test_a_second_attempt_is_not_a_second_mail() -> None:
    bench = Bench(warm())
    bench.read(*(send(f"m{n}") for n in range(10)))
    assert len(bench.send_all(START, RelayRefused("rcpt", 451, "later"))) == 10
    assert len(bench.send_all(START + HOUR)) == 10


def test_a_worker_has_its_share_of_the_day() -> None:
    bench = Bench(warm(partitions=4))
    bench.read(*(send(f"m{n}") for n in range(12)))
    assert len(bench.send_all(START)) == 3
