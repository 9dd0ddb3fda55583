"""When a step is due. A step may name alternatives, best first: the first that is known counts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition
from schemas.definitions.triggers import Occurrence
from schemas.durations import Duration
from schemas.instant import LocalTime

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class WaitFor(Definition):
    """A time counted from an occurrence, or from the end of the step before."""

    duration: Duration = Field(alias="for")
    since: Occurrence | Literal["step", "entry"] = "step"
    at: LocalTime | None = None
    """Then until this local time comes."""
    on: list[Weekday] = []
    """Then until one of these days, local time."""


class WaitUntilTime(Definition):
    """Until a local time comes."""

    until: LocalTime
    on: list[Weekday] = []


class WaitUntilDate(Definition):
    """Until a date that is known of the customer, the order or the event, at a local time."""

    date: str
    """A date or instant field: `profile.birthday` (the next one), `order.estimated_delivery`,
    `coupon.expires`, `fields.…`, `event.…`."""
    before: Duration = 0
    after: Duration = 0
    at: LocalTime = "09:00"


class WaitForEvent(Definition):
    """Until something happens, at most `timeout`. Which it was is the step's result: `event` or
    `timeout`."""

    event: Occurrence
    where: Condition | None = None
    timeout: Duration = Field(gt=0)


class WaitForCondition(Definition):
    """Until something is true, at most `timeout`. Result: `condition` or `timeout`."""

    condition: Condition
    timeout: Duration = Field(gt=0)


_KEYS = {"for": "for", "duration": "for", "until": "until", "date": "date", "event": "event",
         "condition": "condition"}  # fmt: skip


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    return next((kind for key, kind in _KEYS.items() if key in given), None)


def _bare(value: Any) -> Any:
    return {"for": value} if isinstance(value, str) else value


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, dict | str) else value


_Kinds = Annotated[
    Annotated[WaitFor, Tag("for")]
    | Annotated[WaitUntilTime, Tag("until")]
    | Annotated[WaitUntilDate, Tag("date")]
    | Annotated[WaitForEvent, Tag("event")]
    | Annotated[WaitForCondition, Tag("condition")],
    Discriminator(
        _kind,
        custom_error_type="wait",
        custom_error_message="a wait names one of: for, until, date, event, condition",
    ),
]
Wait = Annotated[_Kinds, BeforeValidator(_bare, json_schema_input_type=Duration | _Kinds)]

Waits = Annotated[
    list[Wait], BeforeValidator(_one_or_many, json_schema_input_type=Wait | list[Wait])
]
"""One wait, or alternatives."""


class Window(Definition):
    """Allowed hours of the day, in the customer's zone."""

    opens: LocalTime = Field(alias="from")
    closes: LocalTime = Field(alias="to")

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Window:
        if self.opens >= self.closes:
            raise ValueError(f"window opens at {self.opens} and closes at {self.closes}")
        return self


class Lateness(Definition):
    """What to do with a step that comes later than `after` its due time, since nobody was there."""

    after: Duration = 0
    then: Literal["fire", "skip", "window"]
    window: Window | None = None

    @model_validator(mode="after")
    def _window_is_given(self) -> Lateness:
        if (self.then == "window") != (self.window is not None):
            raise ValueError("`window` belongs to `then: window`, and only to it")
        return self
