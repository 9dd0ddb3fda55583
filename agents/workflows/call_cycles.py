"""Calls: a workflow that by its calls begins itself again would never come to an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agents.rules.validation_errors import ValidationIssue
from schemas.definitions import AnyDefinition
from schemas.definitions.steps import CallStep
from schemas.definitions.workflow import Workflow


def circles(workflow: Workflow, definitions: Iterable[AnyDefinition]) -> Iterator[ValidationIssue]:
    """Yield a mistake for each way of calls that leads back to the workflow."""
    calls = {each.id: _called(each) for each in definitions if isinstance(each, Workflow)}
    for name in _called(workflow):
        way = _way_back([workflow.id, name], calls)
        if way:
            yield ValidationIssue("steps", f"calls itself again: {' → '.join(way)}")


def _called(workflow: Workflow) -> list[str]:
    return [step.call for step in workflow.all_steps() if isinstance(step, CallStep)]


def _way_back(way: list[str], calls: Mapping[str, list[str]]) -> list[str]:
    if way[-1] == way[0]:
        return way
    for name in calls.get(way[-1], ()):
        if name not in way[1:]:
            found = _way_back([*way, name], calls)
            if found:
                return found
    return []
