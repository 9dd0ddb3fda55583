"""Spans of time, days, amounts, numbers and lists in words, as they stand in workflow files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

from schemas.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from streams.messages.translations import Language, locale_of, message

# Of CLDR's names of units Babel's Italian lacks the day, so these are messages of ours.
_UNITS = (("day", DAY_MS), ("hour", HOUR_MS), ("minute", MINUTE_MS), ("second", 1000))
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def span(milliseconds: int, language: Language) -> str:
    """Return `2 days and 12 hours`; `0 seconds` for none."""
    parts = [
        message(language, f"span.{unit}", count=count) for unit, count in counted(milliseconds)
    ]
    return both(parts, language)


def counted(milliseconds: int) -> list[tuple[str, int]]:
    """Return a span's units, each with how many of it: `day` 2, `hour` 12."""
    parts, rest = [], milliseconds
    for unit, length in _UNITS:
        count, rest = divmod(rest, length)
        if count:
            parts.append((unit, count))
    return parts or [("second", 0)]


def both(parts: Sequence[str], language: Language) -> str:
    """Return `a, b and c`."""
    return _listed(parts, "standard", language)


def either(parts: Sequence[str], language: Language) -> str:
    """Return `a, b or c`."""
    return _listed(parts, "or", language)


def weekdays(days: Sequence[str], language: Language) -> str:
    """Return `Monday to Friday` for days that follow each other, else each by name."""
    from babel.dates import get_day_names  # noqa: PLC0415  # as below

    names = get_day_names("wide", locale=locale_of(language))
    places = sorted({_WEEKDAYS.index(day) for day in days})
    if len(places) > 2 and places[-1] - places[0] == len(places) - 1:
        first, last = names[places[0]], names[places[-1]]
        return message(language, "weekdays.range", first=first, last=last)
    return both([names[place] for place in places], language)


def day_of_year(day: str, language: Language) -> str:
    """Return `20 November` for `11-20`."""
    from babel.dates import format_skeleton  # noqa: PLC0415  # as below

    leap_day = date.fromisoformat(f"2000-{day}")
    return str(format_skeleton("MMMMd", leap_day, locale=locale_of(language)))


def number(value: float | Decimal, language: Language) -> str:
    """Return a number without needless digits, with the language's decimal sign.

    Thousands are not set apart, as CLDR would: a value may be the number of an order, or a year.
    """
    from babel.numbers import format_decimal  # noqa: PLC0415  # as below

    return format_decimal(
        Decimal(str(value)), "0.#", locale_of(language), decimal_quantization=False
    )


def money(amount: Decimal, currency: str | None, language: Language) -> str:
    """Return `52,00 €`; without a currency the amount alone."""
    from babel.numbers import format_currency, format_decimal  # noqa: PLC0415  # as below

    locale = locale_of(language)
    if not currency:
        return format_decimal(amount, "#,##0.00", locale)
    text = format_currency(amount, currency, locale=locale)
    return text.replace("\N{NO-BREAK SPACE}", " ")  # a terminal breaks no line there


def _listed(parts: Sequence[str], style: Literal["standard", "or"], language: Language) -> str:
    from babel.lists import format_list  # noqa: PLC0415  # commands import this and may say nothing

    return format_list(parts, style, locale_of(language))
