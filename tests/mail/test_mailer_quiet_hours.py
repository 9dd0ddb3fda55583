"""A marketing mail that had to wait does not go in the night."""

from __future__ import annotations

import itertools

import pytest

from agents.rules.local_time import day_number, next_day, quiet_until
from schemas.commands import QuietHours
from schemas.instant import parse_instant, to_rfc3339
from tests.mail.harness import QueueHarness, bounce_some
from tests.mail.samples import DAY, HOUR, pause, release, resume, send

MINUTE = 60_000
ROME = "Europe/Rome"


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
    assert day_number(before + 1_000, ROME) == day_number(before, ROME) + 1
    assert next_day(before, ROME) == before + 1_000
    assert next_day(before + 1_000, ROME) - before == 23 * HOUR + 1_000  # the clock is put forward


def test_a_marketing_mail_that_had_to_wait_does_not_go_in_the_night() -> None:
    evening = parse_instant("2026-03-02T20:00:00+01:00")
    night, morning = evening + 3 * HOUR, evening + 13 * HOUR
    quiet = {"from": "21:00", "to": "09:00"}
    harness = QueueHarness()
    harness.read(
        send("m1", time=evening, expires=evening + DAY, quiet=quiet),
        send("t", urgent=True, time=evening, expires=evening + DAY, quiet=quiet),
        send("late", time=evening, expires=morning, quiet=quiet),
        send("any", time=evening, expires=evening + DAY),
    )
    for id_ in ("t", "m1", "late", "any"):  # the relay is down until the night
        entry = harness.queue.get(id_)
        assert entry is not None
        harness.pick(evening)
        harness.do(harness.queue.unreachable(id_, evening, night, "relay_connect"))
    assert harness.send_all(night) == ["t", "any"]
    held = [told for told in harness.told if told[1] == "mail.held"]
    assert sorted(held) == [
        ("late", "mail.held", "quiet_hours"), ("m1", "mail.held", "quiet_hours")
    ]  # fmt: skip
    harness.read(release(), release("m1"), resume(), at=night + 1)  # nobody may wake a customer
    assert harness.send_all(night + 1) == []
    harness.queue = harness.reopened()
    assert harness.send_all(morning - 1) == []
    assert harness.send_all(morning) == ["m1"]
    assert harness.state("late") == "skipped"  # its time was over


def test_a_mail_that_was_claimed_in_the_last_minute_is_not_claimed_in_the_first_quiet_one() -> None:
    evening = parse_instant("2026-03-02T20:59:59+01:00")
    harness = QueueHarness()
    harness.read(send("m1", time=evening, expires=evening + DAY,
                      quiet={"from": "21:00", "to": "09:00"}))  # fmt: skip
    entry = harness.pick(evening)
    assert entry is not None
    assert harness.queue.claim("m1", evening + 1_000) is None
    harness.pass_time(evening + 1_000)
    assert harness.state() == "held"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_held_for_two_reasons_it_goes_when_both_are_gone(order: tuple[int, ...]) -> None:
    night = parse_instant("2026-03-02T22:00:00+01:00")
    morning = night + 11 * HOUR
    harness = QueueHarness()
    bounce_some(harness, 150, 50, start=night)
    harness.read(send("m1", time=night, expires=night + 3 * DAY,
                      quiet={"from": "21:00", "to": "09:00"}), pause(), at=night)  # fmt: skip
    steps = [(pause, {}), (resume, {}), (None, {})]
    assert harness.send_all(night) == []
    for number in order:
        make, fields = steps[number]
        if make is not None:
            harness.read(make(**fields), at=night + 1)
        harness.pass_time(night + 1)
        assert harness.send_all(night + 1) == []
    harness.read(resume(), at=morning)
    assert harness.send_all(morning) == ["m1"]
