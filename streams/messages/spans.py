"""Spans of time, days, hours and numbers in words, as they stand in workflow files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from streams.messages.decisions import Language

_DAY = 86_400_000
_UNITS_MS = (_DAY, 3_600_000, 60_000, 1000)
_UNITS: Mapping[Language, Sequence[tuple[str, str]]] = {
    "en": (("day", "days"), ("hour", "hours"), ("minute", "minutes"), ("second", "seconds")),
    "it": (("giorno", "giorni"), ("ora", "ore"), ("minuto", "minuti"), ("secondo", "secondi")),
}
_AND: Mapping[Language, str] = {"en": " and ", "it": " e "}
_OR: Mapping[Language, str] = {"en": " or ", "it": " o "}

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY_NAMES: Mapping[Language, Sequence[str]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "it": ("lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"),
}
_TO: Mapping[Language, str] = {"en": "{} to {}", "it": "da {} a {}"}
_MONTHS: Mapping[Language, Sequence[str]] = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December"),
    "it": ("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto",
           "settembre", "ottobre", "novembre", "dicembre"),
}  # fmt: skip


def span(milliseconds: int, language: Language) -> str:
    """Return `2 days and 12 hours`; `0 seconds` for none."""
    parts, rest = [], milliseconds
    for unit, names in zip(_UNITS_MS, _UNITS[language], strict=True):
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count} {names[count != 1]}")
    return both(parts, language) or f"0 {_UNITS[language][-1][1]}"


def both(parts: Sequence[str], language: Language) -> str:
    """Return `a, b and c`."""
    return _listed(parts, _AND[language])


def either(parts: Sequence[str], language: Language) -> str:
    """Return `a, b or c`."""
    return _listed(parts, _OR[language])


def weekdays(days: Sequence[str], language: Language) -> str:
    """Return `Monday to Friday` for days that follow each other, else each by name."""
    names = _WEEKDAY_NAMES[language]
    places = sorted({_WEEKDAYS.index(day) for day in days})
    if len(places) > 2 and places[-1] - places[0] == len(places) - 1:
        return _TO[language].format(names[places[0]], names[places[-1]])
    return both([names[place] for place in places], language)


def day_of_year(day: str, language: Language) -> str:
    """Return `20 November` for `11-20`."""
    month, _, number = day.partition("-")
    return f"{int(number)} {_MONTHS[language][int(month) - 1]}"


def number(value: float | Decimal, language: Language) -> str:
    """Return a number without needless digits, with the language's decimal sign."""
    text = f"{Decimal(str(value)).normalize():f}"
    return text.replace(".", ",") if language == "it" else text


def _listed(parts: Sequence[str], last: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + last + parts[-1]
