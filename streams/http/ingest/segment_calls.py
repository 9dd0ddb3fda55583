"""Segment's HTTP tracking API: what a body holds, and what each call in it says.

A call is read as one of a file is (`schemas/wire.py`); here is what only HTTP has: batches with a
context for all, a clock that is wrong, and calls without an id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json

from schemas import history
from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.notation import Notation
from schemas.validation import Unreadable, is_no_id
from schemas.wire import parse_sent
from schemas.written_times import plain_instant, read_time
from streams.messages.plurals import several

CALL_BYTES = 32_768
"""Of one call, by Segment's documentation (32 KB)."""

BATCH_BYTES = 512_000
"""Of a batch (500 KB)."""

BATCH_CALLS = 2_500
"""In a batch: of the shortest calls that say anything its bytes hold no more."""

KINDS = ("track", "identify", "page", "screen", "group", "alias")

PATHS = {**{kind: kind for kind in KINDS}, **{kind[0]: kind for kind in KINDS}}
"""What stands at the end of a path, and which call that is: Segment's library for browsers posts to
`/v1/t`, `/v1/p`…"""

Call = dict[str, Any]


class SegmentBody(NamedTuple):
    """What was posted."""

    calls: list[Any]
    """Each ought to be a `Call`."""
    sent_at: int | None
    """When, by the sender's clock; ms since the epoch."""
    write_key: str
    """Empty where the body names none."""


class ReceivedCall(NamedTuple):
    """How a call has come."""

    at: int
    """ms since the epoch, by our clock."""
    source: str
    is_history: bool = False
    """By `/v1/import`."""
    may_be_history: bool = True
    """Whether the word is in the body at all."""


def batch_of(body: Mapping[str, Any], calls: list[Any]) -> SegmentBody:
    """Return what the body of a batch says; what it says for all stands in each of its calls."""
    context = body.get("context")
    if isinstance(context, dict) and context:
        calls = [_with_context(each, context) if isinstance(each, dict) else each for each in calls]
    sent_at = _instant(body.get("sentAt"))
    if sent_at is None and calls and isinstance(calls[0], dict):
        sent_at = _instant(calls[0].get("sentAt"))
    return SegmentBody(calls, sent_at, _write_key(body, calls))


def single(body: Call, kind: str) -> SegmentBody:
    """Return what the body of a single call says."""
    call = {**body, "type": kind}
    return SegmentBody([call], _instant(body.get("sentAt")), _write_key(body, ()))


def check_size(call: Call) -> None:
    """Raise Unreadable for a call of a batch that is larger than one may be."""
    size = len(to_json(call, inf_nan_mode="constants"))
    if size > CALL_BYTES:
        problem = f"{several(size, 'byte')}, at most {CALL_BYTES} are taken of one call"
        raise Unreadable("too_large", problem)


def read_call(
    call: Any,
    sent_at: int | None,
    received: ReceivedCall,
    notation: Notation,
    place: int = 0,
) -> Event:
    """Return the event that a call is, at the time at which it happened; `place` is that in its
    batch. Raises Unreadable."""
    if not isinstance(call, dict):
        raise Unreadable("invalid_event", f"not an object but {type(call).__name__}")
    call = _identified(call, received, place)
    if received.may_be_history:
        call = history.placed(call)
    event = parse_sent(call, notation, source=received.source)
    if received.is_history or event.backfill:
        return event if event.backfill else event._replace(backfill=True)
    time = _by_our_clock(event.time, sent_at, received.at)
    return event if time == event.time else event.at(time)


def completed(call: Call, sent_at: int | None, received: ReceivedCall, place: int) -> Call:
    """Return a call that was refused as it is to be read later, when nobody knows how it came."""
    call = _identified(call, received, place)
    if received.is_history:
        return {**call, "backfill": True}
    happened = plain_instant(call.get("timestamp"))
    if received.may_be_history or (happened is None and call.get("timestamp") is not None):
        return call
    return {**call, "timestamp": to_rfc3339(_by_our_clock(happened, sent_at, received.at))}


def _identified(call: Call, received: ReceivedCall, place: int) -> Call:
    if is_no_id(call.get("messageId")):
        call = {**call, "messageId": _id_of(call, received.at, place)}
    if call.get("timestamp") is None and call.get("originalTimestamp") is not None:  # RudderStack
        call = {**call, "timestamp": call["originalTimestamp"]}
    return call


def _by_our_clock(happened: int | None, sent_at: int | None, received_at: int) -> int:
    """Return when it happened, when the sender's clock is off by as much as the way here tells."""
    if happened is None:
        return received_at
    if sent_at is None:
        return happened
    return min(received_at, received_at - (sent_at - happened))


def _id_of(call: Call, received_at: int, place: int) -> str:
    """Return an id for a call that names none: the same when it is sent again, as far as that can
    be told. Without a time of its own the same call may have been meant twice."""
    told = {name: value for name, value in call.items() if name not in ("sentAt", "writeKey")}
    if "timestamp" not in told and "originalTimestamp" not in told:
        told["receivedAt"] = received_at
        told["place"] = place
    text = to_json(dict(sorted(told.items())), inf_nan_mode="constants")
    return "made-" + hashlib.sha256(text).hexdigest()[:32]


def _with_context(call: Call, context: Mapping[str, Any]) -> Call:
    own = call.get("context")
    if own is None:
        return {**call, "context": context}
    return {**call, "context": {**context, **own}} if isinstance(own, dict) else call


def _write_key(body: Mapping[str, Any], calls: Any) -> str:
    """Return the key that the body names, or where it names none the first of its calls."""
    for each in (body, *calls[:1]):
        found = each.get("writeKey") if isinstance(each, dict) else None
        if isinstance(found, str) and found:
            return found
    return ""


def _instant(value: Any) -> int | None:
    instant = plain_instant(value)
    if instant is not None or value is None:
        return instant
    try:
        return read_time(value, "UTC").instant
    except ValueError:
        return None
