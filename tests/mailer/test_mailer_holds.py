"""Mails that are due and may not go: paused, a bad reputation, a warm-up, quiet hours."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from agents.mailer.pauses import Pauses, classes_of
from agents.mailer.replies import Accepted, Refused
from agents.mailer.reputation import OLD_MS, Reputation, Standing, WarmUp
from agents.windows import day_of, next_day, quiet_until
from schemas.commands import PausedClass, QuietHours
from schemas.instant import parse_instant, to_rfc3339
from tests.mailer.bench import Bench
from tests.mailer.samples import DAY, HOUR, START, cancel, feedback, pause, release, resume, send

OK = Accepted(250, "ok")
NO = Refused("rcpt", 550, "5.1.1 no")
MINUTE = 60_000


def four(bench: Bench) -> Bench:
    """Queue a mail of each class, the series' from another workflow."""
    bench.read(
        send("t", urgent=True),
        send("a", workflow="w06"),
        send("b", workflow="w06", bulk=True),
        send("x", workflow="w11"),
    )
    return bench


@pytest.mark.parametrize(
    ("scope", "going"),
    [
        ({}, set()),
        ({"class": "transactional"}, {"a", "b", "x"}),
        ({"class": "marketing"}, {"t"}),
        ({"class": "automated"}, {"t", "b"}),
        ({"class": "bulk"}, {"t", "a", "x"}),
        ({"class": "notify"}, {"t", "a", "b", "x"}),
        ({"workflow": "w06"}, {"t", "x"}),
        ({"class": "bulk", "workflow": "w06"}, {"t", "a", "x"}),
        ({"class": "bulk", "workflow": "w11"}, {"t", "a", "b", "x"}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_pause_holds_its_scope_and_nothing_else(
    scope: dict[str, str], going: set[str], first: bool
) -> None:
    bench = Bench()
    if first:
        bench.read(pause(**scope))
        four(bench)
    else:
        four(bench).read(pause(**scope))
    assert set(bench.send_all(START)) == going
    held = {"t", "a", "b", "x"} - going
    assert {id_ for id_ in "tabx" if bench.state(id_) == "held"} == held
    assert bench.queue.held.get("paused", 0) == len(held)
    assert {told[0] for told in bench.told if told[1:] == ("mail.held", "paused")} == held


@pytest.mark.parametrize(
    ("paused", "resumed", "goes"),
    [
        ({}, {}, True),
        ({"class": "marketing"}, {}, True),
        ({"class": "marketing"}, {"class": "marketing"}, True),
        ({"class": "automated"}, {"class": "marketing"}, True),
        ({"class": "marketing"}, {"class": "automated"}, False),
        ({"class": "marketing"}, {"class": "transactional"}, False),
        ({"workflow": "w06"}, {"workflow": "w06"}, True),
        ({"workflow": "w06"}, {"workflow": "w11"}, False),
        ({"workflow": "w06"}, {}, True),
        ({}, {"workflow": "w06"}, False),
    ],
)
def test_a_resume_ends_the_pauses_within_its_scope(
    paused: dict[str, str], resumed: dict[str, str], goes: bool
) -> None:
    bench = Bench()
    bench.read(send("m1", workflow="w06"), pause(**paused))
    assert bench.send_all(START) == []
    bench.read(resume(**resumed))
    assert bool(bench.send_all(START)) is goes
    assert bench.queue.held.get("paused", 0) == (not goes)


def test_pauses_and_held_mails_survive_a_restart() -> None:
    bench = Bench()
    four(bench).read(pause(**{"class": "marketing", "reason": "wrong prices"}))
    bench.queue = bench.reopened()
    assert bench.send_all(START) == ["t"]
    assert bench.queue.held["paused"] == 3
    told = len(bench.told)
    bench.queue = bench.reopened()
    bench.pass_time(START)
    assert len(bench.told) == told  # a hold is told once
    bench.read(resume())
    bench.queue = bench.reopened()
    assert sorted(bench.send_all(START)) == ["a", "b", "x"]


def test_one_held_mail_is_released_and_the_others_stay() -> None:
    bench = Bench()
    four(bench).read(pause(), at=START)
    bench.read(release("a"), at=START + 1)
    assert bench.send_all(START + 1) == ["a"]
    assert bench.queue.held["paused"] == 3


def test_all_that_is_held_is_released_and_what_comes_later_is_not() -> None:
    bench = Bench()
    four(bench).read(pause(), at=START)
    bench.read(release(), at=START + 1)
    bench.read(send("later", time=START + 2), at=START + 2)
    bench.queue = bench.reopened()
    assert sorted(bench.send_all(START + 2)) == ["a", "b", "t", "x"]
    assert bench.state("later") == "held"


def test_a_pause_after_the_release_is_the_last_word() -> None:
    bench = Bench()
    bench.read(send("m1"), pause(), at=START)
    bench.read(release("m1"), at=START + 1)
    bench.read(pause(), at=START + 2)
    assert bench.send_all(START + 2) == []
    assert bench.state() == "held"


def test_a_release_of_what_is_not_held_changes_nothing() -> None:
    bench = Bench()
    bench.read(release("nobody"), send("m1"), release("m1"))
    assert bench.send_all(START) == ["m1"]
    bench.read(release("m1"))
    assert bench.state() == "sent"


def test_a_held_mail_can_be_cancelled_and_expires() -> None:
    bench = Bench()
    bench.read(pause(), send("m1"), send("m2"), cancel("m1"))
    bench.pass_time(START + DAY)
    assert bench.told[-2:] == [
        ("m1", "mail.skipped", "cancelled"),
        ("m2", "mail.skipped", "expired"),
    ]
    assert not any(bench.queue.held.values())


def test_a_deferred_mail_is_held_only_when_it_is_due() -> None:
    bench = Bench()
    bench.read(send("t", urgent=True))
    bench.claim()
    bench.settle(Refused("rcpt", 451, "later"), id_="t")
    bench.read(pause())
    assert bench.state("t") == "deferred"
    bench.pass_time(START + 30_000)
    assert bench.send_all(START + 30_000) == []
    assert bench.state("t") == "held"
    bench.read(resume(), at=START + MINUTE)
    assert bench.send_all(START + MINUTE) == ["t"]
    entry = bench.queue.get("t")
    assert entry is not None
    assert entry.attempt == 2


def test_a_mail_picked_before_the_pause_is_not_claimed_after_it() -> None:
    bench = Bench()
    bench.read(send("m1"))
    entry = bench.pick(START)
    assert entry is not None
    bench.read(pause())
    assert bench.queue.claim("m1", START) is None
    bench.pass_time(START)
    assert bench.state() == "held"


def test_a_campaign_is_held_in_portions_and_receipts_go_on_meanwhile() -> None:
    bench = Bench()
    bench.read(*(send(f"m{n}") for n in range(1_800)))
    bench.do(bench.queue.receive([_control(bench, pause(**{"class": "marketing"}))]))
    bench.do(bench.queue.housekeep(START))
    assert bench.queue.held["paused"] == 500
    bench.do(bench.queue.receive([_control(bench, send("t", urgent=True))]))
    assert bench.claim(START).id == "t"
    bench.pass_time(START)
    assert bench.queue.held["paused"] == 1_800


def _control(bench: Bench, command: Any) -> Any:
    from tests.mailer.samples import record  # noqa: PLC0415  # beside its only use

    bench.offset += 1
    return record(command, bench.offset - 1)


def test_words_for_classes() -> None:
    words: list[PausedClass] = ["transactional", "marketing", "automated", "bulk", "notify"]
    assert [classes_of(word) for word in words] == [
        ("transactional",), ("automated", "bulk"), ("automated",), ("bulk",), ("notify",)
    ]  # fmt: skip
    assert "notify" not in classes_of(None)
    assert not Pauses().active


# Reputation.


def bounce_some(bench: Bench, good: int, bad: int, *, start: int = START) -> int:
    """Deliver mails, the bad ones last; return when."""
    for number in range(good + bad):
        id_ = f"r{start}-{number}"
        bench.read(send(id_, urgent=True, time=start, expires=start + DAY), at=start)
        bench.pass_time(start)
        entry = bench.pick(start)
        assert entry is not None
        claim = bench.queue.claim(id_, start)
        assert claim is not None
        bench.do(claim[1])
        bench.settle(NO if number >= good else OK, start, id_)
    bench.pass_time(start)
    return start


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


def test_the_partitions_of_a_worker_are_judged_together() -> None:
    reputation, standings = Reputation(), [Standing(), Standing()]
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
    assert len(bench.send_all(START, Refused("rcpt", 451, "later"))) == 10
    assert len(bench.send_all(START + HOUR)) == 10


def test_a_worker_has_its_share_of_the_day() -> None:
    bench = Bench(warm(partitions=4))
    bench.read(*(send(f"m{n}") for n in range(12)))
    assert len(bench.send_all(START)) == 3


# Quiet hours.

NIGHT = QuietHours.model_validate({"from": "21:00", "to": "09:00"})
LUNCH = QuietHours.model_validate({"from": "13:00", "to": "15:00"})
NEVER_QUIET = QuietHours.model_validate({"from": "09:00", "to": "09:00"})


@pytest.mark.parametrize(
    ("now", "quiet", "zone", "until"),
    [
        ("2026-03-02T20:59:59+01:00", NIGHT, ROME, None),
        ("2026-03-02T21:00:00+01:00", NIGHT, ROME, "2026-03-03T08:00:00Z"),
        ("2026-03-03T03:00:00+01:00", NIGHT, ROME, "2026-03-03T08:00:00Z"),
        ("2026-03-03T09:00:00+01:00", NIGHT, ROME, None),
        ("2026-03-02T14:00:00+01:00", LUNCH, ROME, "2026-03-02T14:00:00Z"),
        ("2026-03-02T22:00:00+01:00", LUNCH, ROME, None),
        ("2026-03-02T03:00:00+01:00", NEVER_QUIET, ROME, None),
        ("2026-03-02T22:00:00+01:00", NIGHT, "America/New_York", None),
        ("2026-03-02T22:00:00-05:00", NIGHT, "America/New_York", "2026-03-03T14:00:00Z"),
        ("2026-03-28T22:00:00+01:00", NIGHT, ROME, "2026-03-29T07:00:00Z"),  # an hour less
        ("2026-10-24T22:00:00+02:00", NIGHT, ROME, "2026-10-25T08:00:00Z"),  # an hour more
        ("2026-03-02T22:00:00+01:00", NIGHT, "no/zone", "2026-03-03T08:00:00Z"),
    ],
)
def test_when_the_quiet_hours_end(
    now: str, quiet: QuietHours, zone: str, until: str | None
) -> None:
    instant = parse_instant(now)
    ends = quiet_until(instant, quiet, zone)
    assert to_rfc3339(ends) == (until or to_rfc3339(instant))
    assert quiet_until(ends, quiet, zone) == ends


def test_days_are_local() -> None:
    before = parse_instant("2026-03-28T23:59:59+01:00")
    assert day_of(before + 1_000, ROME) == day_of(before, ROME) + 1
    assert next_day(before, ROME) == before + 1_000
    assert next_day(before + 1_000, ROME) - before == 23 * HOUR + 1_000  # the clock is put forward


def test_a_marketing_mail_that_had_to_wait_does_not_go_in_the_night() -> None:
    evening = parse_instant("2026-03-02T20:00:00+01:00")
    night, morning = evening + 3 * HOUR, evening + 13 * HOUR
    quiet = {"from": "21:00", "to": "09:00"}
    bench = Bench()
    bench.read(
        send("m1", time=evening, expires=evening + DAY, quiet=quiet),
        send("t", urgent=True, time=evening, expires=evening + DAY, quiet=quiet),
        send("late", time=evening, expires=morning, quiet=quiet),
        send("any", time=evening, expires=evening + DAY),
    )
    for id_ in ("t", "m1", "late", "any"):  # the relay is down until the night
        entry = bench.queue.get(id_)
        assert entry is not None
        bench.pick(evening)
        bench.do(bench.queue.unreachable(id_, evening, night, "relay_connect"))
    assert bench.send_all(night) == ["t", "any"]
    held = [told for told in bench.told if told[1] == "mail.held"]
    assert sorted(held) == [
        ("late", "mail.held", "quiet_hours"), ("m1", "mail.held", "quiet_hours")
    ]  # fmt: skip
    bench.read(release(), release("m1"), resume(), at=night + 1)  # nobody may wake a customer
    assert bench.send_all(night + 1) == []
    bench.queue = bench.reopened()
    assert bench.send_all(morning - 1) == []
    assert bench.send_all(morning) == ["m1"]
    assert bench.state("late") == "skipped"  # its time was over


def test_a_mail_that_was_claimed_in_the_last_minute_is_not_claimed_in_the_first_quiet_one() -> None:
    evening = parse_instant("2026-03-02T20:59:59+01:00")
    bench = Bench()
    bench.read(send("m1", time=evening, expires=evening + DAY,
                    quiet={"from": "21:00", "to": "09:00"}))  # fmt: skip
    entry = bench.pick(evening)
    assert entry is not None
    assert bench.queue.claim("m1", evening + 1_000) is None
    bench.pass_time(evening + 1_000)
    assert bench.state() == "held"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_held_for_two_reasons_it_goes_when_both_are_gone(order: tuple[int, ...]) -> None:
    night = parse_instant("2026-03-02T22:00:00+01:00")
    morning = night + 11 * HOUR
    bench = Bench()
    bounce_some(bench, 150, 50, start=night)
    bench.read(send("m1", time=night, expires=night + 3 * DAY,
                    quiet={"from": "21:00", "to": "09:00"}), pause(), at=night)  # fmt: skip
    steps = [(pause, {}), (resume, {}), (None, {})]
    assert bench.send_all(night) == []
    for number in order:
        make, fields = steps[number]
        if make is not None:
            bench.read(make(**fields), at=night + 1)
        bench.pass_time(night + 1)
        assert bench.send_all(night + 1) == []
    bench.read(resume(), at=morning)
    assert bench.send_all(morning) == ["m1"]
