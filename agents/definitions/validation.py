"""Checking a definition against all others of a shop, before it is published."""

from __future__ import annotations

from collections.abc import Sequence

from agents.definitions.event_names import undeclared
from agents.definitions.incentives import review_incentive_depends_on_rating
from agents.definitions.program import compile_program
from agents.rules.fields import FieldRegistry
from agents.rules.scores import compile_scoring
from agents.rules.segments import compile_segments
from agents.rules.validation_errors import InvalidDefinition, ValidationIssue
from schemas.definitions import AnyDefinition
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Segments
from schemas.definitions.steps import steps_with_paths
from schemas.definitions.workflow import Workflow


def issues_in(definition: AnyDefinition, registry: FieldRegistry) -> Sequence[ValidationIssue]:
    """Return what is wrong with a definition, by the fields that the shop has."""
    found: list[ValidationIssue] = []
    try:
        match definition:
            case Workflow():
                found = list(undeclared(definition, registry))
                compile_program(definition, registry)
                return [*found, *_rewards_by_rating(definition)]
            case Segments():
                compile_segments(definition, registry)
            case Scoring():
                found = list(undeclared(definition, registry))
                compile_scoring(definition, registry)
            case _:
                pass
    except InvalidDefinition as invalid:
        return [*found, *invalid.found]
    return found


def _rewards_by_rating(workflow: Workflow) -> Sequence[ValidationIssue]:
    """R08: what a review is rewarded with is the same for a bad one."""
    found = review_incentive_depends_on_rating(workflow)
    problem = "a reward that depends on how good a review is: who rates badly must get it too"
    return [
        ValidationIssue(path, problem)
        for path, step in steps_with_paths(workflow.steps)
        if step.id in found
    ]
