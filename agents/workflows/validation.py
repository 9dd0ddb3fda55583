"""Checking a definition against all others of a shop, before it is published."""

from __future__ import annotations

from collections.abc import Sequence

from agents.rules.fields import Vocabulary
from agents.rules.scores import compile_scoring
from agents.rules.segments import compile_segments
from agents.rules.validation_errors import Mistakes, ValidationIssue
from agents.workflows.incentives import review_incentive_depends_on_rating
from agents.workflows.program import compile_program
from schemas.definitions import AnyDefinition
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Segments
from schemas.definitions.steps import places
from schemas.definitions.workflow import Workflow


def mistakes_in(definition: AnyDefinition, vocabulary: Vocabulary) -> Sequence[ValidationIssue]:
    """Return what is wrong with a definition, by what the shop's vocabulary has."""
    try:
        match definition:
            case Workflow():
                compile_program(definition, vocabulary)
                return _rewards_by_rating(definition)
            case Segments():
                compile_segments(definition, vocabulary)
            case Scoring():
                compile_scoring(definition, vocabulary)
            case _:
                pass
    except Mistakes as mistakes:
        return mistakes.found
    return ()


def _rewards_by_rating(workflow: Workflow) -> Sequence[ValidationIssue]:
    """R08: what a review is rewarded with is the same for a bad one."""
    found = review_incentive_depends_on_rating(workflow)
    problem = "a reward that depends on how good a review is: who rates badly must get it too"
    return [
        ValidationIssue(path, problem) for path, step in places(workflow.steps) if step.id in found
    ]
