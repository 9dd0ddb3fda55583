"""Checks what others have written: mends what has only one meaning, and says what is wrong."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from schemas.bounds import KEY_BYTES, fits
from schemas.decimal_points import doubtful, has_three_decimals, may_have_three_decimals
from schemas.events import PAYLOADS
from schemas.events.custom import CustomProperties, is_custom
from schemas.events.fields import INVISIBLE, Id
from schemas.events.odd import OddField, noted, shown
from schemas.flags import read_flag
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.over_long import over_long
from schemas.problem_words import MAX_SHOWN, problem_words, shown_value
from schemas.reference import VISITOR, is_visitors
from schemas.written_times import plain_instant, read_time

_PLAIN_ID = re.compile(r"[!-~]{1,200}")
"""What nearly every id looks like; the others are looked at closely."""
_ID: TypeAdapter[str] = TypeAdapter(Id, config=ConfigDict(coerce_numbers_to_str=True))


class Unreadable(ValueError):
    """An event that can't be understood. `reason` is from a closed set, for the metrics."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


Checked = tuple[BaseModel, tuple[OddField, ...]]
"""An event's data, and what of it was odd."""


def payload_model(type_: str) -> type[BaseModel]:
    """Return the model of a type's data. Raises Unreadable."""
    model = PAYLOADS.get(type_)
    if model is None:
        if is_custom(type_):
            return CustomProperties
        raise Unreadable("unknown_type", f"type: unknown {type_[:64]!r}")
    return model


def validated_json(
    model: type[BaseModel],
    value: bytes,
    notation: Notation = DEFAULT_NOTATION,
    source: str = "",
) -> Checked:
    """Read an event's data from JSON text. Raises Unreadable."""
    if notation.decimal_marks and notation.decimal_mark(source) is not None:
        return validated(model, _parsed(value), notation, source)
    try:
        data: BaseModel = model.__pydantic_validator__.validate_json(value)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return _of_halves(model, value, notation, source, error)
        return _mended(model, _parsed(value), notation, source)
    if (not value.isascii() or b"\\u" in value) and over_long(data):  # else a character is a byte
        return _mended(model, _parsed(value), notation, source)
    return data, _assumed(model, _parsed(value)) if may_have_three_decimals(value) else ()


def _of_halves(
    model: type[BaseModel], value: bytes, notation: Notation, source: str, error: ValidationError
) -> Checked:
    """Read JSON that may be none because of halves of characters alone. Raises Unreadable."""
    from schemas import halved  # noqa: PLC0415  # few events need it

    try:
        data, odd = halved.read(value)
    except ValueError:
        raise Unreadable("invalid_json", first_error(error)) from None
    checked, of_data = validated(model, data, notation, source)
    return checked, noted([*odd, *of_data])


def validated(
    model: type[BaseModel],
    data: Any,
    notation: Notation = DEFAULT_NOTATION,
    source: str = "",
) -> Checked:
    """Read an event's data from parsed JSON. `source`: whose notation it may be. Raises
    Unreadable."""
    if notation.decimal_marks and notation.decimal_mark(source) == "comma":
        from schemas.decimal_commas import without_points  # noqa: PLC0415  # few sources declare it

        data = without_points(model, data)
    try:
        checked: BaseModel = model.__pydantic_validator__.validate_python(data)
    except ValidationError:
        return _mended(model, data, notation, source)
    if over_long(checked):
        return _mended(model, data, notation, source)
    if has_three_decimals(checked) and notation.decimal_mark(source) is None:
        return checked, _assumed(model, data)
    return checked, ()


def _assumed(model: type[BaseModel], data: Any) -> tuple[OddField, ...]:
    """Return the amounts whose point was taken for that of decimals, although it may group
    thousands."""
    found = doubtful(model, data)
    places = (OddField(".".join(map(str, p)), shown(t), "assumed", kept=True) for p, t in found)
    return noted(list(places))


def _mended(model: type[BaseModel], data: Any, notation: Notation, source: str) -> Checked:
    # What it takes is imported by those alone who meet an odd event.
    from schemas.mending import Mending, Unmendable  # noqa: PLC0415  # see above

    mending = Mending(model, data, (notation, notation.decimal_mark(source)))
    try:
        return mending.mended()
    except Unmendable as unmendable:
        failure = unmendable.failure
    except (ValueError, ArithmeticError, LookupError, RecursionError):
        # Who writes values that nobody has thought of must not stop whoever reads the log.
        if mending.failing is None:
            raise Unreadable("invalid_event", "value: can't be read") from None
        failure = mending.failing
    what = failure.what
    if failure.type == "doubtful":
        source = source if source.isprintable() and len(source) <= MAX_SHOWN else "SOURCE"
        what += f" RITORNO_DECIMAL_MARKS={source}=comma (or =point) says which"
    if failure.type not in ("missing", "no_sum"):
        what += f" (got {shown_value(failure.given)})"
    if failure.type != "no_sum":
        what = f"{'.'.join(map(str, failure.path)) or 'value'}: {what}"
    raise Unreadable("invalid_event", what) from None


