"""Triggers: what begins a run. Exactly one kind each; a bare text is an occurrence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition
from schemas.durations import Duration
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.events.custom import CUSTOM, CUSTOM_NAME, is_declarable
from schemas.instant import LocalTime
from schemas.suggestions import did_you_mean

DERIVED: Mapping[str, tuple[str, ...]] = {
    "cart.changed": ("cart.product_added", "cart.product_removed"),
    "cart.emptied": ("cart.product_removed",),
    "list.pending": ("list.subscribed",),
    "list.joined": ("list.subscribed",),
    "list.left": ("list.unsubscribed",),
    "customer.active": (),
    "product.stocked": (),
    "order.partially_refunded": ("order.refunded", "order.cancelled"),
}
"""What the actor concludes, and the events whose properties it has when it was concluded from one
of them. `list.pending`: subscribed, the address is to be proven first. `list.joined`: subscribed to
a list *and* consented, whichever came last. `customer.active`: did anything in the shop or clicked
in a mail, as far as people did it. `product.stocked`: bought a product that is used up,
`event.runs_out` says when; once for those that run out together. `order.partially_refunded`: a part
of an order was refunded or cancelled; `order.refunded` and `order.cancelled` are of the whole."""

OCCURRENCES = (frozenset(PAYLOADS) - INTERNAL_TYPES).union(DERIVED)


def is_occurrence(name: str) -> bool:
    """Return whether a run may be told of what has this name; of a shop's own events that is so
    whether they are declared or not."""
    return name in OCCURRENCES or is_declarable(name)


def _known_occurrence(value: Any) -> Any:
    if not (isinstance(value, str) and is_occurrence(value)):
        near = did_you_mean(str(value), OCCURRENCES)
        known = ", ".join(sorted(OCCURRENCES))
        raise ValueError(
            f"not an occurrence: {value!r}{near or f'; known: {known}, {CUSTOM}… of events.yaml'}"
        )
    return value


Occurrence = Annotated[
    str,
    BeforeValidator(_known_occurrence),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": sorted(OCCURRENCES)},
                {"type": "string", "pattern": f"^custom\\.{CUSTOM_NAME}$"},
            ]
        }
    ),
]
"""What the actor tells its runs: an event after it was applied, or what it concludes from it."""


class OnEvent(Definition):
    """An occurrence, or several of them within a time."""

    on: Occurrence
    where: Condition | None = None
    """Over the event's own properties (`event.…`) and the customer."""
    times: int = Field(default=1, ge=1, le=20)
    """So often, the last one included."""
    within: Duration | None = None
    same: Literal["product_id", "category", "url", "path"] | None = None
    """All of them about the same one of these."""

    @model_validator(mode="after")
    def _times_need_a_span(self) -> OnEvent:
        if (self.times > 1) != (self.within is not None):
            raise ValueError("`times` above 1 and `within` belong together")
        return self


class OnSegment(Definition):
    """A segment is entered or left."""

    segment: str
    when: Literal["entered", "left"] = "entered"


class OnScore(Definition):
    """A score crosses a threshold, upwards with `above`, downwards with `below`."""

    score: str
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> OnScore:
        if (self.above is None) == (self.below is None):
            raise ValueError("one of `above` and `below`")
        return self


class OnTag(Definition):
    """A tag is added (again, after it was gone) or removed."""

    tag: str
    when: Literal["added", "removed"] = "added"


class OnDate(Definition):
    """A date comes round again each year, at a local time. 29 February is 28 in other years."""

    date: str
    """A date or instant field: `profile.birthday`, `orders.first`, `lists.joined`, `fields.…`."""
    before: Duration = 0
    at: LocalTime = "09:00"


class OnInactivity(Definition):
    """Nothing has happened for a time."""

    inactive: Literal["orders", "interactions"]
    """orders: none since the last one. interactions: nothing at all, in the shop or with mails."""
    lasts: Duration = Field(alias="for", gt=0)


ProductChange = Literal["price_drop", "back_in_stock", "low_stock", "new_version", "launch"]
ProductConcern = Literal["interested", "owned", "in_cart"]
Threshold = Annotated[int, Field(gt=0)]


class OnProduct(Definition):
    """The product feed changes for a product that concerns the customer."""

    product: ProductChange
    of: ProductConcern = "interested"
    """Whom it concerns: viewed repeatedly, wished for or tagged with it; bought; has in the cart.
    `new_version`: the one that it replaces is looked at. `launch`: its category is."""


class OnTier(Definition):
    """The loyalty tier goes up or down."""

    tier: Literal["up", "down"]
    to: str = ""
    """Only to this one."""


class OnPoints(Definition):
    """The points reach a threshold, or one of several."""

    points: Threshold | Annotated[list[Threshold], Field(min_length=1)]

    @property
    def thresholds(self) -> list[int]:
        """All of them."""
        return self.points if isinstance(self.points, list) else [self.points]


class OnCall(Definition):
    """Only another workflow's `call` step begins it."""

    called: Literal[True]


_KINDS: Mapping[str, str] = {
    key: key
    for key in ("on", "segment", "score", "tag", "date", "inactive", "product", "tier", "points",
                "called")
}  # fmt: skip


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((kind for kind in _KINDS if kind in value), None)
    return next((kind for kind in _KINDS if kind in getattr(value, "model_fields_set", ())), None)


def _bare(value: Any) -> Any:
    return {"on": value} if isinstance(value, str) else value


_Kinds = Annotated[
    Annotated[OnEvent, Tag("on")]
    | Annotated[OnSegment, Tag("segment")]
    | Annotated[OnScore, Tag("score")]
    | Annotated[OnTag, Tag("tag")]
    | Annotated[OnDate, Tag("date")]
    | Annotated[OnInactivity, Tag("inactive")]
    | Annotated[OnProduct, Tag("product")]
    | Annotated[OnTier, Tag("tier")]
    | Annotated[OnPoints, Tag("points")]
    | Annotated[OnCall, Tag("called")],
    Discriminator(
        _kind,
        custom_error_type="trigger",
        custom_error_message="a trigger names one of: " + ", ".join(_KINDS),
    ),
]
Trigger = Annotated[_Kinds, BeforeValidator(_bare, json_schema_input_type=Occurrence | _Kinds)]
