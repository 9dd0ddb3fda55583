"""Feeds that are fetched again and again: `[[feeds]]` in the settings file, one table each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.durations import Duration
from schemas.notation import DecimalMark
from schemas.problem_words import problem_words
from schemas.suggestions import did_you_mean
from schemas.time_units import HOUR_MS, MINUTE_MS
from streams.settings.values import Identifier

MOST_FEEDS = 50


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user and password in it, which would be shown to many")
    return value


def _map(value: dict[str, str]) -> dict[str, str]:
    if value:
        from schemas.products import Product  # noqa: PLC0415  # few have one

        unknown = sorted(value.keys() - Product.model_fields.keys())
        if unknown:
            raise ValueError(f"{unknown[0]} is no field of a product")
    return value


class FeedSource(BaseModel):
    """Where a feed is, and how it is read (`ritorno products publish --help`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    url: Annotated[str, AfterValidator(_url)] = Field(repr=False)
    """Not shown: many carry a key."""
    kind: Literal["auto", "google", "shopify", "woocommerce", "own"] = "auto"
    every: Annotated[Duration, Field(ge=MINUTE_MS)] = HOUR_MS
    """Ms between two looks; in the file as `30m`, `1h`."""
    map: Annotated[dict[str, str], AfterValidator(_map)] = {}
    """Which column holds a field of ours."""
    whole: bool = False
    """What it leaves out is gone."""
    variants: Literal["folded", "each"] = "folded"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    decimals: DecimalMark | None = None
    max_mb: int = Field(default=200, ge=1, le=2_000)
    """What is downloaded at most, as it travels; unpacked it may be ten times as much."""


def _feeds(value: object) -> object:
    """Read a list of tables, from the environment as JSON; says what is wrong without the values,
    among which are URLs with keys."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "[]")
        except ValueError:
            raise ValueError("not JSON") from None
    if not isinstance(value, list | tuple):
        raise ValueError("expected [[feeds]] with name and url")  # pydantic's way
    if len(value) > MOST_FEEDS:
        raise ValueError(f"{len(value)} feeds, at most {MOST_FEEDS}")
    return tuple(_feed(number, each) for number, each in enumerate(value, start=1))


def _feed(number: int, given: Any) -> FeedSource:
    if isinstance(given, FeedSource):
        return given
    name = given.get("name") if isinstance(given, Mapping) else None
    try:
        return FeedSource.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "table"
        message = problem_words(first)
        if first["type"] == "extra_forbidden":
            message += did_you_mean(str(first["loc"][-1]), FeedSource.model_fields)
        raise ValueError(f"feed {name or number}: {place}: {message}") from None


def _names_once(value: tuple[FeedSource, ...]) -> tuple[FeedSource, ...]:
    names = [each.name for each in value]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two feeds are called {', '.join(sorted(twice))}")
    return value


Feeds = Annotated[tuple[FeedSource, ...], BeforeValidator(_feeds), AfterValidator(_names_once)]
