"""Everything live at once, for months: the promises of the shop's policy hold for everybody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.partition.partition import PartitionActors
from agents.sending import arbitration, recipient
from schemas.stored import Progress
from tests.sending.crowd import Crowd, check, decisions
from tests.sending.test_rules_can_fail import (
    days_in_utc,
    no_caps,
    no_mix,
    no_quiet_hours,
    quiet_hours_in_rome_for_everybody,
)

SEEDS = range(6)
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[2:])]
)
@pytest.mark.row("R01", "R02", "R03")
def test_the_policy_holds(seed: int) -> None:
    crowd = Crowd(seed)
    crowd.tell()
    check(crowd)
    reasons = {each.reason for each in decisions(crowd.harness) if each.decision == "held"}
    assert {"quiet_hours", "frequency_cap", "outranked"} <= reasons  # it is crowded indeed


def test_restarts_change_nothing() -> None:
    """The actors were built anew after a third of all events: the same as if they never were."""
    harness = Crowd(7, days=40).tell()
    steady = PartitionActors(partition=0, load=lambda _: None, definitions=harness.definitions,
                             progress=Progress(live=harness.live))  # fmt: skip
    changes = steady.receive(harness.records)
    assert len(changes.effects) == len(harness.effects)
    pairs = zip(changes.effects, harness.effects, strict=True)
    assert all(one == other for one, other in pairs)
    assert all(harness.store[key] == stored for key, stored in changes.states)


def mails_of_others_are_forgotten(patch: Patch) -> None:
    remember = arbitration.remember

    def alone(customer: object, sent: object, policy: object) -> None:
        remember(customer, sent, policy)  # type: ignore[arg-type]  # passed on as it is
        customer.sent = customer.sent[-2:]  # type: ignore[attr-defined]

    patch.setattr(arbitration, "remember", alone)


def places_are_given_back_twice(patch: Patch) -> None:
    def all_of_them(customer: object, command_id: str, now: int) -> None:
        customer.sent = []  # type: ignore[attr-defined]

    patch.setattr(arbitration, "give_back", all_of_them)


def confirmations_are_marketing(patch: Patch) -> None:
    patch.setattr(recipient, "refusal", lambda *_: "suppressed")


def the_lowest_priority_first(patch: Patch) -> None:
    rank = arbitration.rank
    patch.setattr(arbitration, "rank", lambda *args: rank(*args)[::-1])


@pytest.mark.parametrize(
    "break_it",
    [
        no_caps,
        no_mix,
        no_quiet_hours,
        confirmations_are_marketing,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (
                days_in_utc,
                quiet_hours_in_rome_for_everybody,
                mails_of_others_are_forgotten,
                places_are_given_back_twice,
                the_lowest_priority_first,
            )
        ),
    ],
    ids=lambda each: each.__name__,
)
def test_a_rule_that_is_gone_is_missed_in_the_crowd(
    break_it: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    break_it(monkeypatch)
    for seed in SEEDS:
        crowd = Crowd(seed, days=80)
        try:
            crowd.tell()
            check(crowd)
        except AssertionError:
            return
    pytest.fail("nobody has noticed it")
