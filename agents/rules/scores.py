"""Scores (S03, S04): points for what a customer does, by event type and by rules.

What they are worth is arithmetic (`agents/rules/decay.py`). Here they are given, other bands
announced, and those workflows told that wait for a threshold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agents.rules.conditions import CompiledCondition, ConditionError, compile_condition
from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import InvalidDefinition, ValidationIssue
from schemas.definitions.scoring import Rule, Scoring


class Scale(NamedTuple):
    """By what a score is measured, at hand for each event."""

    scoring: Scoring
    half_life: int | None
    floors: tuple[float, ...]
    """Of the bands after the first, which begins at 0."""
    bands: tuple[str, ...]

    def band(self, value: float) -> str:
        """Return in which band a value lies; empty when there are none."""
        return self.bands[bisect_right(self.floors, value)] if self.bands else ""


def scale(scoring: Scoring) -> Scale:
    """Return by what a score is measured."""
    floors = tuple(band.at_least for band in scoring.bands[1:])
    return Scale(scoring, scoring.half_life, floors, tuple(band.name for band in scoring.bands))


class Scored(NamedTuple):
    """What events of one type count in one score."""

    scale: Scale
    points: float
    rules: tuple[tuple[Rule, CompiledCondition | None], ...]


def compile_scoring(scoring: Scoring, registry: FieldRegistry) -> Mapping[str, Scored]:
    """Return what counts by event type. Raises Mistakes."""
    issues: list[ValidationIssue] = []
    rules: dict[str, list[tuple[Rule, CompiledCondition | None]]] = {}
    for number, rule in enumerate(scoring.rules):
        check = None
        if rule.where is not None:
            try:
                check = compile_condition(rule.where, registry, about=rule.on)
            except ConditionError as error:
                issues.append(ValidationIssue(f"rules.{number}.where.{error.path}", str(error)))
        rules.setdefault(rule.on, []).append((rule, check))
    if issues:
        raise InvalidDefinition(issues)
    measure = scale(scoring)
    return {
        type_: Scored(measure, scoring.points.get(type_, 0.0), tuple(rules.get(type_, ())))
        for type_ in scoring.points.keys() | rules.keys()
    }


def by_event(compiled: Iterable[Mapping[str, Scored]]) -> Mapping[str, tuple[Scored, ...]]:
    """Return what counts in any of several scores, by event type."""
    found: dict[str, tuple[Scored, ...]] = {}
    for each in compiled:
        for type_, scored in each.items():
            found[type_] = (*found.get(type_, ()), scored)
    return found
