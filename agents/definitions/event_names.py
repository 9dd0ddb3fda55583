"""Checks that what a definition calls `custom.…` is an event of the shop's own that is declared.

Only whoever publishes checks this: a worker takes what was published, and an event that isn't
declared any more doesn't occur.
"""

from __future__ import annotations

from collections.abc import Iterator

from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import ValidationIssue
from schemas.definitions.scoring import Scoring
from schemas.definitions.steps import steps_with_paths
from schemas.definitions.triggers import OnEvent
from schemas.definitions.waits import WaitFor, WaitForEvent
from schemas.definitions.workflow import Workflow
from schemas.events.custom import is_custom
from schemas.suggestions import did_you_mean


def undeclared(
    definition: Workflow | Scoring, registry: FieldRegistry
) -> Iterator[ValidationIssue]:
    """Yield what is named and isn't declared."""
    if not registry.knows_events:
        return
    for path, name in _named(definition):
        if is_custom(name) and name not in registry.custom_events:
            near = did_you_mean(name, registry.custom_events) or "; events.yaml declares them"
            yield ValidationIssue(path, f"no such event: {name}{near}")


def _named(definition: Workflow | Scoring) -> Iterator[tuple[str, str]]:
    """Return, for each event that is named, where in the file, and its name."""
    if isinstance(definition, Scoring):
        return _of_scoring(definition)
    return _of_workflow(definition)


def _of_scoring(scoring: Scoring) -> Iterator[tuple[str, str]]:
    for name in scoring.points:
        yield f"points.{name}", name
    for number, rule in enumerate(scoring.rules):
        yield f"rules.{number}.on", rule.on


def _of_workflow(workflow: Workflow) -> Iterator[tuple[str, str]]:
    if isinstance(workflow.trigger, OnEvent):
        yield "trigger.on", workflow.trigger.on
    for number, name in enumerate(workflow.exit_on):
        yield f"exit_on.{number}", name
    if workflow.goal is not None:
        yield "goal.on", workflow.goal.on
    for path, step in steps_with_paths(workflow.steps):
        for number, name in enumerate(step.stop_on):
            yield f"{path}.stop_on.{number}", name
        for number, wait in enumerate(step.wait):
            if isinstance(wait, WaitForEvent):
                yield f"{path}.wait.{number}.event", wait.event
            elif isinstance(wait, WaitFor):
                yield f"{path}.wait.{number}.since", wait.since
    for number, test in enumerate(workflow.tests):
        for position, given in enumerate(test.given):
            yield f"tests.{number}.given.{position}.event", given.event
