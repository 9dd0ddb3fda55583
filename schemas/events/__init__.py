"""Events: what customers do and what is done to them, discriminated by `type`.

The envelope follows CloudEvents 1.0, the properties follow the Segment V2 e-commerce vocabulary in
snake_case. `EVENT_TYPES` has a row for each type (`schemas/event_type.py`), beside the model of its
properties; `schemas/wire.py` reads and writes the accepted forms.

    fields      what properties are made of
    shopping    looking, cart, checkout, orders
    person      who it is, consent and lists, answers
    own         what our own actors tell each other
    custom      what a shop declares itself
    hints       what libraries send along with each event
    odd         what of an event was read otherwise, or left out

What became of a mail is in `schemas/outcomes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from schemas import outcomes
from schemas.continuation import LOG_CONTINUED
from schemas.event_type import EventType
from schemas.events import own, person, shopping
from schemas.events.fields import Id, Text
from schemas.events.hints import Hints
from schemas.events.odd import OddField
from schemas.field_kinds import Strict
from schemas.instant import Instant
from schemas.origin import Origin

EVENT_TYPES: Mapping[str, EventType] = {
    each.name: each
    for each in (
        *shopping.EVENT_TYPES,
        *person.EVENT_TYPES,
        *outcomes.EVENT_TYPES,
        *own.EVENT_TYPES,
    )
}
"""Each with what is known of it beforehand. What of that is asked at each event is made a set where
it is asked."""

PAYLOADS: Mapping[str, type[BaseModel]] = {name: each.data for name, each in EVENT_TYPES.items()}

INTERNAL_TYPES = frozenset(each.name for each in EVENT_TYPES.values() if each.internal)
"""Written by our own actors; refused from `publish`."""

TOLD_TO_LINKS = frozenset(each.name for each in EVENT_TYPES.values() if each.told_to_links)
"""Told to link actors by customers' and visitors' actors."""

LINK_TYPES = frozenset(
    each
    for each in INTERNAL_TYPES
    if each.startswith(("link.", "confirmation.", "marketing."))
    or each in ("order.placed_elsewhere", "address.said", "address.told", "address.confirmed")
)
"""All that customers' actors and links' actors tell each other of links."""

IDENTIFYING_TYPES = frozenset(each.name for each in EVENT_TYPES.values() if each.identifies)
"""With them a shop says who somebody is."""

ACTIVE = frozenset(each.name for each in EVENT_TYPES.values() if each.active)
"""What people do in the shop or with its mails."""

TICK = "ritorno.tick"
WORKFLOWS = "ritorno.workflows"
PRODUCTS = "ritorno.products"
ERASED = "ritorno.erased"
SET_ASIDE = "ritorno.set_aside"
RETRY = "ritorno.retry"
TIME_RULING = "ritorno.time_ruling"
CONTROL_TYPES = frozenset(
    {TICK, WORKFLOWS, PRODUCTS, ERASED, SET_ASIDE, RETRY, TIME_RULING, LOG_CONTINUED}
)
"""Control records: without a key, for the partition and not for a customer. `ERASED` is what is
left of the record of an erased customer: a time in the log. `SET_ASIDE` names a place at which our
own code failed (`schemas/set_aside.py`), `RETRY` what is to be tried again (`schemas/retry.py`),
`TIME_RULING` what time records count as (`schemas/time_rulings.py`), `LOG_CONTINUED` that a log
which was made anew goes on here (`schemas/continuation.py`)."""


class Event(NamedTuple):
    """One event, read and checked."""

    id: str
    type: str
    source: str
    time: int | None
    """When it happened, ms since the epoch; None where the sender did not say."""
    customer: str
    """Whom it is about: a customer id, or a visitor's anonymous id while unknown; among our own
    actors a reference (`schemas/reference.py`)."""
    anonymous_id: str | None
    """The visitor's id, when the sender knows both."""
    backfill: bool
    """History: builds state, starts nothing, mails nobody."""
    data: Any
    """An instance of `PAYLOADS[type]`."""
    signature: bytes = b""
    """Of a recorded event that Ritorno itself had written (`schemas/signing.py`)."""
    origin: Origin | None = None
    """Where one of our actors decided to send it; None when somebody else has sent it."""
    named: bool = False
    """The sender calls whom it is about a customer: a `userId`, a subject."""
    public: bool = False
    """Somebody in public has said it (`ritorno_speaker`); where that is absent the shop has."""
    forwarded: bool = False
    """A visitor's actor passes it on, to a customer."""
    traceparent: str = ""
    """Which trace it belongs to (`schemas/trace.py`); empty where the sender gives none."""
    odd: tuple[OddField, ...] = ()
    """Fields that were read in another way than they were written, or left out."""
    hints: Hints | None = None
    """What a library has sent along with it."""

    def at(self, time: int) -> Event:
        """Return the same at another time. Of each event that comes by HTTP; `_replace` takes three
        times as long."""
        return Event._make((*self[:3], time, *self[4:]))


class CloudEvent(BaseModel):
    """An event in CloudEvents structured mode, for the exported JSON Schema and the parser."""

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="ignore", coerce_numbers_to_str=True
    )

    specversion: Annotated[Literal["1.0"], Strict()] = "1.0"
    id: Annotated[Id, Strict()]
    source: Text = "/unknown"
    type: Annotated[Text, Strict()]
    time: Instant | None = None
    subject: Annotated[Id, Strict()] | None = None
    """The customer id. While the customer is unknown: absent, or the same as anonymousid."""
    anonymousid: Annotated[Id, Strict()] | None = None
    backfill: Annotated[bool, Strict()] = False
    traceparent: str | None = None
    """The trace that it belongs to, as in W3C's Trace Context; of another form it is left out."""
    data: Annotated[dict[str, JsonValue], Strict()] = {}

    @field_validator("data", mode="before")
    @classmethod
    def _no_data_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value
