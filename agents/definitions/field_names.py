"""Checks the fields that a workflow names outside its conditions: in texts, as dates, to be set.

Only whoever publishes checks this: a worker takes what was published, and a field that isn't there
any more is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from agents.rules.conditions import ConditionError, check_text, find_date
from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import ValidationIssue
from schemas.definitions.steps import Step, steps_with_paths
from schemas.definitions.triggers import OnDate
from schemas.definitions.waits import WaitUntilDate
from schemas.definitions.workflow import Workflow


def check_names(
    workflow: Workflow, registry: FieldRegistry, about: str
) -> Iterator[ValidationIssue]:
    """Yield what is named and isn't there."""
    if registry.is_open:
        return
    if isinstance(workflow.trigger, OnDate):
        yield from _date(workflow.trigger.date, registry, "", "trigger.date")
    for path, step in steps_with_paths(workflow.steps):
        yield from _step(step, path, registry, about)


def _step(step: Step, path: str, registry: FieldRegistry, about: str) -> Iterator[ValidationIssue]:
    for number, wait in enumerate(step.wait):
        if isinstance(wait, WaitUntilDate):
            yield from _date(wait.date, registry, about, f"{path}.wait.{number}.date")
    for at, text in step.texts():
        yield from _text(text, registry, about, f"{path}.{at}")
    for name, type_ in step.sets().items():
        yield from _settable(name, type_, registry, f"{path}.{step.verb}.{name}")


def _date(name: str, registry: FieldRegistry, about: str, path: str) -> Iterator[ValidationIssue]:
    try:
        find_date(name, registry, about=about)
    except ConditionError as error:
        yield ValidationIssue(path, str(error))


def _text(text: str, registry: FieldRegistry, about: str, path: str) -> Iterator[ValidationIssue]:
    try:
        check_text(text, registry, about=about)
    except ConditionError as error:
        yield ValidationIssue(path, str(error))


def _settable(
    name: str, type_: str, registry: FieldRegistry, path: str
) -> Iterator[ValidationIssue]:
    field = name if name.startswith("profile.") else f"fields.{name.removeprefix('fields.')}"
    known = registry.find(field)
    if known is None:
        yield ValidationIssue(path, f"no such field: {field}{registry.near(field)}")
    elif type_ and known.type not in (type_, "any"):
        yield ValidationIssue(path, f"{field} is a {known.type}, and must be a {type_} here")
    elif field in ("profile.age", "profile.language", "profile.birthday_month"):
        yield ValidationIssue(path, f"{field} follows from other fields and can't be set")