def _parsed(value: bytes) -> Any:
    try:
        return from_json(value)
    except ValueError as error:
        raise Unreadable("invalid_json", f"value: not JSON: {str(error)[:200]}") from None


def check_bytes(data: BaseModel) -> None:
    """See that texts which must not be cut take no more bytes than they may. Raises Unreadable."""
    found = over_long(data)
    if found is not None:
        raise too_long(".".join(map(str, found.path)), found.text, found.limit)


def too_long(name: str, text: str, limit: int) -> Unreadable:
    """Return what is to be raised for a text of more than `limit` bytes."""
    size = len(text.encode())
    return Unreadable(
        "invalid_event", f"{name}: {size} bytes, at most {limit} (got {shown_value(text)})"
    )


def checked_object(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object `body[name]`, empty where there is none. Raises Unreadable."""
    value = body.get(name)
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    from schemas.value_repairs import as_object  # noqa: PLC0415  # only odd events need it

    found = as_object(value)
    if found is None:
        raise Unreadable("invalid_event", f"{name}: not an object (got {shown_value(value)})"[:200])
    return found


def is_no_id(value: Any) -> bool:
    """Whether there is no id: none is given, or an empty one, as a text of blanks and of what
    nobody sees, and what a program has where it has none: `false`, `[]`, `{}`."""
    if isinstance(value, str):
        if value.isascii():
            return not value or value.isspace()
        return not INVISIBLE.sub("", value).strip()
    return value is None or value is False or (isinstance(value, list | dict) and not value)


def is_not_said(value: Any) -> bool:
    """Whether a field that is no id says nothing: it is absent, or an empty text."""
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def decoded(name: str, value: bytes) -> str:
    """Return the text that `value` is. Raises Unreadable, with `name` as the place."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable("invalid_event", f"{name}: not UTF-8 (got {value[:32]!r})") from None


def checked_id(name: str, value: Any) -> str:
    """Return an id without the blanks around it. Raises Unreadable, with `name` as the place."""
    if isinstance(value, str) and _PLAIN_ID.fullmatch(value):
        return value
    try:
        checked = _ID.validate_python(value)
    except ValidationError as error:
        reason = "missing_id" if value in ("", None) else "invalid_event"
        problem = problem_words(error.errors(include_url=False)[0])
        raise Unreadable(reason, f"{name}: {problem} (got {shown_value(value)})"[:200]) from None
    if not fits(checked, KEY_BYTES):
        raise too_long(name, checked, KEY_BYTES)
    return checked


def checked_reference(name: str, value: str) -> str:
    """Return an id, or a visitor's reference. Raises Unreadable, with `name` as the place."""
    if is_visitors(value):
        return VISITOR + checked_id(name, value.removeprefix(VISITOR))
    return checked_id(name, value)


def checked_time(
    name: str, value: Any, notation: Notation, odd: list[OddField], *, needed: bool
) -> int | None:
    """Return a time in ms since the epoch, None where there is none that can be read.

    What was assumed or left out is added to `odd`. Raises Unreadable, with `name` as the place, for
    one that can't be read where it is `needed`.
    """
    instant = plain_instant(value)
    if instant is not None or is_not_said(value):
        return instant
    try:
        read = read_time(value, notation.zone)
    except ValueError as error:
        if needed:
            raise Unreadable("invalid_event", f"{name}: {error}") from None
        problem = "range" if "outside" in str(error) else "unreadable"
        odd.append(OddField("time", shown(value), problem, kept=False))
        return None
    if read.problem is not None:
        odd.append(OddField("time", shown(value), read.problem, kept=True))
    return read.instant


def checked_flag(name: str, value: Any) -> bool:
    """Return what a value says, False where it says nothing. Raises Unreadable, with `name` as the
    place, when it can't be read."""
    if value is None or value is False or value is True:
        return value is True
    if isinstance(value, str) and not value.strip():
        return False
    flag = read_flag(value)
    if flag is None:
        raise Unreadable(
            "invalid_event", f"{name}: neither true nor false (got {shown_value(value)})"
        )
    return flag


def first_error(error: ValidationError) -> str:
    """Return `field: what is wrong (value)` for the first error of a validation."""
    place, problem = all_errors(error)[0]
    return f"{'.'.join(str(part) for part in place) or 'value'}: {problem}"


def all_errors(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Return where each error of a validation is and `what is wrong (value)`."""
    found = []
    for each in error.errors(include_url=False):
        got = "" if each["type"] == "missing" else f" (got {shown_value(each['input'])})"
        found.append((each["loc"], problem_words(each) + got))
    return found
