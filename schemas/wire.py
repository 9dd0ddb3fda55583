"""Reads every accepted form of an event and writes the one we prefer.

Accepted: CloudEvents binary (attributes in headers), CloudEvents structured (one JSON object), bare
Segment `track` / `identify` / `page` / `alias` objects, and a recorded log line
(`{"key": …, "headers": {…}, "value": {…}}`, what `ritorno` itself exports). Written: binary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from schemas.events import INTERNAL_TYPES, PAYLOADS, CloudEvent, Event
from schemas.events.fields import Id
from schemas.instant import parse_instant, to_rfc3339
from schemas.products import Product
from schemas.records import OutRecord, Record

MAX_EVENT_BYTES = 1_000_000
"""Kafka's default `max.message.bytes` less room for headers; no real order is near it."""


class Unreadable(ValueError):
    """An event that can't be understood. `reason` is from a closed vocabulary, for the metrics."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


SEGMENT_NAMES = {
    "Product Viewed": "product.viewed",
    "Product List Viewed": "product_list.viewed",
    "Products Searched": "products.searched",
    "Product Added": "cart.product_added",
    "Product Removed": "cart.product_removed",
    "Checkout Started": "checkout.started",
    "Checkout Step Completed": "checkout.step_completed",
    "Order Completed": "order.completed",
    "Order Updated": "order.updated",
    "Order Shipped": "order.shipped",
    "Order Delivered": "order.delivered",
    "Order Cancelled": "order.cancelled",
    "Order Refunded": "order.refunded",
    "Coupon Applied": "coupon.applied",
    "Product Added to Wishlist": "wishlist.added",
    "Product Reviewed": "product.reviewed",
    "Email Delivered": "mail.delivered",
    "Email Opened": "mail.opened",
    "Email Link Clicked": "mail.clicked",
    "Email Bounced": "mail.bounced",
    "Email Marked as Spam": "mail.complained",
    "Unsubscribed": "mail.unsubscribed",
}
# The types that are ours have the type's words in title case: `List Subscribed`.
SEGMENT_NAMES |= {
    type_.replace(".", " ").replace("_", " ").title(): type_
    for type_ in PAYLOADS
    if type_ not in SEGMENT_NAMES.values()
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PLAIN_ID = re.compile(r"[!-~]{1,200}")
"""What nearly every id looks like; the others are looked at closely."""
_ID: TypeAdapter[str] = TypeAdapter(Id, config=ConfigDict(coerce_numbers_to_str=True))


def parse_record(record: Record) -> Event:
    """Read a record of the log. Raises Unreadable.

    The event is about `record.key` in binary mode; in the other modes the body says whom it is
    about, and may disagree with the key.
    """
    headers = dict(record.headers)
    if record.value is not None and len(record.value) > MAX_EVENT_BYTES:
        raise _too_large(record.value)
    if "ce_type" in headers:
        return _parse_binary(record.key, headers, record.value or b"{}")
    if record.value is None:
        raise Unreadable("invalid_event", "no value and no ce_type header")
    return parse_published(record.value, key=record.key)


def parse_published(line: bytes | str, *, key: bytes | None = None) -> Event:
    """Read one JSON object in any accepted form. Raises Unreadable.

    Also for events that only our own actors write: who may publish can't move a customer's state.
    """
    if len(line) > MAX_EVENT_BYTES:
        raise _too_large(line)
    try:
        body = from_json(line)
    except ValueError as error:
        raise Unreadable("invalid_json", f"not JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise Unreadable("invalid_event", f"not a JSON object but {type(body).__name__}")
    event = _parse_body(body, key)
    if event.type in INTERNAL_TYPES:
        raise Unreadable("unknown_type", f"type: {event.type!r} is Ritorno's own")
    return event


def _parse_body(body: dict[str, Any], key: bytes | None) -> Event:
    if "specversion" in body:
        return _parse_structured(body, key)
    if "headers" in body and "value" in body:
        return _parse_recorded(body)
    if isinstance(body.get("type"), str) and body["type"] in _SEGMENT_CALLS:
        return _parse_segment(body)
    raise Unreadable(
        "invalid_event",
        "neither a CloudEvent (no specversion) nor a Segment object "
        f"(type: {str(body.get('type'))[:64]!r}, expected track, identify, page or alias)",
    )


class ProductUpdate(NamedTuple):
    """A line that describes a product."""

    product: Product
    time: int | None
    """Since when, ms since the epoch; None where the line does not say."""


PRODUCT_UPDATED = "product.updated"
"""Type of such a line: a CloudEvent whose data is the product."""


def parse_line(line: bytes | str) -> Event | ProductUpdate:
    """Read a line of a file of events: an event in any accepted form, or a product. Raises
    Unreadable."""
    marker = PRODUCT_UPDATED if isinstance(line, str) else PRODUCT_UPDATED.encode()
    if marker in line and len(line) <= MAX_EVENT_BYTES:  # type: ignore[operator]  # both are of one kind
        try:
            body = from_json(line)
        except ValueError:
            body = None  # whoever reads events says what is wrong
        update = parse_product(body) if isinstance(body, dict) else None
        if update is not None:
            return update
    return parse_published(line)


def parse_product(body: dict[str, Any]) -> ProductUpdate | None:
    """Return what a JSON object says of a product, None when it is about something else.

    Raises Unreadable.
    """
    if body.get("type") != PRODUCT_UPDATED:
        return None
    try:
        product = Product.model_validate(body.get("data", body.get("properties")))
    except ValidationError as error:
        raise _invalid(error) from None
    time = body.get("time", body.get("timestamp"))
    return ProductUpdate(product, None if time is None else _checked_time("time", time))


def to_record(event: Event) -> OutRecord:
    """Write an event in CloudEvents binary mode."""
    data: BaseModel = event.data
    headers = [
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
    ]
    if event.time is not None:
        headers.append(("ce_time", to_rfc3339(event.time).encode()))
    if event.anonymous_id is not None:
        headers.append(("ce_anonymousid", event.anonymous_id.encode()))
    if event.backfill:
        headers.append(("ce_backfill", b"true"))
    value = data.model_dump_json(exclude_none=True, by_alias=True).encode()
    return OutRecord(event.customer.encode(), value, headers)


def first_error(error: ValidationError, prefix: str = "") -> str:
    """Return `field: what is wrong (value)` for the first error of a validation."""
    place, problem = all_errors(error)[0]
    return f"{prefix}{'.'.join(str(part) for part in place) or 'value'}: {problem}"


def all_errors(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Return where each error of a validation is and `what is wrong (value)`."""
    problems = error.errors(include_url=False, include_context=False)
    return [(each["loc"], f"{each['msg']} (got {_shown(each['input'])})") for each in problems]


