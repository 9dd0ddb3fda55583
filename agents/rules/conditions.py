"""Conditions as functions over a customer: compiled and checked when a definition is read.

A mistake in a condition is an error that names the field, the value and what is possible, and never
a silent false. A condition that has been compiled answers for every customer: nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from agents.rules.cel_text import ExpressionError
from agents.rules.comparisons import ComparisonError, compile_test
from agents.rules.evaluation import EvaluationContext
from agents.rules.expressions import compile_expression
from agents.rules.fields import Field, FieldRegistry, Part
from agents.rules.values import spoken_amount, written
from schemas.bounds import cut
from schemas.definitions.conditions import Condition, Test
from schemas.stored import NEVER

__all__ = ["CompiledCondition", "ConditionError", "check_text", "compile_condition",
           "fill", "find_date", "read_field"]  # fmt: skip

_NAMED = re.compile(r"\{([a-z_][\w.-]*)\}")
_OPEN = FieldRegistry()

FILLED_BYTES = 20_000
"""Of a text with what its fields are; a mail's longest paragraph is a tenth of it."""


class ConditionError(ValueError):
    """Something in a condition that can't be meant."""

    def __init__(self, path: str, message: str) -> None:
        """`path`: where in the condition, such as `any.0.orders.cout`."""
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """A condition, compiled."""

    matches: Callable[[EvaluationContext], bool]
    reads: frozenset[str]
    """Names of the fields that it reads."""
    parts: frozenset[Part]
    """Of what is known; as long as none of them changes, only time changes the answer."""
    changes: tuple[Callable[[EvaluationContext], int], ...] = ()
    unforeseen: frozenset[str] = frozenset()
    """Fields in an expression that change with time, nobody can tell when."""

    def __call__(self, evaluation: EvaluationContext) -> bool:
        """Return whether it holds."""
        return self.matches(evaluation)

    def changes_at(self, evaluation: EvaluationContext) -> int:
        """Return the earliest instant (ms) after now at which time alone may change the answer;
        NEVER when it can't."""
        earliest = NEVER
        for changes in self.changes:  # not a generator: this runs at each event
            earliest = min(earliest, changes(evaluation))
        return earliest


def compile_condition(
    condition: Condition, registry: FieldRegistry, *, about: str = ""
) -> CompiledCondition:
    """Return the condition as a function. Raises ConditionMistake.

    `about`: the occurrence, or another trigger key, whose properties are `event.…`.
    """
    parts = [*_own_parts(condition, registry, about)]
    parts += _compiled(condition.all_, registry, about, "all")
    some = _compiled(condition.any_, registry, about, "any")
    if some:
        parts.append(_merged(_any_of([check.matches for check in some]), some))
    if condition.not_ is not None:
        (negated,) = _compiled([condition.not_], registry, about, "not")
        matches = negated.matches
        parts.append(_merged(lambda evaluation: not matches(evaluation), [negated]))
    return _all(parts)


def read_field(name: str, evaluation: EvaluationContext) -> Any:
    """Return what a field is at the moment; None, or an empty text, when it isn't known."""
    field = _OPEN.find(name)
    return None if field is None else field.read(evaluation)


def find_date(name: str, registry: FieldRegistry, *, about: str = "") -> Field:
    """Return a field that is a date or an instant. Raises ConditionMistake."""
    field = _find(name, registry, about, "date")
    if field.type not in ("date", "instant", "any"):
        raise ConditionError("date", f"{name} is neither a date nor a point in time")
    return field


def fill(
    text: str,
    evaluation: EvaluationContext,
    *,
    whole: bool = False,
    language: str = "",
    link: bool = False,
) -> str:
    """Replace each `{field}` by what it is, by nothing when that isn't known.

    `whole`: return an empty text when any of them isn't known; `category:` is no tag.
    `language`: of a text for people to read, who write amounts in their own way. `link`: the text
    is an address, and what it names becomes a part of that, if it isn't the whole of it.
    """
    if "{" not in text:
        return cut(text, FILLED_BYTES)
    values = {name: _written(name, evaluation, language) for name in _NAMED.findall(text)}
    if link and not _NAMED.fullmatch(text):
        values = {name: quote(value, safe="") for name, value in values.items()}
    if whole and not all(values.values()):
        return ""
    return cut(_NAMED.sub(lambda match: values[match[1]], text), FILLED_BYTES)


