"""Reads every accepted form of an event and writes the one we prefer.

Accepted: CloudEvents binary (attributes in headers), CloudEvents structured (one JSON object), bare
Segment `track` / `identify` / `page` / `alias` objects, and a recorded log line
(`{"key": …, "headers": {…}, "value": {…}}`, what `ritorno` itself exports). Written: binary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from schemas import halved, history, segment, whom
from schemas import origin as origins
from schemas.events import INTERNAL_TYPES, CloudEvent, Event
from schemas.events import hints as event_hints
from schemas.events import odd as odd_fields
from schemas.events.odd import OddField, noted
from schemas.events.person import Traits
from schemas.instant import to_rfc3339
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.origin import Origin
from schemas.outcomes import MAILER, OUTCOMES
from schemas.products import FedProduct, Product
from schemas.records import UNREADABLE, OutRecord, Record
from schemas.signing import FORWARDED, SIGNATURE, SPEAKER
from schemas.trace import TRACEPARENT, of_headers, traceparent
from schemas.validation import (
    Unreadable,
    check_bytes,
    checked_flag,
    checked_id,
    checked_object,
    checked_reference,
    checked_time,
    decoded,
    is_no_id,
    is_not_said,
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


def parse_record(record: Record, notation: Notation = DEFAULT_NOTATION) -> Event:
    """Read a record of the log; `notation` says how the shop's systems write. Raises Unreadable.

    The event is about `record.key` in binary mode; in the other modes the body says whom it is
    about, and may disagree with the key.
    """
    headers = dict(record.headers)
    if record.value is not None and len(record.value) > MAX_EVENT_BYTES:
        raise _too_large(record.value)
    if "ce_type" in headers:
        event = _parse_binary(record.key, headers, record.value or b"{}", notation)
    elif record.value is None:
        why = headers.get(UNREADABLE)
        if why is not None:
            text = f"its bytes are no record: {why.decode('utf-8', 'replace')}"
            raise Unreadable("invalid_event", text)
        raise Unreadable("invalid_event", "no value and no ce_type header")
    else:
        event = parse_published(record.value, notation, key=record.key)
    if not event.traceparent and (trace := of_headers(headers)):
        event = event._replace(traceparent=trace)
    hints = headers.get(event_hints.HEADER)
    if hints is not None:
        event = event._replace(hints=event_hints.of_header(hints))
    origin = headers.get(origins.HEADER)
    return event if origin is None else event._replace(origin=_origin(origin))


def parse_published(
    line: bytes | str,
    notation: Notation = DEFAULT_NOTATION,
    *,
    key: bytes | None = None,
    source: str = "",
) -> Event:
    """Read one JSON object in any accepted form; `source` is that of one that names none. Raises
    Unreadable.

    Also for events that our own actors tell each other: who may publish can't move a customer's
    state, and a replay of what is published lets the actors say it themselves.
    """
    if len(line) > MAX_EVENT_BYTES:
        raise _too_large(line)
    try:
        body, odd = halved.read(line)
    except ValueError as error:
        raise Unreadable("invalid_json", f"not JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise Unreadable("invalid_event", f"not a JSON object but {type(body).__name__}")
    if history.may_be_said(line):
        body = history.placed(body)
    event = _parse_body(body, key, notation, source)
    return event._replace(odd=noted([*odd, *event.odd])) if odd else event


def parse_object(
    body: dict[str, Any], notation: Notation = DEFAULT_NOTATION, *, key: bytes | None = None
) -> Event:
    """Read an object in any accepted form that somebody has parsed already. Raises Unreadable."""
    return _parse_body(history.placed(body), key, notation)


def parse_sent(
    body: dict[str, Any], notation: Notation = DEFAULT_NOTATION, *, source: str
) -> Event:
    """Read a CloudEvent or one of Segment's objects, parsed already. `source` is that of the
    latter, and of a CloudEvent that names none. Raises Unreadable."""
    if "specversion" in body:
        return _parse_structured(body, None, notation, source)
    return _parse_call(body, notation, source)


def _parse_body(
    body: dict[str, Any], key: bytes | None, notation: Notation, source: str = ""
) -> Event:
    if "specversion" in body:
        return _parse_structured(body, key, notation, source or "/unknown")
    if "headers" in body and "value" in body:
        return _parse_recorded(body, notation)
    return _parse_call(body, notation, source or SEGMENT_SOURCE)


def _parse_call(body: dict[str, Any], notation: Notation, source: str) -> Event:
    if segment.is_call(body):
        return _parse_segment(body, notation, source)
    if isinstance(call := body.get("type"), str) and segment.is_call(
        another := {**body, "type": call.strip().lower()}
    ):
        return _parse_segment(another, notation, source)
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
    odd: tuple[OddField, ...] = ()
    """Fields that were read in another way than they were written, or left out."""


PRODUCT_UPDATED = "product.updated"
"""Type of such a line: a CloudEvent whose data is the product."""


def parse_line(line: bytes | str, notation: Notation = DEFAULT_NOTATION) -> Event | ProductUpdate:
    """Read a line of a file of events: an event in any accepted form, or a product. Raises
    Unreadable."""
    marker = PRODUCT_UPDATED if isinstance(line, str) else PRODUCT_UPDATED.encode()
    if marker in line and len(line) <= MAX_EVENT_BYTES:  # type: ignore[operator]  # both are of one kind
        try:
            body, _ = halved.read(line)
        except ValueError:
            body = None  # whoever reads events says what is wrong
        update = parse_product(body, notation) if isinstance(body, dict) else None
        if update is not None:
            return update
    return parse_published(line, notation)


def parse_product(
    body: dict[str, Any], notation: Notation = DEFAULT_NOTATION
) -> ProductUpdate | None:
    """Return what a JSON object says of a product, None when it is about something else.

    Raises Unreadable.
    """
    if body.get("type") != PRODUCT_UPDATED:
        return None
    source = str(body.get("source", ""))
    product, odd = checked_product(body.get("data", body.get("properties")), notation, source)
    found: list[OddField] = []
    given = body.get("time", body.get("timestamp"))
    time = checked_time("time", given, notation, found, needed=False)
    return ProductUpdate(product, time, noted([*found, *odd]))


def checked_product(
    data: Any, notation: Notation = DEFAULT_NOTATION, source: str = ""
) -> tuple[Product, tuple[OddField, ...]]:
    """Read what is said of a product, and what of it was odd. Raises Unreadable."""
    product, odd = validated(FedProduct, data, notation, source)
    assert isinstance(product, FedProduct)
    return product.kept(), odd


def is_our_word(event: Event) -> bool:
    """Whether an event is one that only our actors, or our mailer of its mails, can tell."""
    return event.type in INTERNAL_TYPES or (event.type in OUTCOMES and event.source == MAILER)


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
        headers.append(odd_fields.header(event.odd))
    if event.hints is not None:
        headers.append(event.hints.header())
    # What a shop has not said is not written either: to take all of a product out of the cart is
    # another thing than to take one. What we say ourselves has all that its contract has.
    value: bytes = data.__pydantic_serializer__.to_json(
        data, exclude_none=True, exclude_unset=not is_our_word(event), by_alias=True
    )
    return OutRecord(event.customer.encode(), value, headers)


def too_large(record: OutRecord) -> Unreadable | None:
    """Return why an event's record is too large to be read again, None where it isn't. Its headers
    and its key are bounded field by field."""
    value = record.value or b""
    return _too_large(value) if len(value) > MAX_EVENT_BYTES else None


def _origin(text: bytes) -> Origin:
    try:
        return origins.parse_origin(text)
    except ValueError as error:
        raise Unreadable("invalid_event", str(error)) from None


def _too_large(text: bytes | str) -> Unreadable:
    return Unreadable("too_large", f"{len(text)} bytes, at most {MAX_EVENT_BYTES} are accepted")


def _parse_binary(
    key: bytes | None, headers: Mapping[str, bytes], value: bytes, notation: Notation
) -> Event:
    type_ = _text(headers, "ce_type")
    if len(headers.get("ce_source") or b"") > SOURCE_BYTES:
        raise too_long("ce_source", _text(headers, "ce_source"), SOURCE_BYTES)
    model = payload_model(type_)
    id_ = checked_id("ce_id", _text(headers, "ce_id"))
    if key and not is_no_id(said := decoded("key", key)):
        customer = checked_reference("key", said)
    else:
        customer = _other_customer(key, headers)
    source = _text(headers, "ce_source") or "/unknown"
    time = headers.get("ce_time")
    anonymous = headers.get("ce_anonymousid")
    backfill = headers.get("ce_backfill", headers.get("ce_ritornobackfill"))
    is_history = backfill == b"true" or (
        backfill is not None and checked_flag("ce_backfill", decoded("ce_backfill", backfill))
    )
    if history.MARK in value:
        is_history |= _said_in_data(value)
    odd: list[OddField] = []
    visitor = whom.visitor_beside("ce_anonymousid", anonymous, odd)
    is_ours = SIGNATURE in headers or origins.HEADER in headers
    if visitor and not is_ours and whom.is_the_visitors(customer, visitor, "key", odd):
        customer, key = visitor, None  # nobody is named
    happened = (
        checked_time("ce_time", decoded("ce_time", time), notation, odd, needed=is_history)
        if time
        else None
    )
    data, of_data = validated_json(model, value, notation, source)
    return Event(
        id_,
        type_,
        source,
        happened,
        customer,
        visitor,
        is_history,
        data,
        headers.get(SIGNATURE, b""),
        None,
        key is not None and headers.get("ce_subject") == key,
        headers.get(SPEAKER) == b"public",
        headers.get(SPEAKER) == FORWARDED,
        odd=(
            _all_odd(odd, of_data, headers)
            if odd or of_data or odd_fields.HEADER in headers
            else ()
        ),
    )


def _said_in_data(value: bytes) -> bool:
    try:
        data, _ = halved.read(value)
    except ValueError:
        return False  # whoever reads the data says what is wrong
    return history.is_said(data, "value")


def _all_odd(
    of_envelope: list[OddField], of_data: tuple[OddField, ...], headers: Mapping[str, bytes]
) -> tuple[OddField, ...]:
    """Return what is odd of a record, and what was of the event before it was written."""
    before = headers.get(odd_fields.HEADER)
    earlier = () if before is None else odd_fields.of_header(before)
    return noted([*earlier, *of_envelope, *of_data])


def _other_customer(key: bytes | None, headers: Mapping[str, bytes]) -> str:
    """Return whom a record in binary mode is about whose key says nothing: its subject, else the
    visitor's id."""
    for name in ("ce_subject", "ce_anonymousid"):
        other = _text(headers, name)
        if not is_no_id(other):
            return checked_id(name, other)
    given = "" if key is None else f" (got {decoded('key', key)!r})"
    raise Unreadable("missing_id", f"key: the customer id is missing{given}")