def _shown(given: object) -> str:
    value = repr(given)
    return value if len(value) <= 64 else value[:64] + "…"


def _too_large(text: bytes | str) -> Unreadable:
    return Unreadable("too_large", f"{len(text)} bytes, at most {MAX_EVENT_BYTES} are accepted")


def _parse_binary(key: bytes | None, headers: Mapping[str, bytes], value: bytes) -> Event:
    type_ = _text(headers, "ce_type")
    model = _payload_model(type_)
    id_ = _checked_id("ce_id", _text(headers, "ce_id"))
    if key is None:
        raise Unreadable("missing_id", "key: the customer id is missing")
    customer = _checked_id("key", _decode("key", key))
    time = headers.get("ce_time")
    anonymous = headers.get("ce_anonymousid")
    try:
        data = model.__pydantic_validator__.validate_json(value)
    except ValidationError as error:
        data = _validated_cleaned(model, _object_of(value, error), error)
    return Event(
        id_,
        type_,
        _text(headers, "ce_source") or "/unknown",
        _checked_time("ce_time", _decode("ce_time", time)) if time else None,
        customer,
        _checked_id("ce_anonymousid", _decode("ce_anonymousid", anonymous)) if anonymous else None,
        headers.get("ce_backfill") == b"true",
        data,
    )


def _parse_structured(body: dict[str, Any], key: bytes | None) -> Event:
    try:
        envelope = CloudEvent.model_validate(body)
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("id",):
            raise Unreadable("missing_id", first_error(error)) from None
        raise _invalid(error) from None
    data = _validated(envelope.type, envelope.data)
    customer = envelope.subject or envelope.data.get("customer_id") or envelope.data.get("user_id")
    anonymous = envelope.anonymousid or envelope.data.get("anonymous_id")
    if customer is None and key is not None:
        customer = _decode("key", key)
    return _about(
        customer,
        anonymous,
        missing="subject: the customer id is missing",
        event=Event(
            id=envelope.id,
            type=envelope.type,
            source=envelope.source,
            time=envelope.time,
            customer="",
            anonymous_id=None,
            backfill=envelope.backfill,
            data=data,
        ),
    )


