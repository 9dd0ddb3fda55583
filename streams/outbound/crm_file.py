"""`crm.yaml`: which CRM is told what, and what is read from it. See docs/crm.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.durations import Duration
from schemas.events import PAYLOADS
from schemas.events.custom import is_custom
from schemas.secret_reference import SecretReference
from schemas.suggestions import did_you_mean
from schemas.time_units import DAY_MS, MINUTE_MS
from schemas.type_patterns import matches
from schemas.written_form import Form, SystemName
from streams.outbound.conditions import OF_MESSAGES, compile_condition, compile_value
from streams.outbound.subscriptions import TypePattern
from streams.settings.operator_file import FileIssue, read_operator_file, twice

OF_OBJECTS = ("object",)
"""What is known where something is read: one object as the CRM has it."""

READABLE = ("call.logged", "deal.stage_changed", "support.requested", "survey.answered")
"""What a CRM may tell; besides events of the shop's own."""


def _over_object(text: str) -> str:
    compile_value(text, OF_OBJECTS)
    return text


def _over_message(text: str) -> str:
    compile_value(text, OF_MESSAGES)
    return text


def _condition(text: str) -> str:
    if text:
        compile_condition(text)
    return text


def _event(text: str) -> str:
    if (text not in READABLE or text not in PAYLOADS) and not is_custom(text):
        near = did_you_mean(text, READABLE)
        raise ValueError(f"expected one of {', '.join(READABLE)}, or custom.NAME{near}")
    return text


OfObject = Annotated[str, AfterValidator(_over_object)]
OfMessage = Annotated[str, AfterValidator(_over_message)]
PropertyName = Annotated[
    str, Form("[A-Za-z][A-Za-z0-9_]{0,99}", "a letter, then letters, digits and underscores")
]
ApiPath = Annotated[str, Form("/[!-~]{0,500}", "a path that begins with /")]


class CrmReading(BaseModel):
    """What is polled: objects of one kind, since the last change that was seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: SystemName
    path: ApiPath
    """Of the search, as `/crm/v3/objects/deals/search`."""
    changed: PropertyName
    """The property that says when an object was changed, in ms or RFC 3339."""
    properties: tuple[PropertyName, ...] = Field(min_length=1, max_length=100)
    every: Duration = 5 * MINUTE_MS
    event: Annotated[str, AfterValidator(_event)]
    fact: tuple[OfObject, ...] = Field(min_length=1, max_length=5)
    """What tells one event from another, such as id and stage."""
    customer: OfObject
    time: OfObject
    data: dict[str, OfObject] = Field(default={}, max_length=50)
    when: str = ""

    @field_validator("every")
    @classmethod
    def _not_always(cls, value: int) -> int:
        if not MINUTE_MS <= value <= DAY_MS:
            raise ValueError("expected from 1m to 1d")
        return value

    @field_validator("when")
    @classmethod
    def _holds(cls, text: str) -> str:
        return _over_object(text) if text else text


class CrmProperties(BaseModel):
    """Which properties of a contact follow from messages of some types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[TypePattern, ...] = Field(min_length=1, max_length=50)
    when: Annotated[str, AfterValidator(_condition)] = ""
    properties: dict[PropertyName, OfMessage] = Field(min_length=1, max_length=50)


class CrmWriting(BaseModel):
    """How contacts are told: a batch upsert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: ApiPath
    by: Literal["email", "customer"] = "email"
    id_property: PropertyName = "email"
    """What the CRM calls it; unique there."""
    together: int = Field(default=100, ge=1, le=100)
    per_second: float = Field(default=4.0, gt=0, le=100)
    """Requests at most."""
    give_up_after: Duration = DAY_MS
    map: tuple[CrmProperties, ...] = Field(min_length=1, max_length=50)

    @field_validator("give_up_after")
    @classmethod
    def _within(cls, value: int) -> int:
        if not MINUTE_MS <= value <= 7 * DAY_MS:
            raise ValueError("expected from 1m to 7d")
        return value

    def takes(self, type_: str) -> bool:
        """Whether messages of a type tell it anything."""
        return any(matches(type_, each.types) for each in self.map)


class Crm(BaseModel):
    """One CRM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: SystemName
    url: str = Field(max_length=500)
    token: SecretReference
    private: bool = False
    read: tuple[CrmReading, ...] = Field(default=(), max_length=20)
    write: CrmWriting | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Crm:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("url: expected https://HOST")
        if parts.scheme != "https" and not self.private:
            raise ValueError("url: expected https://; http only with private: true")
        return self


class CrmFile(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crm: tuple[Crm, ...] = Field(default=(), max_length=10)


def read_crm(path: Path, *, again: bool = False) -> tuple[Crm, ...]:
    """Return the CRMs of a file, none when there is no file. `again`: some of it are in use.
    Raises OperatorFileError."""
    if not path.exists():
        return ()
    return read_operator_file(path, CrmFile, _wrong_together, again=again).content.crm


def _wrong_together(file: CrmFile) -> Iterator[FileIssue]:
    yield from twice((each.name for each in file.crm), "crm")
    for number, crm in enumerate(file.crm):
        for issue in twice((each.name for each in crm.read), "read"):
            yield FileIssue(("crm", number, *issue.path), issue.problem)