def check_text(text: str, registry: FieldRegistry, *, about: str = "") -> None:
    """See that the fields that a text names exist. Raises ConditionMistake."""
    for name in _NAMED.findall(text):
        _find(name, registry, about, "")


def _written(name: str, evaluation: EvaluationContext, language: str) -> str:
    field = _OPEN.find(name)
    if field is None:
        return ""
    value = field.read(evaluation)
    if language and isinstance(value, Decimal):
        currency = "" if field.currency is None else str(field.currency(evaluation))
        return spoken_amount(value, language, currency)
    return written(value, field.type, evaluation.customer.profile.zone)


def _own_parts(
    condition: Condition, registry: FieldRegistry, about: str
) -> Iterable[CompiledCondition]:
    for name, test in condition.fields.items():
        yield _compiled_test(name, test, registry, about)
    if condition.cel:
        yield _compiled_expression(condition.cel, registry, about)


def _compiled(
    conditions: Iterable[Condition], registry: FieldRegistry, about: str, path: str
) -> list[CompiledCondition]:
    checks = []
    for number, each in enumerate(conditions):
        try:
            checks.append(compile_condition(each, registry, about=about))
        except ConditionError as error:
            at = path if path == "not" else f"{path}.{number}"
            raise ConditionError(f"{at}.{error.path}", str(error)) from None
    return checks


def _compiled_test(name: str, test: Test, registry: FieldRegistry, about: str) -> CompiledCondition:
    field = _find(name, registry, about, name)
    try:
        question = compile_test(field, test)
    except ComparisonError as wrong:
        raise ConditionError(name, f"{name}: {wrong}") from None
    changes = () if question.changes is None else (question.changes,)
    return CompiledCondition(question.matches, frozenset({name}), frozenset({field.part}), changes)


def _compiled_expression(text: str, registry: FieldRegistry, about: str) -> CompiledCondition:
    try:
        matches, fields = compile_expression(text, registry, about)
    except ExpressionError as wrong:
        raise ConditionError("cel", f"cel: {wrong}") from None
    unforeseen = {field.name for field in fields if field.flows or field.name == "now.time"}
    return CompiledCondition(
        matches,
        frozenset(field.name for field in fields),
        frozenset(field.part for field in fields),
        tuple(_stepwise(field) for field in fields if field.changes and not field.flows),
        frozenset(unforeseen),
    )


def _stepwise(field: Field) -> Callable[[EvaluationContext], int]:
    changes = field.changes
    return lambda evaluation: NEVER if changes is None else changes(evaluation, ())


def _find(name: str, registry: FieldRegistry, about: str, path: str) -> Field:
    field = registry.find(name, about)
    if field is None:
        raise ConditionError(path, f"no such field: {name}{registry.near(name, about)}")
    return field


def _merged(
    matches: Callable[[EvaluationContext], bool], checks: Iterable[CompiledCondition]
) -> CompiledCondition:
    checks = list(checks)
    return CompiledCondition(
        matches,
        frozenset().union(*(check.reads for check in checks)),
        frozenset().union(*(check.parts for check in checks)),
        tuple(changes for check in checks for changes in check.changes),
        frozenset().union(*(check.unforeseen for check in checks)),
    )


def _all(checks: list[CompiledCondition]) -> CompiledCondition:
    """All have to hold. As long as one doesn't that time can't change, time changes nothing."""
    merged = _merged(_all_of([check.matches for check in checks]), checks)
    steady = [check.matches for check in checks if not check.changes]
    if not merged.changes or not steady:
        return merged
    others_match = _all_of(steady)

    def changes(evaluation: EvaluationContext) -> int:
        return merged.changes_at(evaluation) if others_match(evaluation) else NEVER

    return replace(merged, changes=(changes,))


def _all_of(
    parts: list[Callable[[EvaluationContext], bool]],
) -> Callable[[EvaluationContext], bool]:
    if len(parts) == 1:
        return parts[0]

    def matches(evaluation: EvaluationContext) -> bool:
        for part in parts:  # noqa: SIM110  # a generator takes twice as long, and this runs at each event
            if not part(evaluation):
                return False
        return True

    return matches


def _any_of(
    parts: list[Callable[[EvaluationContext], bool]],
) -> Callable[[EvaluationContext], bool]:
    def matches(evaluation: EvaluationContext) -> bool:
        for part in parts:  # noqa: SIM110  # as above
            if part(evaluation):
                return True
        return False

    return matches
