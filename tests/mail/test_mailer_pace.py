"""How fast mails go: providers, their limits, rates that adapt, budgets of the classes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agents.mail.providers import OTHER, PROVIDERS, Providers
from agents.mail.queue.concurrency import ConcurrencyLimits
from agents.mail.queue.lanes import Lane
from agents.mail.queue.throttle import DEAF_MS, SLOWEST, STEP_MS, Bucket
from agents.mail.replies import RelayRefused, throttles
from schemas.stored import NEVER
from tests.mail.samples import START

SECOND = 1_000


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("a@gmail.com", "google"),
        ("a@GoogleMail.com", "google"),
        ("a@outlook.com", "microsoft"),
        ("a@hotmail.it", "microsoft"),
        ("a@live.com", "microsoft"),
        ("a@msn.com", "microsoft"),
        ("a@yahoo.it", "yahoo"),
        ("a@aol.com", "yahoo"),
        ("a@icloud.com", "apple"),
        ("a@libero.it", "italiaonline"),
        ("a@virgilio.it", "italiaonline"),
        ("a@tin.it", "tim"),
        ("a@alice.it", "tim"),
        ("a@aruba.it", "aruba"),
        ("a@shop.example", "other"),
        ("a@mail.gmail.com", "other"),
        ("no address", "other"),
    ],
)
def test_domains_of_one_provider_are_one(address: str, provider: str) -> None:
    assert Providers().of(address) == provider


def test_a_shop_may_know_more_domains() -> None:
    providers = Providers({"Acme.example": "google"})
    assert providers.of("a@acme.EXAMPLE") == "google"
    with pytest.raises(ValueError, match=r"acme\.example=gogle: no such provider.*google"):
        Providers({"acme.example": "gogle"})
    assert OTHER in PROVIDERS


@pytest.mark.parametrize(
    ("code", "text", "too_fast"),
    [
        (421, "bye", True),
        (450, "4.2.0 greylisted", True),
        (451, "4.3.0 later", True),
        (454, "busy", True),
        (452, "4.7.0 rate limited", True),
        (452, "4.2.2 mailbox full", False),
        (550, "5.7.1 no", False),
    ],
)
def test_replies_that_ask_for_less(code: int, text: str, too_fast: bool) -> None:
    assert throttles(RelayRefused("rcpt", code, text)) is too_fast


def sent(bucket: Bucket, rate: int, seconds: int, start: int = START) -> int:
    """Let mails go at a steady rate, return the time after that."""
    for number in range(rate * seconds):
        bucket.take(start + number * SECOND // rate)
    return start + seconds * SECOND


def test_without_a_refusal_there_is_no_bound() -> None:
    bucket = Bucket()
    now = sent(bucket, 500, 2)
    assert bucket.rate(now) is None
    assert bucket.opens(now) == now


def test_a_refusal_halves_what_was_really_sent() -> None:
    bucket = Bucket()
    now = sent(bucket, 20, 10)
    assert bucket.throttled(now)
    assert bucket.rate(now) == pytest.approx(10, rel=0.05)
    gone = 0
    end = now + 10 * SECOND
    while (now := bucket.opens(now)) < end:
        bucket.take(now)
        gone += 1
    assert gone == pytest.approx(100, rel=0.05)


def test_the_first_refusal_of_few_mails_assumes_a_rate() -> None:
    bucket = Bucket()
    bucket.take(START)
    bucket.throttled(START)
    assert bucket.rate(START) == 5


def test_a_burst_of_refusals_counts_once_and_the_next_one_again() -> None:
    bucket = Bucket()
    now = sent(bucket, 20, 10)
    assert bucket.throttled(now)
    before = bucket.rate(now)
    assert not any(bucket.throttled(now + each) for each in range(0, DEAF_MS, 100))
    assert bucket.rate(now) == before
    assert bucket.throttled(now + DEAF_MS)
    assert bucket.rate(now + DEAF_MS) == pytest.approx((before or 0) / 2, rel=0.5)


def test_it_recovers_by_steps_of_one_size_and_is_forgotten_in_the_end() -> None:
    bucket = Bucket()
    now = sent(bucket, 20, 10)
    bucket.throttled(now)
    rates = [bucket.rate(now + step * STEP_MS) or 0 for step in range(11)]
    steps = {round(after - before, 3) for before, after in pairwise(rates)}
    assert len(steps) == 1
    assert rates[10] == pytest.approx(2 * rates[0])
    assert bucket.rate(now + 100 * STEP_MS) is None


def test_however_often_it_is_refused_a_mail_a_minute_finds_out() -> None:
    bucket, now = Bucket(), START
    for _ in range(50):
        bucket.take(now)
        bucket.throttled(now)
        now += DEAF_MS
    assert bucket.rate(now) == pytest.approx(SLOWEST)
    assert bucket.opens(now) <= now + 61 * SECOND


def test_a_pause_is_not_followed_by_a_burst() -> None:
    bucket = Bucket()
    now = sent(bucket, 20, 10)
    bucket.throttled(now)
    now += 20 * SECOND
    gone = 0
    while bucket.opens(now) == now:
        bucket.take(now)
        gone += 1
    assert gone == pytest.approx(10, abs=1)


def full(concurrency: ConcurrencyLimits, lane: Lane) -> int:
    """Begin as many mails of a lane as may; return how many."""
    count = 0
    while concurrency.opens(lane, START) <= START:
        concurrency.begin(lane, START)
        count += 1
    return count


RECEIPT = Lane("transactional", OTHER)
SERIES = Lane("automated", OTHER)
CAMPAIGN = Lane("bulk", OTHER)


def test_each_class_has_its_budget_and_leaves_room_to_those_before_it() -> None:
    assert [full(ConcurrencyLimits(10), lane) for lane in (RECEIPT, SERIES, CAMPAIGN)] == [10, 8, 8]
    concurrency = ConcurrencyLimits(10)
    concurrency.begin(SERIES, START)
    assert [full(concurrency, lane) for lane in (CAMPAIGN, SERIES, RECEIPT)] == [6, 1, 2]
    assert concurrency.opens(RECEIPT, START) == NEVER
    concurrency.end(CAMPAIGN)
    assert concurrency.opens(RECEIPT, START) == START


def test_one_connection_serves_every_class() -> None:
    assert [full(ConcurrencyLimits(1), lane) for lane in (RECEIPT, SERIES, CAMPAIGN)] == [1, 1, 1]


@pytest.mark.parametrize(("provider", "most"), [("google", 5), ("microsoft", 5), ("yahoo", 10)])
def test_a_providers_connections_are_limited(provider: str, most: int) -> None:
    assert full(ConcurrencyLimits(10), Lane("transactional", provider)) == most


def test_marketing_leaves_one_of_a_providers_connections_to_receipts() -> None:
    concurrency = ConcurrencyLimits(10)
    assert full(concurrency, Lane("automated", "google")) == 4
    assert full(concurrency, Lane("bulk", "google")) == 0
    assert full(concurrency, Lane("transactional", "google")) == 1
    assert full(concurrency, SERIES) == 4  # the others' budget is not theirs


def test_the_order_of_the_classes_and_a_fifth_for_campaigns() -> None:
    concurrency, served = ConcurrencyLimits(1), []
    for _ in range(10):
        lane = concurrency.order([CAMPAIGN, SERIES])[0]
        concurrency.begin(lane, START)
        concurrency.end(lane)
        served.append(lane.delivery)
    assert served.count("bulk") == 2
    assert served[:5] == ["automated"] * 4 + ["bulk"]
    assert concurrency.order([CAMPAIGN, SERIES, RECEIPT])[0] == RECEIPT


def test_a_rate_belongs_to_one_class_at_one_provider() -> None:
    concurrency = ConcurrencyLimits(10)
    google = Lane("automated", "google")
    concurrency.begin(google, START)
    assert concurrency.throttled(google, START)
    assert concurrency.opens(google, START) > START
    for lane in (SERIES, Lane("bulk", "google"), Lane("transactional", "google")):
        assert concurrency.opens(lane, START) == START
