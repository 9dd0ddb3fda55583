"""Whether a mail may go now, and if not, when to ask again: each rule alone and together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agents.sending.arbitration import (
    PolicyDecision,
    arbitrate,
    expiry,
    give_back,
    judge,
    rank,
    remember,
)
from schemas.customer.consent import Consent
from schemas.customer.mail import SENT_HISTORY
from schemas.instant import parse_instant
from tests.sending.mails import DAY, HOUR, NOON, anna, candidate, mail, policy, shipped, take

NIGHT = policy('quiet: {from: "21:00", to: "09:00"}')
DAILY = policy("caps: [{at_most: 1, per: day}]")
WEEKLY = policy("caps: [{at_most: 3, per: 7d}]")
MIX = policy("mix: {promotional: 0.3, span: 30d, from_mails: 10}")
TIRED = policy("fatigue: {ignored: 8, unsubscribed: 30d, caps: [{at_most: 1, per: 6d}]}")


def test_without_a_policy_nothing_is_held() -> None:
    crowded = anna(sent=[mail(NOON)] * 60)
    assert judge(crowded, candidate("promotional"), NOON, None) == PolicyDecision(
        "send", "due", basis="consent"
    )


def test_what_may_not_go_at_all() -> None:
    customer = anna()
    customer.consents["marketing"] = Consent(False, 0, "form", "e2")
    assert judge(customer, candidate(), NOON, NIGHT).reason == "no_consent"
    customer.suppressed = "bounced"
    assert judge(customer, candidate(), NOON, NIGHT).reason == "suppressed"
    customer.profile.email = ""
    assert judge(customer, candidate(), NOON, NIGHT)[:2] == ("skip", "no_address")


def test_it_expires_at_its_instant_and_says_what_held_it() -> None:
    waiting = candidate(expires=NOON, held_for="frequency_cap")
    assert judge(anna(), waiting, NOON - 1, NIGHT).action == "send"
    assert judge(anna(), waiting, NOON, NIGHT) == PolicyDecision(
        "skip", "expired", detail="frequency_cap"
    )


def test_how_long_it_may_be_held() -> None:
    step = candidate().step
    assert expiry(step, NOON, None) == expiry(step, NOON, policy()) == NOON + 3 * DAY
    assert expiry(step, NOON, policy("hold: 5d")) == NOON + 5 * DAY
    own = step.model_copy(update={"expires": HOUR})
    assert expiry(own, NOON, policy("hold: 5d")) == NOON + HOUR


@pytest.mark.parametrize(
    ("zone", "now", "again"),
    [
        ("", "2026-03-02T19:59:59.999Z", None),
        ("", "2026-03-02T20:00:00Z", "2026-03-03T08:00:00Z"),
        ("Mars/Olympus", "2026-03-03T07:59:59Z", "2026-03-03T08:00:00Z"),
        ("", "2026-03-28T22:00:00Z", "2026-03-29T07:00:00Z"),
        ("", "2026-10-24T22:00:00Z", "2026-10-25T08:00:00Z"),
        ("America/New_York", "2026-03-02T20:00:00Z", None),
        ("Asia/Tokyo", "2026-03-02T13:00:00Z", "2026-03-03T00:00:00Z"),
    ],
)
@pytest.mark.row("R03")
def test_quiet_hours_are_those_of_the_customer(zone: str, now: str, again: str | None) -> None:
    verdict = judge(anna(zone), candidate(), parse_instant(now), NIGHT)
    if again is None:
        assert verdict.action == "send"
    else:
        assert verdict == PolicyDecision("hold", "quiet_hours", parse_instant(again), "21:00-09:00")


@pytest.mark.row("R02")
def test_a_day_is_a_calendar_day_of_the_customer() -> None:
    evening = parse_instant("2026-03-02T22:30:00Z")  # 23:30 in Rome, 17:30 in New York
    midnight = parse_instant("2026-03-02T23:00:00Z")
    customer = anna(sent=[mail(evening)])
    verdict = judge(customer, candidate(), evening + 1, DAILY)
    assert verdict == PolicyDecision("hold", "frequency_cap", midnight, "1 per day")
    assert judge(customer, candidate(), midnight, DAILY).action == "send"
    customer.profile.zone = "America/New_York"
    assert judge(customer, candidate(), midnight, DAILY).again == midnight + 6 * HOUR


def test_a_span_has_both_its_ends() -> None:
    customer = anna(sent=[mail(NOON), mail(NOON + DAY), mail(NOON + 2 * DAY)])
    verdict = judge(customer, candidate(), NOON + 3 * DAY, WEEKLY)
    assert verdict == PolicyDecision("hold", "frequency_cap", NOON + 7 * DAY + 1, "3 per 7d")
    assert judge(customer, candidate(), NOON + 7 * DAY, WEEKLY).action == "hold"
    assert judge(customer, candidate(), NOON + 7 * DAY + 1, WEEKLY).action == "send"


def test_confirmations_count_for_no_cap() -> None:
    sent = [mail(NOON, "transactional") for _ in range(9)]
    assert judge(anna(sent=sent), candidate(), NOON, DAILY).action == "send"


def test_a_cap_of_one_workflow_counts_its_own_mails_only() -> None:
    own = policy("caps: [{at_most: 1, per: 30d, workflow: w}]")
    customer = anna(sent=[mail(NOON, workflow="w"), mail(NOON, workflow="v")])
    verdict = judge(customer, candidate(workflow="w"), NOON + DAY, own)
    assert verdict == PolicyDecision("hold", "frequency_cap", NOON + 30 * DAY + 1, "1 per 30d of w")
    assert judge(customer, candidate(workflow="v"), NOON + DAY, own).action == "send"


def test_a_workflows_cap_outlives_the_others_mails() -> None:
    own = policy("caps: [{at_most: 2, per: 365d, workflow: w}]")
    customer = anna()
    take(customer, candidate(workflow="w"), NOON, own)
    take(customer, candidate(workflow="w"), NOON + 1, own)
    for hour in range(2 * SENT_HISTORY):
        take(customer, candidate(workflow="v"), NOON + HOUR * (hour + 1), own)
        remember(customer, mail(NOON + HOUR * (hour + 1), "transactional"), own)
    assert (
        judge(customer, candidate(workflow="w"), NOON + 9 * DAY, own).again == NOON + 365 * DAY + 1
    )
    assert sum(each.mail_class == "marketing" for each in customer.sent) == SENT_HISTORY + 2
    assert sum(each.mail_class == "transactional" for each in customer.sent) <= SENT_HISTORY
    assert customer.sent == sorted(customer.sent, key=lambda each: each.time)


@pytest.mark.row("R01")
def test_ten_mails_make_the_mix() -> None:
    nine = [mail(NOON + n * HOUR, "promotional" if n in (2, 5, 7) else "informative")
            for n in range(9)]  # fmt: skip
    now = NOON + DAY
    assert judge(anna(sent=nine), candidate("informative"), now, MIX).action == "send"
    # A fourth of ten: it has to wait until only eight of the nine are in the span with it.
    verdict = judge(anna(sent=nine), candidate("promotional"), now, MIX)
    assert verdict == PolicyDecision("hold", "mix", NOON + 30 * DAY + 1, "4 of 10 in 30d")
    assert judge(anna(sent=nine), candidate("promotional"), verdict.again - 1, MIX).action == "hold"
    assert judge(anna(sent=nine), candidate("promotional"), verdict.again, MIX).action == "send"
    # The tenth may be informative and still complete a window with four.
    nine[0].kind = "promotional"
    assert judge(anna(sent=nine), candidate("informative"), now, MIX).reason == "mix"
    assert judge(anna(sent=nine[1:]), candidate("promotional"), now, MIX).action == "send"


@pytest.mark.row("R01")
def test_every_window_counts_not_only_the_longest() -> None:
    """Thirty days with 3 of 12 are right, and yet the last ten of them would hold four."""
    kinds = ["informative"] * 11 + ["promotional"] * 3 + ["informative"] * 5
    sent = [mail(NOON + n * DAY, kind) for n, kind in enumerate(kinds)]
    verdict = judge(anna(sent=sent), candidate("promotional"), NOON + 19 * DAY, MIX)
    assert (verdict.reason, verdict.detail) == ("mix", "4 of 10 in 30d")


def test_shares_are_counted_exactly() -> None:
    exact = policy("mix: {promotional: 0.28, span: 30d, from_mails: 25}")  # 0.28 * 25 > 7.0
    sent = [mail(NOON + n, "promotional" if n < 6 else "informative") for n in range(24)]
    assert judge(anna(sent=sent), candidate("promotional"), NOON + 99, exact).action == "send"


@pytest.mark.row("R02")
def test_who_ignores_gets_fewer() -> None:
    customer = anna(sent=[mail(NOON)])
    customer.ignored = 7
    assert judge(customer, candidate(), NOON + DAY, TIRED).action == "send"
    customer.ignored = 8
    verdict = judge(customer, candidate(), NOON + DAY, TIRED)
    assert verdict == PolicyDecision("hold", "fatigue", NOON + 6 * DAY + 1, "8 ignored: 1 per 6d")
    assert judge(customer, candidate(), NOON + 7 * DAY, TIRED).action == "send"  # a weekly series


@pytest.mark.row("R02")
def test_who_asks_for_less_gets_fewer() -> None:
    customer = anna(sent=[mail(NOON)])
    customer.profile.mail_frequency = "less"
    verdict = judge(customer, candidate(), NOON + DAY, TIRED)
    assert verdict == PolicyDecision(
        "hold", "fatigue", NOON + 6 * DAY + 1, "asked for less: 1 per 6d"
    )
    customer.profile.mail_frequency = "normal"
    assert judge(customer, candidate(), NOON + DAY, TIRED).action == "send"


@pytest.mark.row("R02")
def test_who_left_a_list_gets_fewer_for_a_while() -> None:
    customer = anna(sent=[mail(NOON + 28 * DAY)])
    customer.left_list = NOON
    verdict = judge(customer, candidate(), NOON + 29 * DAY, TIRED)
    assert verdict == PolicyDecision(
        "hold", "fatigue", NOON + 30 * DAY + 1, "left a list: 1 per 6d"
    )
    assert judge(customer, candidate(), verdict.again, TIRED).action == "send"


def test_sending_is_ignoring_until_the_customer_does_something() -> None:
    customer = anna()
    for n in range(3):
        take(customer, candidate(), NOON + n, None)
    assert customer.ignored == 3
    give_back(customer, customer.sent[0].command_id, NOON + 5)
    assert customer.ignored == 2
    customer.ignored, customer.last_active = 0, NOON + 5
    give_back(customer, customer.sent[0].command_id, NOON + 5)
    assert customer.ignored == 0


def test_a_mail_that_never_left_gives_its_place_back() -> None:
    customer, waiting = anna(sent=[mail(NOON, id_="m1")]), candidate(held_for="mix").run
    waiting.due = NOON + DAY
    customer.runs.append(waiting)
    give_back(customer, "another", NOON + HOUR)
    assert judge(customer, candidate(), NOON + HOUR, DAILY).action == "hold"
    give_back(customer, "m1", NOON + HOUR)
    assert judge(customer, candidate(), NOON + HOUR, DAILY).action == "send"
    assert waiting.due == NOON + HOUR  # and who waits is looked at again


def test_the_reason_is_what_holds_it_longest_and_again_is_when_nothing_does() -> None:
    both = policy("""
        caps: [{at_most: 1, per: day}, {at_most: 3, per: 7d}]
        quiet: {from: "21:00", to: "09:00"}""")
    evening = NOON + 10 * HOUR  # 22:00
    customer = anna(sent=[mail(NOON)])
    verdict = judge(customer, candidate(), evening, both)  # the new day begins in the quiet
    assert (verdict.reason, verdict.again) == ("quiet_hours", NOON + 21 * HOUR)
    verdict = judge(customer, candidate(), NOON + HOUR, both)  # midnight is not yet the opening
    assert (verdict.reason, verdict.again) == ("frequency_cap", NOON + 21 * HOUR)
    late = [mail(NOON + 9 * HOUR - 1 + n * DAY) for n in range(3)]  # a place is free at 21:00
    verdict = judge(anna(sent=late), candidate(), NOON + 5 * DAY, both)
    assert (verdict.reason, verdict.again) == ("frequency_cap", NOON + 7 * DAY + 21 * HOUR)


def test_rank() -> None:
    def order(*waiting: object, sent: object = ()) -> list[str]:
        ranked = rank(anna(sent=sent), waiting, NOON, MIX)  # type: ignore[arg-type]  # candidates
        return [each.workflow.id for each in ranked]

    low, high = candidate(workflow="a", priority=10), candidate(workflow="b", priority=90)
    step = candidate(workflow="c", priority=10, own_priority=95)
    assert order(low, high, step) == ["c", "b", "a"]
    offer, news = candidate("promotional", workflow="a"), candidate("informative", workflow="b")
    three = [mail(NOON - n) for n in (3, 2, 1)]
    assert order(offer, news) == ["b", "a"]  # an offer alone would be all there is
    assert order(offer, news, sent=three) == ["a", "b"]  # one of four is within the share
    assert order(offer, news, sent=[*three, mail(NOON, "promotional")]) == ["b", "a"]
    soon = candidate(workflow="z", expires=NOON + 1)
    assert order(candidate(workflow="a"), soon) == ["z", "a"]
    old = candidate(workflow="z", since=NOON - 1)
    assert order(candidate(workflow="a"), old) == ["z", "a"]
    runs = [candidate(run=name) for name in ("r3", "r1", "r2")]
    assert [each.run.id for each in rank(anna(), runs, NOON, None)] == ["w/r1", "w/r2", "w/r3"]


def test_the_best_goes_and_the_others_are_outranked() -> None:
    customer, sent = anna(), []
    low, high = candidate(workflow="low", priority=1), candidate(workflow="high", priority=2)
    gone = candidate(workflow="gone", expires=NOON)

    def send(each: object, verdict: PolicyDecision) -> None:
        sent.append((each, verdict))
        take(customer, each, NOON, DAILY)  # type: ignore[arg-type]  # a candidate

    others = arbitrate(customer, [low, gone, high], NOON, DAILY, send)
    assert [(each.workflow.id, verdict.action) for each, verdict in sent] == [("high", "send")]
    midnight = NOON + 12 * HOUR
    assert others == [
        (gone, PolicyDecision("skip", "expired")),
        (low, PolicyDecision("hold", "outranked", midnight, "high only")),
    ]
    assert arbitrate(customer, [low], NOON, DAILY, send) == [
        (low, PolicyDecision("hold", "frequency_cap", midnight, "1 per day"))
    ]


def test_the_shipped_policy() -> None:
    ours = shipped()
    assert [(cap.at_most, cap.per) for cap in ours.caps] == [(1, "day"), (3, 7 * DAY)]
    assert ours.quiet is not None
    assert (ours.quiet.begins, ours.quiet.ends) == ("21:00", "09:00")
    assert ours.mix is not None
    assert (ours.mix.promotional, ours.mix.span, ours.mix.from_mails) == (0.3, 30 * DAY, 10)
    assert not ours.soft_opt_in


@pytest.mark.parametrize(
    "wrong",
    [
        "caps: [{at_most: 0, per: day}]",
        "caps: [{at_most: 61, per: 365d}]",
        "caps: [{at_most: 1, per: week}]",
        "mix: {promotional: 0.3, span: 30d, from_mails: 3}",
        "mix: {promotional: 0.3, span: 30d, from_mails: 31}",
        "mix: {promotional: 1.3, span: 30d, from_mails: 10}",
        "mix: {promotional: 0.3, span: 0s, from_mails: 10}",
        'quiet: {from: "24:00", to: "09:00"}',
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        policy(wrong)
