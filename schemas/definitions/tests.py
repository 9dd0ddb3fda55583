"""The tests that a workflow file carries: given these events at these times, expect these mails.

Times count from the test's `start` (`0m`, `1d2h`, `-30d`), or are RFC 3339.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from schemas.definitions.definition import Definition, Name
from schemas.durations import duration_text, parse_duration
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.events.custom import is_declarable
from schemas.instant import Instant, parse_instant
from schemas.suggestions import did_you_mean

GIVEN_TYPES = sorted(PAYLOADS.keys() - INTERNAL_TYPES)


def moment(text: str, start: int) -> int:
    """Return a test's time as ms since the epoch; `start` likewise. Raises ValueError."""
    if "T" in text:
        return parse_instant(text)
    sign = -1 if text.startswith("-") else 1
    return start + sign * parse_duration(text.removeprefix("-"))


def moment_text(instant: int, start: int) -> str:
    """Return the shortest text that `moment` reads as the same instant, to the second."""
    sign = "-" if instant < start else ""
    return sign + duration_text(abs(instant - start))


def _readable(text: str) -> str:
    moment(text, 0)
    return text


Moment = Annotated[str, AfterValidator(_readable)]


class GivenEvent(Definition):
    """One thing that happens; what it says beyond the fields here are the event's properties.

    One whose time lies before that of the one above it arrives late, right after that one.
    """

    model_config = ConfigDict(extra="allow")

    at: Moment
    event: str = ""
    product: dict[str, JsonValue] | None = None
    """Instead of an event: what the product feed says of a product from then on."""
    customer: str = ""
    """Somebody else than the customer of the test."""
    visitor: str = ""
    """The anonymous id under which it happens, alone or beside `customer`."""
    backfill: bool = False
    """It is history: it is known and begins nothing."""

    @model_validator(mode="after")
    def _is_event_or_product(self) -> GivenEvent:
        if (self.product is None) == (not self.event):
            raise ValueError("either an event or a product")
        if self.event and self.event not in GIVEN_TYPES and not is_declarable(self.event):
            near = did_you_mean(self.event, GIVEN_TYPES)
            raise ValueError(f"event {self.event}: there is no such event{near}")
        return self

    @property
    def properties(self) -> dict[str, Any]:
        """The event's own properties."""
        return dict(self.model_extra or {})


class Expected(Definition):
    """One mail, or one decision, at a time."""

    at: Moment
    send: str = ""
    """The template of a mail. All mails of the workflow have to be expected, in their order."""
    decision: str = ""
    """Instead of a mail: any decision of the workflow; those that aren't named may be as well."""
    reason: str = ""
    step: str = ""
    detail: str = ""
    """Whole, as it is recorded."""
    contains: list[str] = []
    """Words that the rendered mail has in its subject, its text or its page."""
    lacks: list[str] = []
    """Words that it must not have."""
    locale: str = ""
    """The language that the mail is in."""

    @model_validator(mode="after")
    def _is_mail_or_decision(self) -> Expected:
        if bool(self.decision) == bool(self.send):
            raise ValueError("either send (a mail's template) or decision")
        if self.decision and (self.contains or self.lacks or self.locale):
            raise ValueError("contains, lacks and locale are about a mail")
        return self


class Person(Definition):
    """The customer of a test, known a day before anything happens; other fields are traits."""

    model_config = ConfigDict(extra="allow")

    consent: bool = True
    """To marketing."""
    lists: list[Name] = []
    """Joined then."""
    email: str | None = "giulia@example.com"
    first_name: str | None = "Giulia"
    locale: str | None = "it"

    @property
    def traits(self) -> dict[str, Any]:
        """What the shop knows of the person."""
        known = self.model_dump(exclude={"consent", "lists"}, exclude_none=True)
        return known | dict(self.model_extra or {})


class WorkflowTest(Definition):
    """Events at times, and what comes of them, on virtual time.

    The workflow is live, those that it calls, and the shop's segments, scores, campaigns, fields
    and loyalty programme, but not the other workflows and not the policy.
    """

    name: str = Field(min_length=1)
    start: Instant = parse_instant("2026-03-02T09:00:00Z")
    """A Monday, ten o'clock in Rome."""
    customer: Person = Person()
    given: list[GivenEvent] = Field(min_length=1)
    expect: list[Expected] = []
    begins: bool = True
    """`false`: what is given must not begin the workflow at all."""
    until: Moment | None = None
    """Default: thirty days after the last thing that is named."""
    workflows: list[Name] = []
    """Others that are live too."""
    policy: bool = False
    """Whether the shop's policy holds: caps, quiet hours, the mix."""
