"""Signals: what changed about a customer, for systems downstream, on `customer-signals`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.definitions.shop import CouponKind
from schemas.instant import Instant
from schemas.money import Amount


class ScoreChanged(BaseModel):
    """The engagement score has crossed into another band, by something the customer did."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["score.changed"] = "score.changed"
    id: str
    time: Instant
    customer: str
    score: str = "engagement"
    value: float
    band: str
    previous_band: str


class TierChanged(BaseModel):
    """The customer is in another tier of the loyalty programme; `tier` is empty below the first."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["tier.changed"] = "tier.changed"
    id: str
    time: Instant
    customer: str
    tier: str
    previous_tier: str
    points: int


CouponChange = Literal["issued", "redeemed", "released", "revoked"]
"""released: the order that it was redeemed with was changed, and names another. revoked: the
loyalty tier for which it was given is gone with an order, and it was not used; it is good at the
till until the shop takes it back there."""


class CouponChanged(BaseModel):
    """A code was issued: the shop's till has to know it from now on. Or it was redeemed."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["coupon.changed"] = "coupon.changed"
    id: str
    time: Instant
    customer: str
    change: CouponChange
    code: str
    campaign: str
    kind: CouponKind | None = None
    value: Amount | None = None
    currency: str = ""
    minimum: Amount | None = None
    """What an order must come to for the code to count; the till sees to it."""
    expires: Instant | None = None
    order_id: str = ""
    """The order that it was redeemed with."""


WhatNoticed = Literal[
    "refund_exceeds_total",
    "unknown_amount",
    "unknown_status",
    "not_kept",
    "forgotten",
    "shortened",
    "no_rate",
]
"""refund_exceeds_total: more was given back than was paid; only that counts. unknown_amount: a
refund that doesn't say how much. unknown_status: a word for a status that is not known; it changes
nothing. not_kept: it is about an order of which only the number is remembered, so that no sum can
follow. forgotten: an order of which something was told has not come, and newer ones need the room.
shortened: what was told of one is more than can wait for it. no_rate: its currency, named by
the detail, has no rate (`rates.yaml`), so that it brings no points."""


class OrderNoticed(BaseModel):
    """Something said of an order could not be taken as it stands."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["order.noticed"] = "order.noticed"
    id: str
    time: Instant
    customer: str
    order_id: str
    what: WhatNoticed
    detail: str = ""


class SegmentChanged(BaseModel):
    """The customer has entered a segment, or left it."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["segment.changed"] = "segment.changed"
    id: str
    time: Instant
    customer: str
    segment: str
    change: Literal["entered", "left"]


class TagChanged(BaseModel):
    """A tag was put on the customer, or is gone: by a workflow, the shop, or since its time is
    over."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["tag.changed"] = "tag.changed"
    id: str
    time: Instant
    customer: str
    tag: str
    change: Literal["added", "removed"]


class CustomerErased(BaseModel):
    """The customer asked to be forgotten: downstream systems do the same."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["customer.erased"] = "customer.erased"
    id: str
    time: Instant
    customer: str


class SalesAlert(BaseModel):
    """A workflow wants the shop's people to know of a customer."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["sales.alert"] = "sales.alert"
    id: str
    time: Instant
    customer: str
    workflow: str
    step: str
    message: dict[str, str] = {}
    """By language."""


class DataRequested(BaseModel):
    """The customer asks for a copy of what is known (GDPR art. 15): it is due within a month.

    `ritorno privacy export` makes Ritorno's part of it; other systems hold others.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["customer.data_requested"] = "customer.data_requested"
    id: str
    time: Instant
    customer: str


class DataExported(BaseModel):
    """A copy of what Ritorno knows was made for the customer."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["customer.data_exported"] = "customer.data_exported"
    id: str
    time: Instant
    customer: str


class AudienceExported(BaseModel):
    """The customer is in a file for an advertising platform, as a hash (`ritorno audience`)."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    signal: Literal["audience.exported"] = "audience.exported"
    id: str
    time: Instant
    customer: str
    export: str
    """The same for all who are in that file."""
    segment: str
    format: str
    by: str
    """Who has written it."""


Signal = Annotated[
    ScoreChanged
    | SegmentChanged
    | TagChanged
    | TierChanged
    | CouponChanged
    | OrderNoticed
    | CustomerErased
    | DataRequested
    | DataExported
    | AudienceExported
    | SalesAlert,
    Field(discriminator="signal"),
]
SIGNAL: TypeAdapter[Signal] = TypeAdapter(Signal, config=ConfigDict(defer_build=True))
