"""Marketing is held while the sender's reputation is bad, and a new sender begins slowly."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from scipy import stats

from agents.mail.replies import RelayRefused
from agents.mail.reputation import (
    OLD_MS,
    Reputation,
    SenderStatistics,
    WarmUp,
    pack_statistics,
    unpack_statistics,
    who,
)
from schemas.instant import parse_instant
from schemas.stored import NEVER, body, head, pack
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


def partition(number: int, mails: int, complaints: int = 0) -> SenderStatistics:
    """A partition that has sent mails, and was told of complaints of as many people."""
    statistics = SenderStatistics()
    for _ in range(mails):
        statistics.note(START)
    for each in range(complaints):
        by = who(f"c{number}-{each}", f"{number}-{each}@example.com")
        statistics.report(f"r{number}-{each}", START, complained=True, by=by)
    return statistics


def is_held(*partitions: SenderStatistics) -> bool:
    reputation = Reputation()
    for number, statistics in enumerate(partitions):
        reputation.join(number, statistics)
    reputation.judge(START)
    return bool(reputation.held_since)


@pytest.mark.parametrize(
    ("mails", "complaints", "held"),
    [(199, 5, False), (200, 4, False), (200, 5, True), (2_000, 4, False), (2_000, 5, True)],
)
def test_complaints_of_five_people_hold_marketing(mails: int, complaints: int, held: bool) -> None:
    assert is_held(partition(0, mails, complaints)) is held


@pytest.mark.parametrize(("complaints", "held"), [(17, False), (23, False), (25, True)])
def test_it_has_to_be_sure_that_the_share_is_above_one_in_a_thousand(
    complaints: int, held: bool
) -> None:
    """Of 16,000 mails in eight partitions 17 complaints are more than that, and may be chance."""
    first = partition(0, 2_000, complaints)
    assert is_held(first, *(partition(number, 2_000) for number in range(1, 8))) is held


def test_it_is_as_sure_as_wilson_is() -> None:
    """The bound by itself, from a library."""
    for mails, complaints in ((250, 5), (2_000, 5), (2_000, 40)):
        reputation = Reputation()
        reputation.join(0, partition(0, mails, complaints))
        low = stats.binomtest(complaints, mails).proportion_ci(method="wilson").low
        assert reputation.shares(START).surely == pytest.approx(low)


def test_what_is_told_twice_counts_once() -> None:
    harness = QueueHarness()
    bounce_some(harness, 250, 0)
    for _ in range(3):
        harness.read(*(feedback(f"e{number}") for number in range(4)))
    harness.pass_time(START)
    assert not harness.reputation.held_since
    harness.read(feedback("e5"))
    harness.pass_time(START)
    assert harness.reputation.held_since


# The attack: as many mails and mailboxes as one likes.


@pytest.mark.parametrize("who_complains", [
    lambda number: {"customer": "mallory", "address": f"hash-{number}"},
    lambda number: {"customer": f"guest-{number}", "address": "hash-of-one"},
], ids=["one customer, many addresses", "many customers, one address"])  # fmt: skip
@pytest.mark.parametrize("verdict", ["complained", "bounced"])
def test_one_person_does_not_stop_the_marketing_of_a_shop(
    who_complains: Callable[[int], dict[str, str]], verdict: str
) -> None:
    harness = QueueHarness()
    bounce_some(harness, 220, 0)
    told = (feedback(f"f{number}", verdict, **who_complains(number)) for number in range(40))
    harness.read(*told, send("m1"))
    assert harness.send_all(START) == ["m1"]


def test_nor_by_a_mail_server_that_refuses_all_that_one_has_ordered() -> None:
    harness = QueueHarness()
    bounce_some(harness, 180, 40, whose=lambda number: ("mallory", f"{number}@attacker.example"))
    harness.read(send("m1"))
    assert harness.send_all(START) == ["m1"]


def test_a_flood_of_feedback_is_no_burden() -> None:
    statistics = partition(0, 10)
    for number in range(1_000):
        by = who(f"c{number}", f"{number}@example.com")
        for kind in (True, False):
            statistics.report(f"{kind}{number}", START, complained=kind, by=by)
    assert len(pack_statistics(statistics)) < 10_000


def test_whose_mails_bounced_long_ago_is_not_kept() -> None:
    statistics = SenderStatistics()
    for number in range(2_000):
        statistics.note(START + number, who(f"c{number}", ""))
    assert len(pack_statistics(statistics)) < 6_000
    reputation = Reputation()
    reputation.join(0, statistics)
    assert reputation.shares(START + 2_000).bounces == 1.0


# What release before has kept, and what it reads.


class CountOfBefore(msgspec.Struct, array_like=True):
    since: int
    mails: int = 0
    bounced: int = 0
    complained: int = 0


class StatisticsOfBefore(msgspec.Struct, array_like=True):
    counts: list[CountOfBefore] = []
    held_since: int = 0
    day: int = 0
    begun: int = 0
    first_day: int = 0
    reports: list[str] = []
    revision: int = 0


@pytest.mark.parametrize(
    ("bounced", "complained", "held"),
    [(10, 4, False), (11, 0, True), (0, 5, True)],
)
def test_numbers_of_before_are_of_so_many_people(bounced: int, complained: int, held: bool) -> None:
    before = StatisticsOfBefore([CountOfBefore(START, 200, bounced, complained)])
    assert is_held(unpack_statistics(pack(1, NEVER, msgspec.msgpack.encode(before)))) is held


def test_a_worker_of_before_reads_the_numbers() -> None:
    statistics = partition(0, 60, 3)
    statistics.note(START, who("anna", "anna@example.com"))
    read = msgspec.msgpack.decode(body(pack_statistics(statistics)), type=StatisticsOfBefore)
    numbers = [(each.mails, each.bounced, each.complained) for each in read.counts]
    assert numbers == [(50, 0, 0), (11, 1, 3)]


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
            bad = number == 0 and bounce < 13
            statistics.note(START, who(f"c{bounce}", "") if bad else b"")
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
