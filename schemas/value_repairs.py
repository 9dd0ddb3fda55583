"""Reads values that are written otherwise than their fields want them, by the fields' kinds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic_core import from_json

from schemas.bounds import cut, fits
from schemas.decimal_points import is_doubtful
from schemas.events.odd import Problem
from schemas.field_kinds import FieldKind, Kind
from schemas.flags import read_flag
from schemas.money import DECIMALS, MAX_AMOUNT
from schemas.notation import DecimalMark, Notation
from schemas.urls import read_url
from schemas.written_addresses import SeveralAddresses, read_address
from schemas.written_amounts import UncertainAmount, WrittenAmount, read_amount, read_currency
from schemas.zones import read_zone

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_INVISIBLE_BLANKS = "\u200b\u2060\ufeff"
_NESTED = 3
"""Lists of one in a list of one: nobody nests deeper."""


class LeftOut(Exception):
    """A value that can't be read; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem: Problem = problem


class Refused(Exception):
    """A value that could be misread, or do harm: the event must not count with or without it."""


class Doubtful(Exception):
    """An amount that may be a thousand times another one."""


class Repair(NamedTuple):
    """What is taken for a value."""

    value: Any
    problem: Problem = "format"
    written: WrittenAmount | None = None
    """Of an amount, what its text says besides."""


class How(NamedTuple):
    """How a shop's system writes."""

    notation: Notation
    mark: DecimalMark | None
    """What its source has declared."""


def is_empty(value: Any) -> bool:
    """Whether a value says that there is none."""
    if isinstance(value, str):
        return not value.strip().strip(_INVISIBLE_BLANKS)
    return value is None or (isinstance(value, list | dict) and not value)


def repaired(kind: FieldKind, given: Any, how: How) -> Repair:
    """Return what is meant. Raises LeftOut, Refused and Doubtful."""
    problem: Problem | None = None
    if kind.kind not in _OF_LISTS:
        for _ in range(_NESTED):
            if isinstance(given, list):
                given, problem = _only(given), "kind"
        if is_empty(given):
            return Repair(None, "empty")
    repair = _READERS[kind.kind](kind, given, how)
    if problem is None or repair.problem == "assumed":
        return repair
    return repair._replace(problem=problem)


def as_object(given: Any) -> dict[str, Any] | None:
    """Return the object that a value is meant to be: an empty list, one in a list of one, or in a
    text. None when it is none."""
    if isinstance(given, str) and given.lstrip()[:1] in ("{", "["):
        given = _from_text(given)
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if is_empty(given):
        return {}
    return given if isinstance(given, dict) else None


def _only(given: list[Any]) -> Any:
    """Return the only value of a list, however often it stands there."""
    if any(each != given[0] for each in given[1:]):
        raise LeftOut("several")
    return given[0] if given else None


def _text(kind: FieldKind, given: Any, how: How) -> Repair:
    if isinstance(given, dict) and kind.name == "variant":
        return _text(kind, _name_of(given), how)._replace(problem="kind")
    text = _plain(given)
    limit = kind.at_most
    if limit is not None and len(text) > limit:
        return Repair(text[:limit].rstrip(), "too_long")
    if kind.in_bytes is not None and not fits(text, kind.in_bytes):
        return Repair(cut(text, kind.in_bytes), "too_long")
    return Repair(text)


def _name_of(variant: dict[str, Any]) -> Any:
    """Return what tells a variant from others, of an object. Raises LeftOut for nothing."""
    names = ("title", "name", "id")
    found = next((variant[name] for name in names if not is_empty(variant.get(name))), None)
    if found is None:
        raise LeftOut("kind")
    return found


def _code(kind: FieldKind, given: Any, how: How) -> Repair:
    """A text of which a part would be another one."""
    if isinstance(given, str) and _CONTROL.search(given.strip()):
        raise LeftOut("unreadable")
    repair = _text(kind, given, how)
    if repair.problem == "too_long":
        raise LeftOut("too_long")
    return repair


def _id(kind: FieldKind, given: Any, how: How) -> Repair:
    if isinstance(given, str) and _CONTROL.search(given.strip()):
        raise Refused("control characters in an id")
    if isinstance(given, list | dict | bool):
        raise LeftOut("kind")
    return _code(kind, given, how)


def _url(kind: FieldKind, given: Any, how: How) -> Repair:
    if not isinstance(given, str):
        raise LeftOut("kind")
    too_long = kind.at_most is not None and len(given) > kind.at_most
    url = None if too_long else read_url(given, how.notation.shop_url)
    if url is None:
        raise LeftOut("too_long" if too_long else "unreadable")
    return Repair(url)


def _address(kind: FieldKind, given: Any, how: How) -> Repair:
    if not isinstance(given, str):
        raise LeftOut("kind")
    try:
        address = read_address(given)
    except SeveralAddresses:
        raise LeftOut("several") from None
    if address is None:
        raise LeftOut("unreadable")
    return Repair(address)


def _currency(kind: FieldKind, given: Any, how: How) -> Repair:
    code = read_currency(given) if isinstance(given, str) else None
    if not code:
        raise LeftOut("unreadable" if isinstance(given, str) else "kind")
    return Repair(code, "assumed" if given.strip() == "$" else "format")


def _zone(kind: FieldKind, given: Any, how: How) -> Repair:
    zone = read_zone(given) if isinstance(given, str) else None
    if zone is None:
        raise LeftOut("unreadable" if isinstance(given, str) else "kind")
    return Repair(zone)


def _amount(kind: FieldKind, given: Any, how: How) -> Repair:
    written = _written(given, how, strict=True)
    return Repair(written.amount, _how_sure(given, how), written)


