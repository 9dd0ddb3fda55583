"""Reads the values of an order file's columns, each refused with a reason when it can't be read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, TypeAdapter, ValidationError

from schemas.events.fields import Id
from schemas.events.person import Traits
from schemas.instant import from_datetime, parse_instant
from schemas.problem_words import problem_words
from schemas.written_amounts import read_amount
from schemas.written_times import read_time

MAX_PIECES = 1_000_000
"""Of one line, as `Quantity` allows."""
MAX_TEXT = 1_000
"""Characters of a name, as `Text` allows."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CODE = re.compile(r"[A-Za-z]{3}")
_DAY_FIRST = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T,]+(?:ore )?(\d{1,2})[:.](\d\d)(?:[:.](\d\d))?)?"
)
"""`02/03/2026 10:15`: of a country that writes the month first, --time-format says it."""
_SPACED_OFFSET = re.compile(r"\s+(UTC|Z|[+-]\d{2}:?\d{2})$")
_ID: TypeAdapter[str] = TypeAdapter(Id, config=ConfigDict(coerce_numbers_to_str=True))

T = TypeVar("T")


class LineRefused(Exception):
    """A line that can't be used. `reason` is from a closed set."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNotation:
    """How a file writes times and numbers."""

    zone: ZoneInfo
    """For times that name none."""
    time_format: str = ""
    """For `strptime`; empty: ISO 8601."""
    decimal_comma: bool = False
    """1,234 is less than two. Without it, that says nothing certain; 1.234,56 says it itself."""


class Values:
    """Reads values; each text is read once and its value held once, as most occur many times.

    All methods raise LineRefused.
    """

    def __init__(self, notation: FileNotation) -> None:
        self._notation = notation
        self._ids: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._times: dict[str, int] = {}
        self._amounts: dict[str, Decimal] = {}
        self._quantities: dict[str, int] = {}
        self._currencies: dict[str, str] = {}

    def id(self, name: str, text: str) -> str:
        """Return an id as events accept it; `name` is for the refusal."""
        return _once(self._ids, text, lambda text: _id(name, text))

    def text(self, text: str) -> str:
        """Return a name on one line."""
        return _once(self._texts, text, one_line)

    def time(self, text: str) -> int:
        """Return an instant, ms since the epoch."""
        return _once(self._times, text, self._read_time)

    def amount(self, name: str, text: str) -> Decimal:
        """Return an amount of money, which may be negative."""
        return _once(self._amounts, text, lambda text: self._read_amount(name, text))

    def quantity(self, text: str) -> int:
        """Return a number of pieces, which may be negative."""
        return _once(self._quantities, text, self._read_quantity)

    def currency(self, text: str) -> str:
        """Return an ISO 4217 code."""
        return _once(self._currencies, text, _currency)

    def _read_time(self, text: str) -> int:
        notation = self._notation
        try:
            if notation.time_format:
                moment = datetime.strptime(text, notation.time_format)
            elif match := _DAY_FIRST.fullmatch(text):
                day, month, year, hour, minute, second = (int(each or 0) for each in match.groups())
                moment = datetime(year, month, day, hour, minute, second)
            else:
                plain = _SPACED_OFFSET.sub(_joined_offset, text)
                return read_time(plain, notation.zone.key).instant
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=notation.zone)
            return parse_instant(from_datetime(moment))
        except (ValueError, OverflowError) as error:
            hint = "" if notation.time_format else "; --time-format says how times are written"
            raise LineRefused("bad_time", f"time: {text[:64]!r}: {error}{hint}") from None

    def _read_amount(self, name: str, text: str) -> Decimal:
        try:
            amount = read_amount(text, "comma" if self._notation.decimal_comma else None).amount
        except ValueError as error:
            hint = "; is --decimal-comma missing?" if "," in text else ""
            raise LineRefused("bad_price", f"{name}: {error}{hint}") from None
        cents = round(amount, 2)
        return cents if cents == amount else amount  # `52.000000`, as databases write it

    def _read_quantity(self, text: str) -> int:
        try:
            number = read_amount(text, "comma" if self._notation.decimal_comma else None).amount
        except ValueError:
            raise LineRefused("bad_quantity", f"quantity: {text[:40]!r} is no number") from None
        if number != int(number) or abs(number) > MAX_PIECES:
            problem = f"quantity: {text[:40]!r} is no whole number up to {MAX_PIECES}"
            raise LineRefused("bad_quantity", problem)
        return int(number)


def trait(name: str, text: str) -> str:
    """Return what `text` says about a customer, empty when it says nothing usable."""
    try:
        traits = Traits.model_validate({name: one_line(text)})
    except ValidationError:
        return ""
    return str(getattr(traits, name) or "")


def one_line(text: str) -> str:
    """Return a text without control characters, at most `MAX_TEXT` long."""
    return _CONTROL.sub(" ", text)[:MAX_TEXT].strip()


def _once(known: dict[str, T], text: str, read: Callable[[str], T]) -> T:
    value = known.get(text)
    if value is None:
        value = known[text] = read(text)
    return value


def _id(name: str, text: str) -> str:
    try:
        return _ID.validate_python(text)
    except ValidationError as error:
        problem = problem_words(error.errors(include_url=False)[0])
        raise LineRefused("missing_id", f"{name}: {problem} (got {text[:64]!r})") from None


def _currency(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise LineRefused("bad_currency", f"currency: {text[:40]!r} is no three-letter code")
    return text.upper()


def _joined_offset(match: re.Match[str]) -> str:
    return "+00:00" if match[1] in ("UTC", "Z") else match[1]