def _parse_recorded(body: dict[str, Any]) -> Event:
    headers, value, key = body["headers"], body["value"], body.get("key")
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise Unreadable("invalid_event", "headers: not an object of texts")
    if key is not None and not isinstance(key, str):
        raise Unreadable("invalid_event", f"key: not a text (got {key!r})"[:200])
    encoded = {name: text.encode() for name, text in headers.items()}
    if "ce_type" not in encoded:
        raise Unreadable("invalid_event", "headers.ce_type: missing")
    return _parse_binary(None if key is None else key.encode(), encoded, to_json(value))


def _parse_segment(body: dict[str, Any]) -> Event:
    if "messageId" not in body:
        raise Unreadable("missing_id", "messageId: missing")
    type_, data = _SEGMENT_CALLS[body["type"]](body)
    context = body.get("context")
    backfill = isinstance(context, dict) and context.get("backfill") is True
    time = body.get("timestamp")
    return _about(
        body.get("userId"),
        body.get("anonymousId"),
        missing="userId, anonymousId: one of them is needed",
        event=Event(
            id=_checked_id("messageId", body["messageId"]),
            type=type_,
            source="/segment",
            time=None if time is None else _checked_time("timestamp", time),
            customer="",
            anonymous_id=None,
            backfill=backfill,
            data=_validated(type_, data),
        ),
    )


def _segment_track(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = body.get("event")
    if not isinstance(name, str) or name not in SEGMENT_NAMES:
        raise Unreadable("unknown_type", f"event: unknown {str(name)[:64]!r}")
    return SEGMENT_NAMES[name], _object(body, "properties")


def _segment_identify(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    traits = _object(body, "traits")
    if body.get("userId") is not None and body.get("anonymousId") is not None:
        return "customer.identified", {
            **traits, "anonymous_id": body["anonymousId"], "customer_id": body["userId"]
        }  # fmt: skip
    return "customer.updated", traits


def _segment_alias(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "customer.identified", {
        "anonymous_id": body.get("previousId"), "customer_id": body.get("userId")
    }  # fmt: skip


def _segment_page(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "page.viewed", {"name": body.get("name"), **_object(body, "properties")}


_SEGMENT_CALLS = {
    "track": _segment_track,
    "identify": _segment_identify,
    "alias": _segment_alias,
    "page": _segment_page,
    "screen": _segment_page,
}


def _about(customer: Any, anonymous: Any, *, missing: str, event: Event) -> Event:
    anonymous = None if anonymous is None else _checked_id("anonymousId", anonymous)
    if customer is None:
        if anonymous is None:
            raise Unreadable("missing_id", missing)
        return event._replace(customer=anonymous)
    return event._replace(customer=_checked_id("customer id", customer), anonymous_id=anonymous)


def _payload_model(type_: str) -> type[BaseModel]:
    model = PAYLOADS.get(type_)
    if model is None:
        raise Unreadable("unknown_type", f"type: unknown {type_[:64]!r}")
    return model


def _validated(type_: str, data: Any) -> BaseModel:
    model = _payload_model(type_)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        return _validated_cleaned(model, data, error)


def _validated_cleaned(model: type[BaseModel], data: Any, error: ValidationError) -> BaseModel:
    """Validate again what has failed, with the mistakes mended that have only one meaning."""
    cleaned = _cleaned(data)
    if cleaned == data:
        raise _invalid(error) from None
    try:
        return model.model_validate(cleaned)
    except ValidationError as still:
        raise _invalid(still) from None


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


def _object_of(value: bytes, error: ValidationError) -> Any:
    try:
        return from_json(value)
    except ValueError:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> Unreadable:
    if error.errors()[0]["type"] == "json_invalid":
        return Unreadable("invalid_json", first_error(error))
    return Unreadable("invalid_event", first_error(error))


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("invalid_event", f"{name}: not an object (got {value!r})"[:200])
    return value


def _text(headers: Mapping[str, bytes], name: str) -> str:
    value = headers.get(name)
    return "" if value is None else _decode(name, value)


def _decode(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable("invalid_event", f"{name}: not UTF-8 (got {value[:32]!r})") from None


def _checked_id(name: str, value: Any) -> str:
    if isinstance(value, str) and _PLAIN_ID.fullmatch(value):
        return value
    try:
        return _ID.validate_python(value)
    except ValidationError as error:
        reason = "missing_id" if value in ("", None) else "invalid_event"
        problem = error.errors(include_url=False)[0]["msg"]
        raise Unreadable(reason, f"{name}: {problem} (got {value!r})"[:200]) from None


def _checked_time(name: str, value: Any) -> int:
    try:
        return parse_instant(value)
    except ValueError as error:
        raise Unreadable("invalid_event", f"{name}: {error}") from None
