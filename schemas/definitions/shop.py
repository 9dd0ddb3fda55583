"""What a shop says of itself besides its workflows: policy, segments, fields, coupons, loyalty."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from schemas.customer.mail import SENT_HISTORY
from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition, Name, Texts
from schemas.durations import Duration
from schemas.instant import LocalTime
from schemas.money import Amount
from schemas.time_units import DAY_MS


class Cap(Definition):
    """At most so many marketing mails in a span."""

    at_most: int = Field(ge=1, le=SENT_HISTORY)
    per: Literal["day"] | Duration
    """`day`: a calendar day in the customer's zone. Else any such span, both ends included."""
    workflow: str = ""
    """Only of this workflow; of all if empty."""


class Quiet(Definition):
    """No marketing from `from` to `to`, local time; over midnight when `from` is the later."""

    begins: LocalTime = Field(alias="from")
    ends: LocalTime = Field(alias="to")


class Mix(Definition):
    """How many of the marketing mails may be promotional (R01)."""

    promotional: float = Field(gt=0, le=1)
    """At most this share…"""
    span: Duration = Field(gt=0)
    """…of those in any such span…"""
    from_mails: int = Field(ge=1, le=SENT_HISTORY // 2)
    """…that holds at least so many."""

    @model_validator(mode="after")
    def _leaves_room_for_one(self) -> Mix:
        if self.promotional * self.from_mails < 1:
            raise ValueError(
                f"from_mails {self.from_mails}: {self.promotional} of them is less than one mail, "
                "so that no promotional mail could ever be sent"
            )
        return self


class Fatigue(Definition):
    """Who ignores mails, unsubscribes or asks for less gets fewer (R02)."""

    ignored: int = Field(ge=1)
    """So many marketing mails in a row without any interaction of the customer…"""
    unsubscribed: Duration = 0
    """…or a list left within this time…"""
    caps: list[Cap] = Field(min_length=1)
    """…and these hold besides the others."""


class Policy(Definition):
    """Who gets how much mail, and when: the one place that arbitration follows."""

    id: Literal["policy"] = "policy"
    definition: Literal["policy"]
    caps: list[Cap] = []
    quiet: Quiet | None = None
    mix: Mix | None = None
    fatigue: Fatigue | None = None
    soft_opt_in: bool = False
    soft_opt_in_lasts: Duration = 730 * DAY_MS
    remind_typed: bool = True
    """Whether who has agreed to marketing is reminded of a cart or checkout at an address that was
    only typed. Other marketing needs an address on a better ground (`agents/customer/grounds.py`)
    or a consent that the shop states."""
    hold: Duration = 3 * DAY_MS
    """How long a mail may be held when its step does not say."""
    sales: str = ""
    """Where `notify: sales` goes: a mail address or a webhook. Empty: only the signal."""


class Segment(Definition):
    """Customers of whom something is true at the moment."""

    id: Name
    title: Texts = {}
    condition: Condition = Field(alias="if")


class Segments(Definition):
    """All segments, in `workflows/segments.yaml`."""

    id: Literal["segments"] = "segments"
    definition: Literal["segments"]
    segments: list[Segment]


class CustomField(Definition):
    """A field of the shop's own, set by traits of the same name or by a `set` step."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    type: Literal["text", "number", "date", "flag"]
    title: Texts = {}


class Fields(Definition):
    """All custom fields, in `workflows/fields.yaml`."""

    id: Literal["fields"] = "fields"
    definition: Literal["fields"]
    fields: list[CustomField]


CouponKind = Literal["percent", "amount", "free_shipping", "buy_one_get_one", "gift", "cash",
                     "vip_club", "contest"]  # fmt: skip


class Campaign(Definition):
    """A coupon campaign. Codes come from a pool or are generated, unique and for one use each."""

    id: Name
    kind: CouponKind
    value: Amount | None = None
    """Per cent, or money in `currency`; none for the kinds that have no number."""
    currency: str = "EUR"
    description: Texts
    lasts: Duration | None = None
    """From the issue; codes without it don't expire."""
    until: str = ""
    """RFC 3339: no code is valid longer, and none issued later."""
    prefix: str = Field(default="", pattern=r"^[A-Z0-9]{0,12}$")
    length: int = Field(default=10, ge=6, le=16)
    """Characters after the prefix, five bits each: with ten of them two of a million codes are the
    same with a chance of 1 in 2000."""
    pool: list[str] = []
    """Codes made by the shop; used up in order, each once however the list is edited. With a pool
    nothing is generated."""
    minimum: Amount | None = None
    """Order value from which it may be used, in `currency`: the mail says it, the till is told."""

    @model_validator(mode="after")
    def _value_fits_the_kind(self) -> Campaign:
        needs = self.kind in ("percent", "amount", "cash")
        if needs != (self.value is not None):
            raise ValueError(f"kind {self.kind} {'needs a' if needs else 'has no'} value")
        if self.kind == "percent" and self.value is not None and not 0 < self.value <= Decimal(100):
            raise ValueError(f"value: {self.value} is not a percentage")
        return self


class Coupons(Definition):
    """All campaigns, in `workflows/coupons.yaml`."""

    id: Literal["coupons"] = "coupons"
    definition: Literal["coupons"]
    campaigns: list[Campaign]


class Tier(Definition):
    """A loyalty tier."""

    name: Name
    title: Texts
    at_least: int = Field(alias="from", gt=0)
    """Points earned within the programme's span."""


class Loyalty(Definition):
    """The loyalty programme, in `workflows/loyalty.yaml`: points on spend, tiers up and down."""

    id: Literal["loyalty"] = "loyalty"
    definition: Literal["loyalty"]
    points_per_unit: Amount
    """Points for one unit of `currency` spent; whole points, rounded down per order."""
    currency: str = "EUR"
    span: Duration = 365 * DAY_MS
    """Points count for the tier for so long; those of a month end together."""
    tiers: list[Tier] = Field(min_length=1)

    @model_validator(mode="after")
    def _tiers_ascend(self) -> Loyalty:
        floors = [tier.at_least for tier in self.tiers]
        if floors != sorted(set(floors)):
            raise ValueError("tiers must ascend")
        return self
