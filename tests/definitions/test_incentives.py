"""R08: a reward must not depend on the rating, on whatever way a file tries it."""

from __future__ import annotations

from typing import Any

import pytest

from agents.definitions.incentives import review_incentive_depends_on_rating
from schemas.definitions import DEFINITION
from schemas.definitions.workflow import Workflow
from tests.harness import SHIPPED

GOOD: dict[str, Any] = {"event.rating": {"at_least": 4}}
COUPON = {"id": "code", "coupon": "grazie"}
POINTS = {"id": "points", "points": 50}


def depends(*steps: dict[str, Any], **more: Any) -> list[str]:
    data = {"id": "w", "title": {"en": "w"}, "trigger": "product.reviewed",
            "entry": {"once_per": "event"}, "steps": steps, **more}  # fmt: skip
    return review_incentive_depends_on_rating(Workflow.model_validate(data))


def test_a_reward_for_every_review_is_right() -> None:
    assert depends(COUPON, POINTS) == []
    plain = {"id": "b", "branch": [{"if": {"orders.count": {"above": 1}}, "steps": [COUPON]}]}
    assert depends(plain) == []
    said = {"id": "b", "branch": [{"if": GOOD, "steps": [{"id": "t", "tag": "happy"}]}]}
    assert depends(said, COUPON) == []  # what is done with the rating itself is free


@pytest.mark.parametrize(
    "steps",
    [
        [COUPON | {"if": GOOD}],
        [{"id": "b", "branch": [{"if": GOOD, "steps": [COUPON]}]}],
        [{"id": "b", "branch": [{"if": GOOD, "steps": []}], "else": [COUPON]}],
        [{"id": "b", "branch": [{"if": {"cel": "event.stars >= 4"}, "steps": [COUPON]}]}],
        [{"id": "b", "branch": [{"if": {"any": [GOOD, {"points": 1}]}, "steps": [COUPON]}]}],
        [{"id": "b", "branch": [{"if": GOOD, "steps": [{"id": "x", "exit": "bad"}]}]}, COUPON],
        [{"id": "b", "branch": [{"if": GOOD, "steps": [{"id": "t", "tag": "happy"}]}]},
         COUPON | {"if": {"tags": {"contains": "happy"}}}],
        [{"id": "b", "branch": [{"if": GOOD, "steps": [{"id": "s", "set": {"mood": "good"}}]}]},
         COUPON | {"if": {"fields.mood": "good"}}],
        [{"id": "w", "wait": {"event": "product.reviewed", "where": GOOD, "timeout": "1d"}},
         {"id": "b", "branch": [{"result": "event", "steps": [COUPON]}]}],
        [{"id": "code", "if": GOOD, "send": "thanks", "kind": "promotional",
          "with": {"coupon": {"code": "X"}}}],
    ],
)  # fmt: skip
@pytest.mark.row("R08")
def test_a_reward_by_rating_is_found(steps: list[dict[str, Any]]) -> None:
    assert depends(*steps) == ["code"]


def test_so_is_one_by_who_may_enter_or_stay() -> None:
    trigger = {"on": "product.reviewed", "where": GOOD}
    assert depends(POINTS, trigger=trigger) == ["points"]
    assert depends(POINTS, entry={"once_per": "event", "if": GOOD}) == ["points"]
    assert depends(POINTS, exit_if={"not": GOOD}) == ["points"]


@pytest.mark.row("R08")
def test_the_shipped_workflows_are_right() -> None:
    for content in SHIPPED.values():
        definition = DEFINITION.validate_json(content)
        if isinstance(definition, Workflow):
            assert review_incentive_depends_on_rating(definition) == []
