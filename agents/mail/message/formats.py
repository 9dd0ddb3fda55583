"""Filters of the templates: money, numbers, dates and links, in the language of the mail."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from jinja2 import pass_context
from jinja2.runtime import Context

from schemas.instant import parse_instant, to_datetime
from schemas.money import parse_amount
from schemas.zones import zone_named

# Language → locale of numbers and dates. English for European shops: the day before the month.
_FORMATS = {"it": "it_IT", "en": "en_GB"}

# C0 and the space. A mail has dozens of links, so one search for all, not one per character.
_ENDS_URL = re.compile("[\x00-\x20]")

ALLOWED_SCHEMES = frozenset({"http", "https", "mailto"})


def _format(context: Context) -> str:
    language = str(context["locale"])
    return _FORMATS.get(language, language)


def _zone(context: Context) -> tzinfo:
    """A zone comes from a profile and may be anything; a wrong one costs an hour, not the mail."""
    return zone_named(str(context.get("zone"))) or UTC


@pass_context
def money(context: Context, amount: Any, currency: str) -> str:
    """`{{ line.price | money(cart.currency) }}` → `52,00 €`. Empty when there is no amount."""
    if amount is None:
        return ""
    return _money(str(amount), currency, _format(context))


@lru_cache(maxsize=4_096)
def _money(amount: str, currency: str, locale: str) -> str:
    """Prices come again: in the text part of the same mail, and in the mails of others."""
    return str(format_currency(parse_amount(amount), currency, locale=locale))


@pass_context
def number(context: Context, count: Any) -> str:
    """`{{ points.balance | number }}` → `1.200`; what is no whole number stays as it is."""
    if isinstance(count, bool) or not isinstance(count, int):
        return "" if count is None else str(count)
    return str(format_decimal(count, locale=_format(context)))


@pass_context
def date(context: Context, moment: Any) -> str:
    """`2026-03-05…` → `5 marzo 2026` in the customer's zone; any other text stays as it is.

    A delivery estimate is what the shop writes: a date or `3–5 giorni`.
    """
    if not moment:
        return ""
    text = str(moment)
    try:
        if len(text) == len("2026-03-05"):
            return str(format_date(datetime.fromisoformat(text), "long", _format(context)))
        local = to_datetime(parse_instant(text)).astimezone(_zone(context))
    except ValueError:
        return text
    return str(format_date(local, "long", _format(context)))


@pass_context
def moment(context: Context, instant: Any) -> str:
    """`2026-03-08T22:59:59Z` → `8 marzo 2026, 23:59` in the customer's zone; a date stays one."""
    day, text = date(context, instant), str(instant)
    try:
        local = to_datetime(parse_instant(text)).astimezone(_zone(context))
    except ValueError:
        return day
    hour = format_time(local, "short", locale=_format(context))
    return f"{day}, {hour}" if "T" in text else day


def url(link: Any) -> str:
    """Return a link that leads to the web or to a mailbox; anything else becomes empty."""
    return _url(str(link or "").strip())


@lru_cache(maxsize=4_096)
def _url(text: str) -> str:
    """Asked several times for each link of a mail, and pictures come again."""
    if _ENDS_URL.search(text):
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    if parts.scheme.lower() not in ALLOWED_SCHEMES:
        return ""
    return text if parts.scheme.lower() == "mailto" or parts.netloc else ""


def stars(rating: Any) -> str:
    """`4.6` → `★★★★★`, `3` → `★★★☆☆`."""
    try:
        full = min(5, max(0, round(float(rating))))
    except (TypeError, ValueError):
        return ""
    return "★" * full + "☆" * (5 - full)


FILTERS: dict[str, Callable[..., str]] = {
    "money": money,
    "number": number,
    "date": date,
    "moment": moment,
    "url": url,
    "stars": stars,
}
