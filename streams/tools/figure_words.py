"""Key figures in the words and numbers of a language."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency, format_decimal

from streams.messages.translations import Language, locale_of, message

COLUMNS = ("figure", "key", "value", "range", "of", "span")


def heads(language: Language) -> list[str]:
    """Return the names of the columns."""
    return [message(language, f"kpi.column.{name}") for name in COLUMNS]


def figure_cells(row: Mapping[str, Any], language: Language) -> list[str]:
    """Return a figure as `Figure.data` has it, in words."""
    unit = row["unit"]
    name = message(language, f"kpi.name.{row['kpi']}")
    key = row["key"] or ""
    if row["period"] is not None:
        key = f"{key} +{row['period']}"
    marks = [message(language, "kpi.partial")] if row["partial"] else []
    if row["basis"] != "facts":
        marks.append(message(language, "kpi.part" if row["basis"] == "part" else "kpi.sums"))
    low, high = _number(row["low"], unit, language), _number(row["high"], unit, language)
    of = ""
    if row["denominator"] is not None:
        parts = [_plain(row[each], language) for each in ("numerator", "denominator")]
        of = " / ".join(parts) + (f" {row['of']}" if row["of"] else "")
    span = " – ".join(filter(None, (row["from"], row["to"])))
    if row["window_days"]:
        span = f"{span} ({message(language, 'kpi.window', days=row['window_days'])})".strip()
    value = " ".join([_number(row["value"], unit, language), *marks])
    return [name, key, value, f"{low} – {high}" if low and high else "", of, span]


def about_words(about: Mapping[str, Any], language: Language) -> str:
    """Return what holds for all figures: how fresh they are, whose days, what amounts hold."""
    return message(language, "kpi.about", fresh=about["fresh"] or "–", zone=about["zone"])


def _number(value: Any, unit: str, language: Language) -> str:
    if value is None:
        return "–"
    locale, number = locale_of(language), Decimal(str(value))
    if unit == "%":
        return f"{format_decimal(number, '#,##0.0', locale=locale)} %"
    if len(unit) == 3 and unit.isupper():
        # A terminal shows a blank that doesn't break as an escape.
        return str(format_currency(number, unit, locale=locale)).replace("\xa0", " ")
    return str(format_decimal(number, locale=locale))


def _plain(value: Any, language: Language) -> str:
    if value is None:
        return "–"
    return str(format_decimal(Decimal(str(value)), "#,##0.##", locale=locale_of(language)))