def _parse_structured(
    body: dict[str, Any], key: bytes | None, notation: Notation, unnamed: str
) -> Event:
    """`unnamed`: the source of one that names none."""
    _see_that_it_is_published(body.get("type"))
    body, odd = whom.structured(body)
    is_named = bool(body.get("source"))
    is_history = checked_flag("backfill", body.get("backfill"))
    time = checked_time("time", body.get("time"), notation, odd, needed=is_history)
    envelope, of_envelope = _envelope({**body, "time": time, "backfill": is_history})
    odd += of_envelope
    source = (envelope.source if is_named else "") or unnamed
    model = payload_model(envelope.type)
    data, of_data = validated(model, envelope.data, notation, source)
    named_in_data = (envelope.data.get("customer_id"), envelope.data.get("user_id"))
    customer = envelope.subject or _first_id(*named_in_data)
    anonymous = envelope.anonymousid or _first_id(envelope.data.get("anonymous_id"))
    named = customer is not None and customer != anonymous
    if customer is None and key is not None:
        customer = decoded("key", key)
    if anonymous is not None and whom.is_the_visitors(customer, anonymous, "subject", odd):
        customer, named = None, False
    whose, anonymous, named = _whom(
        customer, anonymous, odd, named=named, missing="subject: the customer id is missing"
    )
    return Event(
        id=envelope.id,
        type=envelope.type,
        source=source,
        time=envelope.time,
        customer=whose,
        anonymous_id=anonymous,
        backfill=is_history,
        data=data,
        named=named,
        traceparent=traceparent(envelope.traceparent),
        odd=noted([*odd, *of_data]) if odd or of_data else (),
    )