def _deduction(kind: FieldKind, given: Any, how: How) -> Repair:
    """An amount that is taken off, whatever its sign."""
    written = _written(given, how, strict=True)
    return Repair(abs(written.amount), _how_sure(given, how), written)


def _how_sure(given: Any, how: How) -> Problem:
    """Say whether the point of an amount in an object, or in a list of one, may group thousands."""
    text = _of_object(given) if isinstance(given, dict) else given
    is_assumed = how.mark is None and isinstance(text, str) and is_doubtful(text)
    return "assumed" if is_assumed else "format"


def _quantity(kind: FieldKind, given: Any, how: How) -> Repair:
    quantity = _written(given, how, strict=False)
    if quantity.currency:
        raise LeftOut("unreadable")
    if kind.at_least == 0 and quantity.amount < 0:
        return Repair(0, "range")
    return Repair(quantity.amount)


def _number(kind: FieldKind, given: Any, how: How) -> Repair:
    amount = _written(given, how, strict=False).amount
    return Repair(int(amount) if amount == int(amount) else float(amount))


def _written(given: Any, how: How, *, strict: bool) -> WrittenAmount:
    """Return the amount that is meant. `strict`: one that may be another one is doubtful."""
    if isinstance(given, dict):
        return _in_object(given, how, strict=strict)
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise LeftOut("kind")
    if isinstance(given, int | float):
        if not math.isfinite(given) or abs(given) > MAX_AMOUNT:
            raise LeftOut("range")
        return WrittenAmount(Decimal(str(round(given, DECIMALS))), "", certain=False)
    try:
        return read_amount(given, how.mark)
    except UncertainAmount as error:
        if strict and "three digits" in str(error):
            raise Doubtful(str(error)) from None
        raise LeftOut("several") from None
    except ValueError as error:
        raise LeftOut("range" if "too large" in str(error) else _why_none(given)) from None


def _why_none(text: str) -> Problem:
    return "range" if text.strip("+- ").lower() in ("nan", "inf", "infinity") else "unreadable"


def _in_object(given: Mapping[str, Any], how: How, *, strict: bool) -> WrittenAmount:
    """Read `{"amount": "10.00", "currency": "EUR"}`."""
    amount = _of_object(given)
    names = ("currency", "currency_code", "currencyCode")
    currency = next((given[name] for name in names if name in given), "")
    if amount is None or isinstance(amount, dict):
        raise LeftOut("kind")
    written = _written(amount, how, strict=strict)
    code = (read_currency(currency) if isinstance(currency, str) and currency else "") or ""
    return written if not code else written._replace(currency=code, certain=True)


def _of_object(given: Mapping[str, Any]) -> Any:
    return next((given[key] for key in ("amount", "value") if key in given), None)


def _flag(kind: FieldKind, given: Any, how: How) -> Repair:
    flag = read_flag(given)
    if flag is None:
        raise LeftOut("unreadable")
    return Repair(flag)


def _word(kind: FieldKind, given: Any, how: How) -> Repair:
    if isinstance(given, bool | dict):
        raise LeftOut("kind")
    said = re.sub(r"[\s-]+", "_", str(given).strip(_INVISIBLE_BLANKS + " \t\n").lower())
    for word in kind.words:
        if str(word) in (said, str(given).strip()):
            return Repair(word)
    raise LeftOut("unknown_word")


def _object(kind: FieldKind, given: Any, how: How) -> Repair:
    found = as_object(given)
    if found is None:
        raise LeftOut("kind")
    return Repair(found, "kind" if found else "empty")


def _list(kind: FieldKind, given: Any, how: How) -> Repair:
    """Read `{}`, a map of members (`{"0": …, "7": …}`), one member without a list around it."""
    if isinstance(given, str) and given.lstrip()[:1] in ("{", "["):
        given = _from_text(given)
    if isinstance(given, list):
        return Repair(given, "kind")
    if isinstance(given, dict):
        return Repair(_members(given, kind), "kind" if given else "empty")
    if kind.model is not None or isinstance(given, bool):
        raise LeftOut("kind")
    return Repair([given], "kind")


def _members(given: dict[str, Any], kind: FieldKind) -> list[Any]:
    names = () if kind.model is None else tuple(kind.model.model_fields)
    if any(name in given for name in names):
        return [given]
    if all(key.isdecimal() for key in given):
        return [given[key] for key in sorted(given, key=_as_number)]
    values = list(given.values())
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    if kind.model is not None and not all(isinstance(each, dict) for each in values):
        raise LeftOut("kind")
    return values


def _as_number(digits: str) -> tuple[int, str]:
    """Sort digits, however many, by the number that they write."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _other(kind: FieldKind, given: Any, how: How) -> Repair:
    raise LeftOut("kind")


def _plain(given: Any) -> str:
    """Return a text on one line. Raises LeftOut for what is none."""
    if isinstance(given, bool | list | dict):
        raise LeftOut("kind")
    if isinstance(given, float) and not math.isfinite(given):
        raise LeftOut("range")
    return _CONTROL.sub(" ", str(given)).strip()


def _from_text(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return text


_OF_LISTS = ("list", "object", "id", "other")
_READERS: Mapping[Kind, Callable[[FieldKind, Any, How], Repair]] = {
    "id": _id, "text": _text, "code": _code, "url": _url, "address": _address,
    "currency": _currency, "zone": _zone, "amount": _amount, "deduction": _deduction,
    "quantity": _quantity, "number": _number, "flag": _flag, "word": _word, "object": _object,
    "list": _list, "other": _other,
}  # fmt: skip
