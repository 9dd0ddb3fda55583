"""Naming: the fields that a workflow names besides its conditions: in texts, as dates, to be set.

Only whoever publishes checks this: a worker takes what was published, and a field that isn't there
any more is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from agents.rules.conditions import ConditionMistake, check_text, find_date
from agents.rules.fields import Vocabulary
from agents.rules.validation_errors import ValidationIssue
from schemas.definitions.steps import (
    NotifyStep,
    SendStep,
    SetStep,
    Step,
    TagStep,
    UntagStep,
    places,
)
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
    for place, text in _texts(step):
        yield from _text(text, vocabulary, about, f"{path}.{place}")
    if isinstance(step, SetStep):
        for name in step.set:
            yield from _settable(name, vocabulary, f"{path}.set.{name}")


def _texts(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the texts of a step that may name fields, with their places."""
    match step:
        case TagStep(tag=text):
            yield "tag", text
        case UntagStep(untag=text):
            yield "untag", text
        case SendStep(variables=values):
            yield from _nested(values, "with")
        case NotifyStep(message=message):
            yield from ((f"message.{language}", text) for language, text in message.items())
        case SetStep(set=values):
            yield from ((f"set.{name}", v) for name, v in values.items() if isinstance(v, str))
        case _:
            pass


def _nested(value: JsonValue, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text of a variable, wherever it stands: all may name fields."""
    match value:
        case str():
            yield path, value
        case list():
            for number, each in enumerate(value):
                yield from _nested(each, f"{path}.{number}")
        case dict():
            for name, each in value.items():
                yield from _nested(each, f"{path}.{name}")


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


def _settable(name: str, vocabulary: Vocabulary, path: str) -> Iterator[ValidationIssue]:
    field = name if name.startswith("profile.") else f"fields.{name.removeprefix('fields.')}"
    if vocabulary.find(field) is None:
        yield ValidationIssue(path, f"no such field: {field}{vocabulary.near(field)}")
    elif field in ("profile.age", "profile.language", "profile.birthday_month"):
        yield ValidationIssue(path, f"{field} follows from other fields and can't be set")
