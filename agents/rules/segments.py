"""Segments (S02): customers of whom something is true at the moment.

Membership is part of the customer's record and moves with it in the same state change. Only those
segments are looked at whose answer may be another one: by what has changed, or by time. For time
there is a timer at the first instant at which any answer may turn, so that "no order for 60 days"
is entered at 60 days, and nobody polls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agents.rules.conditions import CompiledCondition, ConditionError, compile_condition
from agents.rules.fields import FieldRegistry, Part
from agents.rules.validation_errors import InvalidDefinition, ValidationIssue
from schemas.definitions.conditions import Condition
from schemas.definitions.shop import Segments

_NOT_HERE: Mapping[Part, str] = {
    "event": "a segment isn't about one event",
    "run": "a segment isn't about one run",
    "now": "every customer would enter and leave it with the clock; ask for it in the workflow",
}


class CompiledSegment(NamedTuple):
    """A segment with its condition."""

    id: str
    check: CompiledCondition


class Segmentation:
    """All segments of a shop, those first on which others depend."""

    def __init__(
        self, compiled: Sequence[CompiledSegment], needs: Mapping[str, frozenset[str]]
    ) -> None:
        """`needs`: which segments' membership each one asks for."""
        self.all = tuple(compiled)
        self._needs = needs
        self._by_parts: dict[frozenset[Part], tuple[CompiledSegment, ...]] = {}
        self.timed = self._with_dependents({each.id for each in compiled if each.check.changes})

    def reading(self, parts: frozenset[Part]) -> tuple[CompiledSegment, ...]:
        """Return those whose answer may be another one when these parts have changed."""
        found = self._by_parts.get(parts)
        if found is None:
            found = self._with_dependents({e.id for e in self.all if e.check.parts & parts})
            self._by_parts[parts] = found
        return found

    def _with_dependents(self, chosen: set[str]) -> tuple[CompiledSegment, ...]:
        for each in self.all:  # in the order of dependence, so that one pass is enough
            if self._needs[each.id] & chosen:
                chosen.add(each.id)
        return tuple(each for each in self.all if each.id in chosen)


NO_SEGMENTS = Segmentation((), {})


def compile_segments(definition: Segments, registry: FieldRegistry) -> Segmentation:
    """Return the segments of a definition. Raises Mistakes."""
    issues: list[ValidationIssue] = []
    compiled: dict[str, CompiledSegment] = {}
    needs: dict[str, frozenset[str]] = {}
    for number, segment in enumerate(definition.segments):
        path = f"segments.{number}"
        if segment.id in compiled:
            issues.append(ValidationIssue(f"{path}.id", f"there are two segments {segment.id}"))
        try:
            check = compile_condition(segment.condition, registry)
        except ConditionError as error:
            issues.append(ValidationIssue(f"{path}.if.{error.path}", str(error)))
            continue
        issues += [
            ValidationIssue(f"{path}.if", problem)
            for problem in _problems(segment.condition, check)
        ]
        compiled[segment.id] = CompiledSegment(segment.id, check)
        needs[segment.id] = frozenset(_asked_for(segment.condition)) - {segment.id}
        if segment.id in _asked_for(segment.condition):
            issues.append(ValidationIssue(f"{path}.if", f"{segment.id} depends on itself"))
    order = _in_order(needs)
    if order is None:
        issues.append(ValidationIssue("segments", "segments depend on each other in a circle"))
    if issues or order is None:
        raise InvalidDefinition(issues)
    return Segmentation([compiled[id_] for id_ in order], needs)


def _problems(condition: Condition, check: CompiledCondition) -> Iterator[str]:
    for part, why in _NOT_HERE.items():
        if part in check.parts:
            yield f"{part}.… can't be asked for here: {why}"
    for name in sorted(check.unforeseen - {"now.time"}):
        yield f"cel: {name} changes at every instant; compare it by a rule"
    if _asks_for_any(condition):
        yield "segments: say which ones; whether there are any can't be asked here"
    if _names_segments_in_cel(condition):
        yield "cel: segments can't be asked for here; use a rule, segments: {contains: …}"


def _inner(condition: Condition) -> list[Condition]:
    return [*condition.all_, *condition.any_, *([condition.not_] if condition.not_ else [])]


def _asks_for_any(condition: Condition) -> bool:
    test = condition.fields.get("segments")
    asks = test is not None and test.known is not None
    return asks or any(_asks_for_any(each) for each in _inner(condition))


def _names_segments_in_cel(condition: Condition) -> bool:
    if condition.cel:
        own = compile_condition(Condition(cel=condition.cel), FieldRegistry())
        if "segments" in own.reads:
            return True
    return any(_names_segments_in_cel(each) for each in _inner(condition))


def _asked_for(condition: Condition) -> Iterator[str]:
    """Yield the segments whose membership is asked for."""
    test = condition.fields.get("segments")
    if test is not None:
        given = [test.contains, test.lacks, *(test.one_of or ()), *(test.not_in or ())]
        yield from (str(each) for each in given if each is not None)
    for each in _inner(condition):
        yield from _asked_for(each)


def _in_order(needs: Mapping[str, frozenset[str]]) -> list[str] | None:
    """Return them so that each comes after those it needs; None when they go in a circle."""
    order: list[str] = []
    waiting = list(needs)
    while waiting:
        ready = [id_ for id_ in waiting if not needs[id_] & set(waiting)]
        if not ready:
            return None
        order += ready
        waiting = [id_ for id_ in waiting if id_ not in ready]
    return order