def _see_that_it_is_published(type_: Any) -> None:
    """Raises Unreadable for an event that only our own actors tell each other."""
    if isinstance(type_, str) and type_.strip() in INTERNAL_TYPES:
        raise Unreadable("unknown_type", f"type: {type_!r} is Ritorno's own")


def _envelope(body: dict[str, Any]) -> tuple[CloudEvent, tuple[OddField, ...]]:
    """Read a CloudEvent in structured mode, and what of it was odd."""
    try:
        envelope = CloudEvent.model_validate(body)
    except ValidationError as error:
        if is_no_id(body.get("id")):
            why = f"id: the event's id is missing (got {body.get('id')!r})"
            raise Unreadable("missing_id", why) from error
        mended, odd = validated(CloudEvent, body)
        assert isinstance(mended, CloudEvent)
        return mended, odd
    check_bytes(envelope)
    return envelope, ()


def _first_id(*given: Any) -> Any:
    """Return the first that is an id, or is meant as one."""
    return next((each for each in given if not is_no_id(each)), None)


def _parse_recorded(body: dict[str, Any], notation: Notation) -> Event:
    headers, value = body["headers"], body["value"]
    key = None if is_no_id(body.get("key")) else body["key"]
    if isinstance(headers, dict):
        headers = whom.recorded(headers)
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise Unreadable("invalid_event", "headers: not an object of texts")
    if key is not None and not isinstance(key, str):
        raise Unreadable("invalid_event", f"key: not a text (got {key!r})"[:200])
    encoded = {name: text.encode() for name, text in headers.items()}
    if "ce_type" not in encoded:
        raise Unreadable("invalid_event", "headers.ce_type: missing")
    _see_that_it_is_published(headers["ce_type"])
    event = _parse_binary(None if key is None else key.encode(), encoded, to_json(value), notation)
    hints = encoded.get(event_hints.HEADER)
    return event._replace(
        traceparent=of_headers(encoded),
        hints=None if hints is None else event_hints.of_header(hints),
    )


