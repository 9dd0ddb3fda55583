"""Definitions: what a marketer writes in `workflows/*.yaml`.

A definition is identified by its id and its version, the hash of its content. Published versions
are kept in the topic `workflows`; the log says which of them is live.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from schemas.commands import MailClass, MailKind
from schemas.instant import LocalTime

_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS_MS = (604_800_000, 86_400_000, 3_600_000, 60_000, 1_000)
_SHORT_NAMES = ("w", "d", "h", "m", "s")


def parse_duration(value: Any) -> int:
    """Read `1h`, `2d12h`, `30m`, `0s` as milliseconds. Raises ValueError naming the value."""
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        raise ValueError(f"not a duration such as 30m, 1h or 2d12h: {value!r}")
    return sum(
        int(count) * unit
        for count, unit in zip(match.groups(), _UNITS_MS, strict=True)
        if count is not None
    )


def duration_text(milliseconds: int) -> str:
    """Return the shortest text that `parse_duration` reads as the same duration."""
    parts, rest = [], milliseconds
    for unit, name in zip(_UNITS_MS, _SHORT_NAMES, strict=True):
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["2d12h"]}),
]

Occurrence = Literal[
    "cart.changed",
    "cart.emptied",
    "order.completed",
    "order.shipped",
    "order.delivered",
    "order.cancelled",
    "order.refunded",
    "product.reviewed",
    "list.joined",
    "list.left",
]
"""What the actor tells its runs: an event after it was applied, in terms of the customer's state.
`list.joined`: subscribed to a list *and* consented, whichever came last."""


class Definition(BaseModel):
    """Common to all definition files. Unknown fields are errors: a typo must not be silent."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Wait(Definition):
    """Wait for a time that is counted from an occurrence."""

    duration: Duration = Field(alias="for")
    since: Occurrence


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


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, dict | str) else value


class Step(Definition):
    """Wait, then send one mail."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    wait: Annotated[
        list[Wait], BeforeValidator(_one_or_many, json_schema_input_type=Wait | list[Wait])
    ] = Field(min_length=1)
    """Alternatives: the first whose occurrence is known counts, so name the best one first."""
    send: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of the mail template."""
    mail_class: MailClass = Field(alias="class")
    kind: MailKind
    late: Lateness
    stop_on: list[Occurrence] = []
    """This step alone is skipped when one of these happens while it waits or before."""
    skip_if: list[Literal["has_ordered"]] = []
    expires: Duration | None = None
    """How long the mail may wait at the mailer; by class when it is not said."""
    variables: dict[str, JsonValue] = Field(default={}, alias="with")

    @model_validator(mode="after")
    def _class_and_kind_agree(self) -> Step:
        if (self.mail_class == "transactional") != (self.kind == "transactional"):
            raise ValueError(
                f"class {self.mail_class} and kind {self.kind}: "
                "a transactional mail is both, a marketing mail is informative or promotional"
            )
        return self


class Entry(Definition):
    """How often a customer may enter."""

    once_per: Literal["cart", "order", "list", "customer"]
    again_after: Duration | None = None
    """How long after it began the same subject may enter again; never if absent."""


class Workflow(Definition):
    """One automated conversation."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    definition: Literal["workflow"] = "workflow"
    title: dict[str, str]
    trigger: Occurrence
    entry: Entry
    exit_on: list[Occurrence] = []
    """The run ends at once, whatever it waits for."""
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _entry_fits_the_trigger(self) -> Workflow:
        about = self.trigger.partition(".")[0]
        if self.entry.once_per not in ("customer", about):
            raise ValueError(
                f"once_per {self.entry.once_per}: {self.trigger} is about one {about} of a customer"
            )
        return self

    @model_validator(mode="after")
    def _step_ids_differ(self) -> Workflow:
        ids = [step.id for step in self.steps]
        if len(set(ids)) != len(ids):
            raise ValueError(f"two steps have the same id: {', '.join(ids)}")
        return self


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


AnyDefinition = Workflow | Scoring
DEFINITION: TypeAdapter[AnyDefinition] = TypeAdapter(AnyDefinition)


def canonical(definition: AnyDefinition) -> bytes:
    """Return the bytes that are published: the same content gives the same bytes."""
    text = definition.model_dump_json(by_alias=True, exclude_none=True)
    return text.encode()


def version_of(content: bytes) -> str:
    """Return the version of a definition: the first 12 hex digits of its content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]
