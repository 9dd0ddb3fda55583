"""`webhooks.yaml`: which messages are posted where.

    webhooks:
      - name: gestionale
        url: https://gestionale.example.it/ritorno
        types: [segment.changed, "mail.*"]
        when: data.segment == "vip"
        secrets: ["env:GESTIONALE_SECRET"]

`types`: names, `PREFIX.*`, or `*` for every signal and everything that becomes of mails. `secrets`:
where the secret is, `env:NAME` or `file:PATH`; of two, while it is exchanged, each signs.
`give_up_after`: how long a message is tried, at least. `private: true` allows the endpoint an
address within the shop's own network, and http there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from agents.mail.message.webhook import InvalidUrl, check_url
from agents.outbound.messages import TYPES
from schemas.durations import Duration
from schemas.secret_reference import MaybeSecret, SecretReference
from schemas.suggestions import did_you_mean
from schemas.time_units import DAY_MS
from schemas.type_patterns import matches
from schemas.written_form import SystemName
from streams.outbound.conditions import compile_condition
from streams.settings.operator_file import FileIssue, read_operator_file, twice

MOST = 50
"""Webhooks of a shop: each follows the log by itself."""

SHORTEST, LONGEST = 60_000, 7 * DAY_MS
"""Of `give_up_after`: signals are kept for 30 days, and none may be gone before it is given up."""


def _known_type(text: str) -> str:
    if text != "*" and text not in TYPES and not (text.endswith(".*") and _begun(text)):
        near = did_you_mean(text, [*TYPES, *_PREFIXES])
        raise ValueError(f"no such type{near or f'; there are {_ALL}'}")
    return text


def _begun(pattern: str) -> bool:
    return any(type_.startswith(pattern[:-1]) for type_ in TYPES)


_PREFIXES = sorted({f"{type_.partition('.')[0]}.*" for type_ in TYPES})
_ALL = f"{', '.join(TYPES)}, PREFIX.* and *"

TypePattern = Annotated[str, AfterValidator(_known_type)]


class WebhookSubscription(BaseModel):
    """One webhook."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: SystemName
    url: Annotated[str, Field(max_length=2_000), MaybeSecret()]
    types: tuple[TypePattern, ...] = Field(min_length=1, max_length=50)
    when: str = ""
    secrets: tuple[SecretReference, ...] = Field(min_length=1, max_length=2)
    give_up_after: Duration = DAY_MS
    private: bool = False

    @field_validator("give_up_after")
    @classmethod
    def _within(cls, value: int) -> int:
        if not SHORTEST <= value <= LONGEST:
            raise ValueError("expected from 1m to 7d")
        return value

    @field_validator("when")
    @classmethod
    def _is_condition(cls, text: str) -> str:
        if text:
            compile_condition(text)
        return text

    @model_validator(mode="after")
    def _can_be_posted_to(self) -> WebhookSubscription:
        try:
            check_url(self.url)
        except InvalidUrl:
            raise ValueError("url: expected https://HOST[/PATH]") from None
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("url: no user and password in it, the signature is the proof")
        if parts.scheme != "https" and not self.private:
            raise ValueError("url: expected https://; http only with private: true")
        return self

    @property
    def shown_url(self) -> str:
        """The URL for people: what follows the path may be a key."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def takes(self, type_: str) -> bool:
        """Whether it wants messages of a type, as far as its condition holds."""
        return matches(type_, self.types)


class Subscriptions(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhooks: tuple[WebhookSubscription, ...] = Field(default=(), max_length=MOST)


def read_subscriptions(path: Path, *, again: bool = False) -> tuple[WebhookSubscription, ...]:
    """Return the webhooks of a file, none when there is no file. `again`: some of it are in use.
    Raises OperatorFileError."""
    if not path.exists():
        return ()
    file = read_operator_file(path, Subscriptions, _wrong_together, again=again)
    return file.content.webhooks


def _wrong_together(file: Subscriptions) -> Iterator[FileIssue]:
    return twice((each.name for each in file.webhooks), "webhooks")
