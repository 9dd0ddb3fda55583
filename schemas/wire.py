"""Reads every accepted form of an event and writes the one we prefer.

Accepted: CloudEvents binary (attributes in headers), CloudEvents structured (one JSON object), bare
Segment `track` / `identify` / `page` / `alias` objects, and a recorded log line
(`{"key": …, "headers": {…}, "value": {…}}`, what `ritorno` itself exports). Written: binary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from schemas import origin as origins
from schemas import segment
from schemas.events import INTERNAL_TYPES, CloudEvent, Event, odd
from schemas.events import hints as event_hints
from schemas.events.person import Traits
from schemas.instant import to_rfc3339
from schemas.origin import Origin
from schemas.outcomes import OUTCOMES
from schemas.products import Product
from schemas.records import UNREADABLE, OutRecord, Record
from schemas.signing import FORWARDED, SIGNATURE, SPEAKER
from schemas.trace import TRACEPARENT, of_headers, traceparent
from schemas.validation import (
    Unreadable,
    check_bytes,
    checked_id,
    checked_reference,
    checked_time,
    decoded,
    first_error,
    invalid,
    payload_model,
    too_long,
    validated,
    validated_json,
)

MAX_EVENT_BYTES = 1_000_000
"""Kafka's default `max.message.bytes` less room for headers; no real order is near it."""


SOURCE_BYTES = 4_000
"""Of an event's source: a thousand characters, as in the other forms."""


MAX_HEADERS_BYTES = 32_000
"""Of all headers of a record that is passed on whole: with the largest value that is what a log
takes, and room for ours."""


def check_headers(record: Record) -> None:
    """See that a record can be passed on whole. Raises Unreadable."""
    size = sum(len(name) + len(value or b"") for name, value in record.headers)
    if size > MAX_HEADERS_BYTES:
        problem = f"headers: {size} bytes, at most {MAX_HEADERS_BYTES} are passed on"
        raise Unreadable("too_large", problem)


def parse_record(record: Record) -> Event:
    """Read a record of the log. Raises Unreadable.

    The event is about `record.key` in binary mode; in the other modes the body says whom it is
    about, and may disagree with the key.
    """
    headers = dict(record.headers)
    if record.value is not None and len(record.value) > MAX_EVENT_BYTES:
        raise _too_large(record.value)
    if "ce_type" in headers:
        event = _parse_binary(record.key, headers, record.value or b"{}")
    elif record.value is None:
        why = headers.get(UNREADABLE)
        if why is not None:
            text = f"its bytes are no record: {why.decode('utf-8', 'replace')}"
            raise Unreadable("invalid_event", text)
        raise Unreadable("invalid_event", "no value and no ce_type header")
    else:
        event = parse_published(record.value, key=record.key)
    if not event.traceparent and (trace := of_headers(headers)):
        event = event._replace(traceparent=trace)
    hints = headers.get(event_hints.HEADER)
    if hints is not None:
        event = event._replace(hints=event_hints.of_header(hints))
    origin = headers.get(origins.HEADER)
    return event if origin is None else event._replace(origin=_origin(origin))