def _parse_segment(body: dict[str, Any], notation: Notation, source: str) -> Event:
    if is_no_id(body.get("messageId")):
        raise Unreadable("missing_id", f"messageId: missing (got {body.get('messageId')!r})")
    body, odd = whom.segment(body)
    context = _context(body)
    is_history = checked_flag("backfill", body.get("backfill"))
    odd += segment.odd_name(body)
    time = checked_time("timestamp", body.get("timestamp"), notation, odd, needed=is_history)
    hints = event_hints.of_context(context) if context else None
    if (
        "timezone" in context
        and not (hints and hints.zone)
        and not is_not_said(context["timezone"])
    ):
        given_zone = odd_fields.shown(context["timezone"])
        odd.append(OddField("context.timezone", given_zone, "unreadable", kept=False))
    type_, given = segment.translated(body)
    data, of_data = validated(payload_model(type_), given, notation, source)
    id_ = checked_id("messageId", body["messageId"])
    customer, anonymous, named = _whom(
        body.get("userId"),
        body.get("anonymousId"),
        odd,
        named=True,
        missing="userId, anonymousId: one of them is needed",
    )
    return Event(
        id=id_,
        type=type_,
        source=source,
        time=time,
        customer=customer,
        anonymous_id=anonymous,
        backfill=is_history,
        data=data,
        named=named,
        traceparent=traceparent(context.get(TRACEPARENT)),
        odd=noted([*odd, *of_data]) if odd or of_data else (),
        hints=None if type_ in OUTCOMES else hints,
    )


def _context(body: dict[str, Any]) -> dict[str, Any]:
    """Return the context of a Segment object; what is none says nothing, but for one that may say
    that this is history. Raises Unreadable."""
    context = body.get("context")
    if isinstance(context, dict):
        return context
    try:
        return checked_object(body, "context")
    except Unreadable:
        if "backfill" in str(context):
            raise
        return {}


SEGMENT_SOURCE = "/segment"


def _whom(
    customer: Any, anonymous: Any, odd: list[OddField], *, named: bool, missing: str
) -> tuple[str, str | None, bool]:
    """Return whom an event is about, the visitor's id and whether a customer is `named`; a visitor
    who is declared as one has its own id as the anonymous one, too. Raises Unreadable."""
    if customer is not None:
        whose = checked_id("customer id", customer)
        return whose, whom.visitor_beside("anonymousId", anonymous, odd), named
    visitor = None if anonymous is None else checked_id("anonymousId", anonymous)
    if visitor is None:
        raise Unreadable("missing_id", missing)
    return visitor, visitor, False


def _text(headers: Mapping[str, bytes], name: str) -> str:
    value = headers.get(name)
    return "" if value is None else decoded(name, value)
