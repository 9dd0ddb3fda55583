"""What is said late counts as if it had come when it was said."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest

from schemas.bounds import kept_bytes
from schemas.customer.consent import EVIDENCE_KEPT, EVIDENCE_TOTAL_BYTES
from tests.harness import DAY, HOUR, MINUTE, Harness

LISTS = ("a", "b")


def consent(harness: Harness) -> bool | None:
    said = harness.customer().consents.get("marketing")
    return None if said is None else said.given


def lists(harness: Harness) -> dict[str, tuple[bool, bool]]:
    known = harness.customer().lists
    return {name: (each.subscribed, each.joined) for name, each in sorted(known.items())}


def told(*said: tuple[str, float, dict[str, object]]) -> Harness:
    """Tell what was said at these hours, all of it after ten hours, in the order given."""
    harness = Harness().at(10 * HOUR)
    for type_, hour, data in said:
        harness.tell(type_, happened=hour * HOUR, id_=f"{type_}/{hour}", **data)
    return harness


def test_a_subscription_that_was_in_vain_stays_so() -> None:
    harness = told(
        ("consent.withdrawn", 2, {"purpose": "marketing"}),
        ("list.subscribed", 1, {"list": "a", "confirmed": True}),
    )
    assert (lists(harness), consent(harness)) == ({"a": (False, False)}, False)
    assert harness.mails == []


def test_a_list_that_was_joined_again_is_joined() -> None:
    harness = told(
        ("list.subscribed", 3, {"list": "a", "confirmed": True}),
        ("list.unsubscribed", 2, {"list": "a"}),
        ("list.subscribed", 1, {"list": "a", "confirmed": True}),
    )
    assert (lists(harness), consent(harness)) == ({"a": (True, True)}, True)


def test_it_was_not_the_last_list_after_all() -> None:
    harness = told(("consent.given", 1, {"purpose": "marketing"}))
    harness.tell("list.unsubscribed", happened=3 * HOUR, list="a")
    assert consent(harness) is False
    harness.tell("list.subscribed", happened=2 * HOUR, list="b")
    assert (lists(harness), consent(harness)) == ({"a": (False, False), "b": (True, True)}, True)
    assert [each.purpose for each in harness.customer().evidence if not each.given] == ["list"]


def test_a_late_no_ends_what_had_begun() -> None:
    harness = told(
        ("list.subscribed", 3, {"list": "a"}), ("consent.given", 1, {"purpose": "marketing"})
    )
    assert lists(harness) == {"a": (True, True)}
    assert harness.said("w11")[0].decision == "entered"
    harness.tell("consent.withdrawn", happened=2 * HOUR, purpose="marketing")
    assert (lists(harness), consent(harness)) == ({"a": (True, False)}, False)
    assert harness.said("w11")[-1].decision == "exited"


@pytest.mark.parametrize("purpose", ["profiling", "tracking"])
def test_of_two_words_at_one_instant_no_is_the_last(purpose: str) -> None:
    said = [
        ("consent.given", 1, {"purpose": purpose}),
        ("consent.withdrawn", 1, {"purpose": purpose}),
    ]
    for order in permutations(said):
        assert not told(*order).customer().consents[purpose].given  # type: ignore[arg-type]  # as told


def test_evidence_is_kept_in_whichever_order_it_comes() -> None:
    harness = told(
        ("consent.given", 3, {"purpose": "marketing"}),
        ("consent.withdrawn", 2, {"purpose": "marketing"}),
    )
    assert [(each.given, each.event_id) for each in harness.customer().evidence] == [
        (True, "consent.given/3"), (False, "consent.withdrawn/2"),
    ]  # fmt: skip
    assert consent(harness) is True


def test_what_follows_while_all_is_told_again_fills_no_record() -> None:
    harness = Harness().subscribed().at(30 * DAY)
    long = {"wording": "w" * 300, "source": "s" * 300}
    for minute in range(60):
        harness.tell("list.unsubscribed", list=f"{minute % 19}" + "x" * 40, mail=f"{minute}" * 99,
                     happened=20 * DAY + minute * MINUTE, id_=f"{minute}" + "i" * 190,
                     **long)  # fmt: skip
    harness.tell("list.unsubscribed", list="newsletter", happened=19 * DAY, id_="late")
    evidence = harness.customer().evidence
    assert kept_bytes(evidence) <= EVIDENCE_TOTAL_BYTES
    assert max(Counter(each.purpose for each in evidence).values()) <= EVIDENCE_KEPT
    assert "late" in {each.event_id for each in evidence}, "it proves the last word on its list"
