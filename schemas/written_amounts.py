"""Amounts as people and programs write them: `10,00`, `1.234,56`, `€ 10`, `10.00 EUR`, `10,-`.

A text is read where it has one meaning. One comma with three digits behind it may group thousands
or begin the decimals, as may one point beside a currency: only a source that has declared its mark
(`schemas/notation.py`) can say.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from schemas.money import DECIMALS, MAX_AMOUNT
from schemas.notation import DecimalMark

MAX_TEXT = 64
"""Characters of an amount; nobody needs more."""

_NUMBER = re.compile(r"(?:(?<![^\W\d_])[.,])?\d(?:[\d.,' _]*\d)?")
"""With a mark before it, unless that ends an abbreviation: `Rs.10`."""
_GROUPED_BY_BLANK = re.compile(r"\d{1,3}(?:([' _])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_GROUPED = {
    ",": re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}"),  # by two in India
    ".": re.compile(r"\d{1,3}(?:\.\d{3})+"),
}
_NO_DECIMALS = re.compile(r"[.,]\s?[-–—]{0,2}|[.,]?[–—]")  # dashes of price tags
_MINUS = re.compile(r"[-−]")  # the sign that text processors write

_SIGNS = {
    "€": "EUR", "euro": "EUR", "euros": "EUR", "£": "GBP", "$": "USD", "us$": "USD", "₹": "INR",
    "₽": "RUB", "₺": "TRY", "₩": "KRW", "₪": "ILS", "₴": "UAH", "₫": "VND", "฿": "THB", "₱": "PHP",
    "₦": "NGN", "₡": "CRC", "r$": "BRL", "c$": "CAD", "ca$": "CAD", "a$": "AUD", "au$": "AUD",
    "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "mx$": "MXN", "zł": "PLN", "zl": "PLN", "kč": "CZK",
    "ft": "HUF", "lei": "RON", "лв": "BGN", "fr": "CHF", "sfr": "CHF", "円": "JPY", "元": "CNY",
    # Of several countries: an amount all the same, whose currency must be said elsewhere.
    "¥": "", "kr": "", "rs": "",
}  # fmt: skip


class UncertainAmount(ValueError):
    """A text that names more than one amount."""


class WrittenAmount(NamedTuple):
    """What a text says."""

    amount: Decimal
    currency: str
    """ISO 4217; empty where the text names none, or a sign of several."""
    certain: bool
    """Whether it is that one beyond doubt: a dollar may be another country's."""


def read_amount(text: str, mark: DecimalMark | None = None) -> WrittenAmount:
    """Return what a text says. `mark`: which stands before the decimals, where that is declared.

    Raises UncertainAmount, and ValueError for what is no amount or too large for one.
    """
    plain = _plain(text)
    found = _NUMBER.search(plain)
    if found is None or len(plain) > MAX_TEXT:
        raise ValueError(f"not an amount: {text[:40]!r}")
    head, tail = plain[: found.start()].strip(), plain[found.end() :].strip()
    negative = head.startswith("(") and tail.endswith(")")
    if negative:
        head, tail = head[1:], tail[:-1]
    tail = _NO_DECIMALS.sub("", tail, count=1) if _NO_DECIMALS.match(tail) else tail
    signs = len(_MINUS.findall(head + tail))
    currencies = [_MINUS.sub("", part).replace("+", "").strip(" .") for part in (head, tail)]
    named = {code for part in currencies if part and (code := read_currency(part)) is not None}
    if signs + negative > 1 or any(part and read_currency(part) is None for part in currencies):
        raise ValueError(f"not an amount: {text[:40]!r}")
    if len(named - {""}) > 1:
        raise UncertainAmount(f"two currencies: {text[:40]!r}")
    formatted = any(currencies)  # for people, and so by the habits of a country
    amount = _number(found[0], mark, text, formatted=formatted)
    if amount > MAX_AMOUNT:
        raise ValueError(f"amount too large: {text[:40]!r}")
    currency = next(iter(named - {""}), "")
    amount = -amount if negative or signs else amount
    return WrittenAmount(amount, currency, certain="$" not in currencies)


@lru_cache(maxsize=256)
def read_currency(text: str) -> str | None:
    """Return the ISO 4217 code that a code, a sign or a word names; empty for a sign of several
    currencies, None for none."""
    name = _plain(text).strip(" .").lower()
    if name in _SIGNS:
        return _SIGNS[name]
    code = name.upper()
    return code if len(code) == 3 and code in _codes() else None  # letters of a code


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    from babel.core import get_global  # noqa: PLC0415  # few need it

    return frozenset(get_global("all_currencies"))


def _plain(text: str) -> str:
    """Return a text with plain digits and blanks, and without what nobody sees."""
    if text.isascii():
        return text.strip()
    folded = unicodedata.normalize("NFKC", text).replace("’", "'")  # the Swiss one
    return "".join(map(_plain_character, folded)).strip()


def _plain_character(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isspace():
        return " "
    if unicodedata.category(character) == "Cf":
        return ""
    return {"٫": ".", "٬": "'"}.get(character, character)  # the marks of Arabic


def _number(digits: str, mark: DecimalMark | None, text: str, *, formatted: bool) -> Decimal:
    """Return the value of digits with marks between them."""
    if any(blank in digits for blank in "' _"):
        if not _GROUPED_BY_BLANK.fullmatch(digits):
            raise ValueError(f"not an amount: {text[:40]!r}")
        digits = re.sub("[' _]", "", digits)
    last = max(digits.rfind(","), digits.rfind("."))
    whole, decimals = digits, ""
    if last >= 0 and _is_decimal(digits, last, mark, formatted=formatted):
        whole, decimals = digits[:last], digits[last + 1 :]
    for sign in ",.":
        if sign in whole:
            if not _GROUPED[sign].fullmatch(whole):
                raise ValueError(f"not an amount: {text[:40]!r}")
            whole = whole.replace(sign, "")
    amount = Decimal(f"{whole or 0}.{decimals}")
    return round(amount, DECIMALS) if len(decimals) > DECIMALS else amount


def _is_decimal(digits: str, last: int, mark: DecimalMark | None, *, formatted: bool) -> bool:
    """Whether the last mark stands before decimals. Raises UncertainAmount."""
    sign = digits[last]
    other = "." if sign == "," else ","
    if digits.count(sign) > 1:
        return False
    if other in digits or not _GROUPED[sign].fullmatch(digits) or digits.startswith("0"):
        return True
    if mark is not None:
        return (sign == ",") == (mark == "comma")
    if sign == "." and not formatted:
        return True  # as programs write numbers
    name = "comma" if sign == "," else "point"
    raise UncertainAmount(f"one {name} and three digits: thousands, or decimals?")
