"""R08: a reward for a review must not depend on how good the review is.

`review_incentive_depends_on_rating` finds where in a workflow it would: coupons, points and codes
given in an arm that is taken, or not taken, by the rating. A tag or a field that is set in such an
arm carries the rating on, so a condition about it counts like one about the rating itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition
from schemas.definitions.steps import Arm, Step
from schemas.definitions.triggers import OnEvent
from schemas.definitions.waits import WaitForCondition, WaitForEvent
from schemas.definitions.workflow import Workflow

_RATING = re.compile(r"\b(rating|ratings|stars|stelle|voto)\b", re.IGNORECASE)
"""How shops call it, in fields, in CEL and in texts."""


def review_incentive_depends_on_rating(workflow: Workflow) -> list[str]:
    """Return the ids of the steps whose reward depends on a rating, in order; none is as it must
    be."""
    reading = _StepWalk()
    trigger = workflow.trigger
    conditions = [workflow.entry.if_, workflow.exit_if]
    if isinstance(trigger, OnEvent):
        conditions.append(trigger.where)
    tainted = any(reading.is_about_rating(condition) for condition in conditions)
    reading.walk(workflow.steps, tainted)
    return reading.found


class _StepWalk:
    """Goes through the steps in the order in which a run would."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._carriers: set[str] = set()
        self._may_have_ended = False
        """Whether some have left by their rating: who is still there depends on it."""
        self._result = False
        """Whether the last result says something of the rating."""

    def walk(self, steps: Iterable[Step], tainted: bool) -> None:
        for step in steps:
            waits_for = self._waits_for_rating(step)
            if waits_for is not None:
                self._result = waits_for
            depends = tainted or self._may_have_ended or self.is_about_rating(step.if_)
            self._take(step, depends)

    def _take(self, step: Step, depends: bool) -> None:
        if depends:
            self._carriers.update(step.carries())
            self._may_have_ended = self._may_have_ended or step.ends
            if step.gives_reward():
                self.found.append(step.id)
        for each in step.arms():
            if isinstance(each.given, Arm):  # those after one are taken since that one was not
                arm = each.given
                asked = self._result if arm.result else self.is_about_rating(arm.if_)
                depends = depends or asked
            self.walk(each.steps, depends)

    def _waits_for_rating(self, step: Step) -> bool | None:
        """Whether the result of the step's wait tells of the rating; None when it has no result."""
        for wait in step.wait:
            if isinstance(wait, WaitForEvent):
                return self.is_about_rating(wait.where)
            if isinstance(wait, WaitForCondition):
                return self.is_about_rating(wait.condition)
        return None

    def is_about_rating(self, condition: Condition | None) -> bool:
        """Whether a condition names the rating, or what carries it."""
        if condition is None:
            return False
        text = _words(condition)
        return bool(_RATING.search(text)) or any(
            re.search(rf"(?<![\w-]){re.escape(name)}", text) for name in self._carriers if name
        )


def _words(condition: Definition) -> str:
    """Return a condition as text, its names with blanks between their parts."""
    data = condition.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    return json.dumps(data, ensure_ascii=False).replace("_", " ").replace(".", " ") + json.dumps(
        data, ensure_ascii=False
    )
