"""Scores: points for what customers do, in `workflows/scores.yaml` and files like it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition, Name
from schemas.durations import Duration
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.events.custom import is_declarable
from schemas.suggestions import did_you_mean

SCORED = frozenset(PAYLOADS) - INTERNAL_TYPES
ScoreName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
"""May stand in `scores.NAME` and in a label."""


class Band(Definition):
    """A name for scores from `from` upwards."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")
    at_least: float = Field(alias="from", ge=0)


class Rule(Definition):
    """Points for something more particular than an event type."""

    id: Name
    on: str
    where: Condition | None = None
    """Over the event's own properties (`event.…`) and the customer."""
    add: float
    within: Duration | None = Field(default=None, gt=0)
    """Counts once, and only as long as it isn't longer ago; without it each time, for ever."""


class Scoring(Definition):
    """How a score is made: points by event type and by rules, halving with time."""

    id: ScoreName = "engagement"
    definition: Literal["scoring"]
    half_life: Duration | None = Field(default=None, gt=0)
    """Without it points don't fade; those of rules with `within` never do."""
    points: dict[str, float] = {}
    rules: list[Rule] = []
    bands: list[Band] = []

    @field_validator("points")
    @classmethod
    def _points_are_for_events(cls, points: dict[str, float]) -> dict[str, float]:
        for type_ in points:
            _known_type(type_)
        return points

    @model_validator(mode="after")
    def _rules_are_for_events(self) -> Scoring:
        ids = [rule.id for rule in self.rules]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if twice:
            raise ValueError(f"two rules have the same id: {', '.join(twice)}")
        for rule in self.rules:
            _known_type(rule.on)
        return self

    @model_validator(mode="after")
    def _bands_ascend_from_zero(self) -> Scoring:
        floors = [band.at_least for band in self.bands]
        if floors and (floors[0] != 0 or floors != sorted(set(floors))):
            raise ValueError("bands must begin at 0 and ascend")
        return self

    def band(self, value: float) -> str:
        """Return in which band a value lies; empty when there are none."""
        name = self.bands[0].name if self.bands else ""
        for band in self.bands:
            if value < band.at_least:
                break
            name = band.name
        return name


def _known_type(type_: str) -> None:
    if type_ not in SCORED and not is_declarable(type_):
        raise ValueError(f"not an event type: {type_!r}{did_you_mean(type_, SCORED)}")
