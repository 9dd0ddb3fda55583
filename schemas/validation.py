"""Checks what others have written: mends what has only one meaning, and says what is wrong."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from schemas.bounds import KEY_BYTES, InBytes, fits
from schemas.events import PAYLOADS
from schemas.events.custom import CustomProperties, is_custom
from schemas.events.fields import Id, Payload
from schemas.instant import parse_instant
from schemas.reference import VISITOR, is_visitors

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PLAIN_ID = re.compile(r"[!-~]{1,200}")
"""What nearly every id looks like; the others are looked at closely."""
_ID: TypeAdapter[str] = TypeAdapter(Id, config=ConfigDict(coerce_numbers_to_str=True))


class Unreadable(ValueError):
    """An event that can't be understood. `reason` is from a closed set, for the metrics."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def payload_model(type_: str) -> type[BaseModel]:
    """Return the model of a type's data. Raises Unreadable."""
    model = PAYLOADS.get(type_)
    if model is None:
        if is_custom(type_):
            return CustomProperties
        raise Unreadable("unknown_type", f"type: unknown {type_[:64]!r}")
    return model


def validated_json(model: type[BaseModel], value: bytes) -> BaseModel:
    """Read an event's data from JSON text. Raises Unreadable."""
    try:
        data: BaseModel = model.__pydantic_validator__.validate_json(value)
    except ValidationError as error:
        return _validated_cleaned(model, _parsed(value, error), error)
    if not value.isascii() or b"\\u" in value:  # else a character is a byte
        check_bytes(data)
    return data


def validated(model: type[BaseModel], data: Any) -> BaseModel:
    """Read an event's data from parsed JSON. Raises Unreadable."""
    try:
        checked = model.model_validate(data)
    except ValidationError as error:
        return _validated_cleaned(model, data, error)
    check_bytes(checked)
    return checked


def _parsed(value: bytes, error: ValidationError) -> Any:
    try:
        return from_json(value)
    except ValueError:
        raise invalid(error) from None


def _validated_cleaned(model: type[BaseModel], data: Any, error: ValidationError) -> BaseModel:
    """Validate again what has failed, with the mistakes mended that have only one meaning."""
    cleaned = _cleaned(data)
    if issubclass(model, Payload) and model.keeps_nulls and isinstance(data, dict):
        cleaned = {**{name: None for name, value in data.items() if value is None}, **cleaned}
    if cleaned == data:
        raise invalid(error) from None
    try:
        checked = model.model_validate(cleaned)
    except ValidationError as still:
        raise invalid(still) from None
    check_bytes(checked)
    return checked


class _Limited(NamedTuple):
    """Which fields of a model are limited in bytes, and which hold models of whose that is true."""

    texts: tuple[tuple[str, int], ...]
    lists: tuple[str, ...]


def check_bytes(data: BaseModel, path: str = "") -> None:
    """See that texts which must not be cut take no more bytes than they may. Raises Unreadable."""
    limited = _limited(type(data))
    for name, limit in limited.texts:
        text = getattr(data, name)
        if text is not None and not fits(text, limit):
            raise too_long(path + name, text, limit)
    for name in limited.lists:
        for number, each in enumerate(getattr(data, name) or ()):
            check_bytes(each, f"{path}{name}.{number}.")


def too_long(name: str, text: str, limit: int) -> Unreadable:
    """Return what is to be raised for a text of more than `limit` bytes."""
    size = len(text.encode())
    return Unreadable(
        "invalid_event", f"{name}: {size} bytes, at most {limit} (got {_shown(text)})"
    )


@cache
def _limited(model: type[BaseModel]) -> _Limited:
    texts, lists = [], []
    for name, annotation in typing.get_type_hints(model, include_extras=True).items():
        for part in _parts(annotation):
            if isinstance(part, InBytes):
                texts.append((name, part.at_most))
            elif isinstance(part, type) and issubclass(part, BaseModel):
                lists.append(name)
    return _Limited(tuple(texts), tuple(lists))


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation is made of: alternatives, members and what is said of them."""
    yield annotation
    if typing.get_origin(annotation) is not None:
        for part in typing.get_args(annotation):
            yield from _parts(part)


def _cleaned(data: Any) -> Any:
    """Return JSON data without nulls, which mean absent, with texts on one line, and with numbers
    of at most nine decimals: 59.699999999999996 is three times 19.9 in a browser, not a price.

    An id keeps its control characters, and so stays refused: another id is another customer.
    """
    if isinstance(data, list):
        return [_cleaned(item) for item in data]
    if isinstance(data, float):
        return round(data, 9)
    if not isinstance(data, dict):
        return _CONTROL.sub(" ", data) if isinstance(data, str) else data
    return {
        name: value if name.endswith(("_id", "Id", "sku")) else _cleaned(value)
        for name, value in data.items()
        if value is not None
    }


def checked_object(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object `body[name]`, empty where there is none. Raises Unreadable."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("invalid_event", f"{name}: not an object (got {value!r})"[:200])
    return value


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
        problem = error.errors(include_url=False)[0]["msg"]
        raise Unreadable(reason, f"{name}: {problem} (got {value!r})"[:200]) from None
    if not fits(checked, KEY_BYTES):
        raise too_long(name, checked, KEY_BYTES)
    return checked


def checked_reference(name: str, value: str) -> str:
    """Return an id, or a visitor's reference. Raises Unreadable, with `name` as the place."""
    if is_visitors(value):
        return VISITOR + checked_id(name, value.removeprefix(VISITOR))
    return checked_id(name, value)


def checked_time(name: str, value: Any) -> int:
    """Return a time in ms since the epoch. Raises Unreadable, with `name` as the place."""
    try:
        return parse_instant(value)
    except ValueError as error:
        raise Unreadable("invalid_event", f"{name}: {error}") from None


def invalid(error: ValidationError) -> Unreadable:
    """Return what is to be raised for a failed validation."""
    if error.errors()[0]["type"] == "json_invalid":
        return Unreadable("invalid_json", first_error(error))
    return Unreadable("invalid_event", first_error(error))


def first_error(error: ValidationError) -> str:
    """Return `field: what is wrong (value)` for the first error of a validation."""
    place, problem = all_errors(error)[0]
    return f"{'.'.join(str(part) for part in place) or 'value'}: {problem}"


def all_errors(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Return where each error of a validation is and `what is wrong (value)`."""
    problems = error.errors(include_url=False, include_context=False)
    return [(each["loc"], f"{each['msg']} (got {_shown(each['input'])})") for each in problems]


def _shown(given: object) -> str:
    value = repr(given)
    return value if len(value) <= 64 else value[:64] + "…"
