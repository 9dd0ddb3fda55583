"""Scores: points for what customers do, in `workflows/scores.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.definitions.definition import Definition
from schemas.durations import Duration


class Band(Definition):
    """A name for scores from `from` upwards."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")
    at_least: float = Field(alias="from", ge=0)


class Scoring(Definition):
    """How engagement is scored: points by event type, halving with time."""

    id: Literal["engagement"] = "engagement"
    definition: Literal["scoring"]
    half_life: Duration = Field(gt=0)
    points: dict[str, float]
    bands: list[Band] = Field(min_length=1)

    @model_validator(mode="after")
    def _bands_ascend_from_zero(self) -> Scoring:
        floors = [band.at_least for band in self.bands]
        if floors[0] != 0 or floors != sorted(set(floors)):
            raise ValueError("bands must begin at 0 and ascend")
        return self
