"""Naming: the fields that a workflow names besides its conditions: in texts, as dates, to be set.

Only whoever publishes checks this: a worker takes what was published, and a field that isn't there
any more is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from agents.rules.conditions import ConditionMistake, check_text, find_date
from agents.rules.fields import Vocabulary
from agents.rules.validation_errors import ValidationIssue
from schemas.definitions.steps import Step, places
from schemas.definitions.triggers import OnDate
from schemas.definitions.waits import WaitUntilDate
from schemas.definitions.workflow import Workflow


def check_names(
    workflow: Workflow, vocabulary: Vocabulary, about: str
) -> Iterator[ValidationIssue]:
    """Yield what is named and isn't there."""
    if vocabulary.is_open:
        return
    if isinstance(workflow.trigger, OnDate):
        yield from _date(workflow.trigger.date, vocabulary, "", "trigger.date")
    for path, step in places(workflow.steps):
        yield from _step(step, path, vocabulary, about)


def _step(step: Step, path: str, vocabulary: Vocabulary, about: str) -> Iterator[ValidationIssue]:
    for number, wait in enumerate(step.wait):
        if isinstance(wait, WaitUntilDate):
            yield from _date(wait.date, vocabulary, about, f"{path}.wait.{number}.date")
    for place, text in step.texts():
        yield from _text(text, vocabulary, about, f"{path}.{place}")
    for name, type_ in step.sets().items():
        yield from _settable(name, type_, vocabulary, f"{path}.{step.verb}.{name}")


def _date(name: str, vocabulary: Vocabulary, about: str, path: str) -> Iterator[ValidationIssue]:
    try:
        find_date(name, vocabulary, about=about)
    except ConditionMistake as mistake:
        yield ValidationIssue(path, str(mistake))


def _text(text: str, vocabulary: Vocabulary, about: str, path: str) -> Iterator[ValidationIssue]:
    try:
        check_text(text, vocabulary, about=about)
    except ConditionMistake as mistake:
        yield ValidationIssue(path, str(mistake))


def _settable(
    name: str, type_: str, vocabulary: Vocabulary, path: str
) -> Iterator[ValidationIssue]:
    field = name if name.startswith("profile.") else f"fields.{name.removeprefix('fields.')}"
    known = vocabulary.find(field)
    if known is None:
        yield ValidationIssue(path, f"no such field: {field}{vocabulary.near(field)}")
    elif type_ and known.type not in (type_, "any"):
        yield ValidationIssue(path, f"{field} is a {known.type}, and must be a {type_} here")
    elif field in ("profile.age", "profile.language", "profile.birthday_month"):
        yield ValidationIssue(path, f"{field} follows from other fields and can't be set")
