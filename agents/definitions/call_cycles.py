"""Finds cycles of calls: a workflow that begins itself again by its calls would never come to an
end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agents.rules.validation_errors import ValidationIssue
from schemas.definitions import AnyDefinition
from schemas.definitions.steps import CallStep
from schemas.definitions.workflow import Workflow


def circles(workflow: Workflow, definitions: Iterable[AnyDefinition]) -> Iterator[ValidationIssue]:
    """Yield a mistake for each path of calls that leads back to the workflow."""
    calls = {each.id: _called(each) for each in definitions if isinstance(each, Workflow)}
    for name in _called(workflow):
        path = _cycle([workflow.id, name], calls)
        if path:
            yield ValidationIssue("steps", f"calls itself again: {' → '.join(path)}")


def _called(workflow: Workflow) -> list[str]:
    return [step.call for step in workflow.all_steps() if isinstance(step, CallStep)]


def _cycle(path: list[str], calls: Mapping[str, list[str]]) -> list[str]:
    if path[-1] == path[0]:
        return path
    for name in calls.get(path[-1], ()):
        if name not in path[1:]:
            found = _cycle([*path, name], calls)
            if found:
                return found
    return []
