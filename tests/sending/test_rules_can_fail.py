"""The properties are worth something only if they fail when a rule is removed: each is, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from agents.rules import local_time
from agents.sending import arbitration, limits
from agents.sending.arbitration import PolicyDecision
from schemas.customer import Customer
from tests.sending import test_properties
from tests.sending.test_properties import live, live_a_crowded_year, live_twice, lives

Patch = pytest.MonkeyPatch


def no_quiet_hours(patch: Patch) -> None:
    patch.setattr(limits, "_quiet", lambda *_: None)


def no_caps(patch: Patch) -> None:
    patch.setattr(limits, "_cap", lambda *_: None)


def no_mix(patch: Patch) -> None:
    patch.setattr(limits, "_mix", lambda *_: None)


def a_span_without_its_end(patch: Patch) -> None:
    cap = limits._cap

    def shorter(each: Any, *rest: Any) -> Any:
        per = each.per if each.per == "day" else each.per - 1
        return cap(each.model_copy(update={"per": per}), *rest)

    patch.setattr(limits, "_cap", shorter)


def days_in_utc(patch: Patch) -> None:
    cap = limits._cap
    patch.setattr(limits, "_cap", lambda each, times, _, now: cap(each, times, "UTC", now))


def quiet_hours_in_rome_for_everybody(patch: Patch) -> None:
    quiet = limits._quiet
    patch.setattr(limits, "_quiet", lambda each, _, now: quiet(each, "Europe/Rome", now))


def only_promotional_mails_are_looked_at_for_the_mix(patch: Patch) -> None:
    mix = limits._mix
    patch.setattr(
        limits, "_mix", lambda each, offer, *rest: mix(each, offer, *rest) if offer else None
    )


def only_the_longest_window_counts(patch: Patch) -> None:
    def longest(mix: Any, promotional: bool, sent: Any, now: int) -> Any:
        recent = [mail.kind == "promotional" for mail in sent if mail.time >= now - mix.span]
        mails, several = len(recent) + 1, sum(recent) + promotional
        if mails < mix.from_mails or not limits._too_many(several, mails, mix):
            return None
        return limits.PolicyHold("mix", sent[-len(recent)].time + mix.span + 1, "")

    patch.setattr(limits, "_mix", longest)


def again_forgets_the_other_rules(patch: Patch) -> None:
    patch.setattr(limits, "free_from", lambda _, instant: instant)


def an_expired_mail_waits_on(patch: Patch) -> None:
    judge = arbitration.judge
    patch.setattr(
        arbitration, "judge", lambda customer, each, *rest: judge(
            customer, each._replace(expires=2**62), *rest)
    )  # fmt: skip


def the_rank_is_that_of_the_file(patch: Patch) -> None:
    patch.setattr(arbitration, "rank", lambda _customer, candidates, *_: list(candidates))


def one_look_is_enough(patch: Patch) -> None:
    """As the first version did it: an informative mail that makes room for an offer is not seen."""

    def once(customer: Customer, candidates: Any, now: int, policy: Any, send: Any) -> Any:
        others: list[tuple[Any, PolicyDecision]] = []
        for each in arbitration.rank(customer, candidates, now, policy):
            verdict = arbitration.judge(customer, each, now, policy)
            if verdict.action == "send":
                send(each, verdict)
            else:
                others.append((each, verdict))
        return others

    patch.setattr(test_properties, "arbitrate", once)


def the_day_is_over_at_the_same_hour(patch: Patch) -> None:
    patch.setattr(local_time, "next_day", lambda instant, zone: instant + 86_400_000)


BREAKS = [
    no_quiet_hours,
    no_caps,
    no_mix,
    a_span_without_its_end,
    days_in_utc,
    quiet_hours_in_rome_for_everybody,
    only_promotional_mails_are_looked_at_for_the_mix,
    only_the_longest_window_counts,
    again_forgets_the_other_rules,
    an_expired_mail_waits_on,
    the_rank_is_that_of_the_file,
    one_look_is_enough,
    the_day_is_over_at_the_same_hour,
]


_QUICKLY = settings(
    max_examples=600, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda each: each.__name__)
def test_a_rule_that_is_gone_is_missed(
    break_it: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    break_it(monkeypatch)
    for examine in (_QUICKLY(lives(live)), live_a_crowded_year, _QUICKLY(lives(live_twice))):
        try:
            examine()
        except (AssertionError, IndexError, KeyError):  # however it is noticed
            return
    pytest.fail("nobody has noticed it")