def parse_published(line: bytes | str, *, key: bytes | None = None) -> Event:
    """Read one JSON object in any accepted form. Raises Unreadable.

    Also for events that our own actors tell each other: who may publish can't move a customer's
    state, and a replay of what is published lets the actors say it themselves.
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
    if segment.is_call(body):
        return _parse_segment(body)
    if isinstance(body.get("batch"), list):
        raise Unreadable(
            "invalid_event",
            f"batch: {len(body['batch'])} calls in one object, expected one call a record or line",
        )
    raise Unreadable(
        "invalid_event",
        "neither a CloudEvent (no specversion) nor a Segment object "
        f"(type: {str(body.get('type'))[:64]!r}, expected track, identify, page, screen, group "
        "or alias)",
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
        raise invalid(error) from None
    time = body.get("time", body.get("timestamp"))
    return ProductUpdate(product, None if time is None else checked_time("time", time))


def to_record(event: Event) -> OutRecord:
    """Write an event in CloudEvents binary mode."""
    data: BaseModel = event.data.written() if isinstance(event.data, Traits) else event.data
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
    if event.origin is not None:
        headers.append(event.origin.header())
    if event.named:
        headers.append(("ce_subject", event.customer.encode()))
    if event.public:
        headers.append((SPEAKER, b"public"))
    elif event.forwarded:
        headers.append((SPEAKER, FORWARDED))
    if event.signature:
        headers.append((SIGNATURE, event.signature))
    if event.traceparent:
        headers.append((TRACEPARENT, event.traceparent.encode()))
    if event.odd:
        headers.append(odd.header(event.odd))
    if event.hints is not None:
        headers.append(event.hints.header())
    value = data.model_dump_json(exclude_none=True, by_alias=True).encode()
    return OutRecord(event.customer.encode(), value, headers)


def _origin(text: bytes) -> Origin:
    try:
        return origins.parse_origin(text)
    except ValueError as error:
        raise Unreadable("invalid_event", str(error)) from None


def _too_large(text: bytes | str) -> Unreadable:
    return Unreadable("too_large", f"{len(text)} bytes, at most {MAX_EVENT_BYTES} are accepted")


def _parse_binary(key: bytes | None, headers: Mapping[str, bytes], value: bytes) -> Event:
    type_ = _text(headers, "ce_type")
    if len(headers.get("ce_source") or b"") > SOURCE_BYTES:
        raise too_long("ce_source", _text(headers, "ce_source"), SOURCE_BYTES)
    model = payload_model(type_)
    id_ = checked_id("ce_id", _text(headers, "ce_id"))
    if key is None:
        raise Unreadable("missing_id", "key: the customer id is missing")
    customer = checked_reference("key", decoded("key", key))
    time = headers.get("ce_time")
    anonymous = headers.get("ce_anonymousid")
    data = validated_json(model, value)
    event = Event(
        id_,
        type_,
        _text(headers, "ce_source") or "/unknown",
        checked_time("ce_time", decoded("ce_time", time)) if time else None,
        customer,
        checked_id("ce_anonymousid", decoded("ce_anonymousid", anonymous)) if anonymous else None,
        headers.get("ce_backfill") == b"true",
        data,
        headers.get(SIGNATURE, b""),
        None,
        headers.get("ce_subject") == key,
        headers.get(SPEAKER) == b"public",
        headers.get(SPEAKER) == FORWARDED,
    )
    told = headers.get(odd.HEADER)
    if told is None:
        return event
    return event._replace(odd=odd.noted([*odd.of_header(told), *event.odd]))


def _parse_structured(body: dict[str, Any], key: bytes | None) -> Event:
    try:
        envelope = CloudEvent.model_validate(body)
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("id",):
            raise Unreadable("missing_id", first_error(error)) from None
        raise invalid(error) from None
    check_bytes(envelope)
    data = validated(payload_model(envelope.type), envelope.data)
    customer = envelope.subject or envelope.data.get("customer_id") or envelope.data.get("user_id")
    anonymous = envelope.anonymousid or envelope.data.get("anonymous_id")
    named = customer is not None and customer != anonymous
    if customer is None and key is not None:
        customer = decoded("key", key)
    return _about(
        customer,
        anonymous,
        named=named,
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
            traceparent=traceparent(envelope.traceparent),
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
    event = _parse_binary(None if key is None else key.encode(), encoded, to_json(value))
    hints = encoded.get(event_hints.HEADER)
    return event._replace(
        traceparent=of_headers(encoded),
        hints=None if hints is None else event_hints.of_header(hints),
    )


def _parse_segment(body: dict[str, Any]) -> Event:
    if "messageId" not in body:
        raise Unreadable("missing_id", "messageId: missing")
    type_, data = segment.translated(body)
    context = body.get("context")
    context = context if isinstance(context, dict) else {}
    time = body.get("timestamp")
    return _about(
        body.get("userId"),
        body.get("anonymousId"),
        named=True,
        missing="userId, anonymousId: one of them is needed",
        event=Event(
            id=checked_id("messageId", body["messageId"]),
            type=type_,
            source="/segment",
            time=None if time is None else checked_time("timestamp", time),
            customer="",
            anonymous_id=None,
            backfill=context.get("backfill") is True,
            traceparent=traceparent(context.get(TRACEPARENT)),
            odd=segment.odd_name(body),
            hints=event_hints.of_context(context) if context and type_ not in OUTCOMES else None,
            data=validated(payload_model(type_), data),
        ),
    )


def _about(customer: Any, anonymous: Any, *, named: bool, missing: str, event: Event) -> Event:
    """Return the event with whom it is about; a visitor who is declared as one has its own id as
    the anonymous one, too."""
    anonymous = None if anonymous is None else checked_id("anonymousId", anonymous)
    if customer is None:
        if anonymous is None:
            raise Unreadable("missing_id", missing)
        return event._replace(customer=anonymous, anonymous_id=anonymous)
    customer = checked_id("customer id", customer)
    return event._replace(customer=customer, anonymous_id=anonymous, named=named)


def _text(headers: Mapping[str, bytes], name: str) -> str:
    value = headers.get(name)
    return "" if value is None else decoded(name, value)
