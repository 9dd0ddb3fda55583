"""How mails were received: what counts, and what counts once."""

from __future__ import annotations

from typing import Any

from agents.insights.engagement_statistics import EngagementStatistics, MailStep, StepEngagement
from schemas.decisions import Decision
from schemas.tracking import Hit
from tests.runtime.doubles import START

CART = MailStep("w06", "s1")


def hit(**changes: Any) -> Hit:
    given = {
        "time": START, "kind": "open", "mode": "anonymous", "verdict": "human", "why": "browser",
        "workflow": "w06", "step": "s1", "template": "cart", "mail_class": "marketing",
    }  # fmt: skip
    return Hit.model_validate(given | changes)


def decision(command_id: str, kind: str = "sent", **changes: Any) -> Decision:
    given = {"time": START, "customer": "anna", "workflow": "w06", "version": "v", "run": "r",
             "step": "s1", "decision": kind, "reason": "due", "command_id": command_id}  # fmt: skip
    return Decision.model_validate(given | changes)


def engagement(*facts: Hit | Decision) -> dict[MailStep, StepEngagement]:
    statistics = EngagementStatistics()
    for fact in facts:
        if isinstance(fact, Hit):
            statistics.noted(fact)
        else:
            statistics.decided(fact)
    return dict(statistics)


def test_whoever_it_was_each_anonymous_hit_counts() -> None:
    found = engagement(hit(), hit(), hit(verdict="machine"), hit(kind="click", link=2))
    assert found[CART].hits == {
        ("open", "human"): 2, ("open", "machine"): 1, ("click", "human"): 1
    }  # fmt: skip
    assert (found[CART].links, found[CART].anonymous) == ({2: 1}, 4)


def test_a_sum_counts_as_many_and_of_a_mail_as_one() -> None:
    found = engagement(hit(count=3_000), hit(kind="click", link=2, count=7), hit())
    assert found[CART].hits == {("open", "human"): 3_001, ("click", "human"): 7}
    assert (found[CART].links, found[CART].anonymous) == ({2: 7}, 3_008)
    one = engagement(hit(mode="pseudonymous", mail="aa", person="bb", count=9))
    assert one[CART].hits == {("open", "human"): 1}


def test_where_mails_can_be_told_apart_each_counts_once() -> None:
    pseudonymous = {"mode": "pseudonymous", "mail": "aa", "person": "bb"}
    click = {"kind": "click", "link": 1, **pseudonymous}
    found = engagement(
        hit(**pseudonymous),
        hit(**pseudonymous),
        hit(**(pseudonymous | {"mail": "cc"})),
        hit(**click),
        hit(**click),
        hit(**(click | {"link": 2})),
    )
    assert found[CART].hits == {("open", "human"): 2, ("click", "human"): 2}
    assert (found[CART].links, found[CART].anonymous) == ({1: 1, 2: 1}, 0)


def test_a_machines_click_is_nobodys_interest_in_a_link() -> None:
    found = engagement(hit(kind="click", link=1, verdict="machine"))
    assert found[CART].links == {}


def test_mails_are_what_was_decided_each_once() -> None:
    found = engagement(decision("a"), decision("a"), decision("b"), decision("c", kind="held"))
    assert found[CART].decided == 2


def test_the_mails_of_those_who_were_forgotten_stay_in_the_numbers() -> None:
    """An erasure takes customer and command id off a decision."""
    assert engagement(decision(""), decision(""))[CART].decided == 2


def test_steps_are_told_apart_and_in_order() -> None:
    found = engagement(hit(step="s2"), hit(workflow="w05"), hit(), decision("a", step="s3"))
    assert list(found) == [
        MailStep("w05", "s1"),
        CART,
        MailStep("w06", "s2"),
        MailStep("w06", "s3"),
    ]
