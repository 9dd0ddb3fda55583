"""Envelopes: what of a record is the message, and what is said about it.

    debezium     a change of a row: `before`, `after`, `op`; the message is the row as it is after
                 it, of a deletion as it was. What a snapshot has read (`r`) is history.
    outbox       Debezium's outbox: rows of a table that are events themselves, as the router
                 (`EventRouter`) has written them or as the table's own changes
    cloudevents  attributes in headers, in one object, or a batch of such objects

Tombstones (records without a value) say nothing here: deletions have been told before them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from agents.mappings.connect_types import by_schema
from schemas.mappings import Envelope, Operation
from schemas.validation import Unreadable


class ForeignRecord(NamedTuple):
    """A record of a topic that others own, its format read."""

    topic: str
    partition: int
    offset: int
    time: int | None
    """The record's own, ms since the epoch, whoever has given it."""
    key: Any
    value: Any
    headers: Mapping[str, str]


class ForeignMessage(NamedTuple):
    """What an envelope holds."""

    value: Any
    key: Any
    time: int | None
    operation: Operation = "create"
    before: Any = None
    source: Any = None
    """Where a change comes from: database, table, position."""
    event: Mapping[str, Any] | None = None
    """Attributes of a CloudEvent; `id` and `type` of an event of an outbox."""
    is_snapshot: bool = False


_OPERATIONS: Mapping[str, Operation] = {
    "c": "create", "u": "update", "d": "delete", "r": "read",
}  # fmt: skip
_SAY_NOTHING = frozenset({"t", "m"})
"""A table was emptied; a message of the database's own."""

_CE = "ce_"


def unwrap(envelope: Envelope, record: ForeignRecord) -> Iterator[ForeignMessage | Unreadable]:
    """Yield the messages of a record, none of a tombstone; of a batch also what of it can't be
    read. Raises Unreadable for a record that can't be."""
    if envelope == "cloudevents":
        yield from _cloud_events(record)
        return
    if record.value is None:
        return
    if envelope == "none":
        yield ForeignMessage(record.value, record.key, record.time)
        return
    value = _payload(record.value)
    if envelope == "outbox":
        yield from _outbox(record, value)
    elif value is not None:
        message = _change(record, value)
        if message is not None:
            yield message


def _payload(value: Any) -> Any:
    """Return what Connect's JSON converter has put beside its schema."""
    if isinstance(value, dict) and value.keys() == {"schema", "payload"}:
        try:
            return by_schema(value["schema"], value["payload"])
        except ValueError as error:
            raise Unreadable("invalid_event", f"payload: {error}") from None
    return value


def _change(record: ForeignRecord, value: Any) -> ForeignMessage | None:
    if not isinstance(value, dict) or "op" not in value:
        raise Unreadable(
            "invalid_event",
            "op: missing, so it is no change of Debezium's (what ExtractNewRecordState has "
            "unwrapped has no envelope)",
        )
    op = value["op"]
    if op in _SAY_NOTHING:
        return None
    operation = _OPERATIONS.get(op) if isinstance(op, str) else None
    if operation is None:
        raise Unreadable("invalid_event", f"op: expected c, u, d or r (got {op!r})"[:200])
    row = value.get("before" if operation == "delete" else "after")
    if not isinstance(row, dict):
        which = "before" if operation == "delete" else "after"
        raise Unreadable("invalid_event", f"{which}: no row (got {row!r})"[:200])
    source = value.get("source")
    changed = source.get("ts_ms") if isinstance(source, dict) else None
    time = changed if isinstance(changed, int) and changed > 0 else record.time
    key = _payload(record.key)
    is_snapshot = operation == "read"
    return ForeignMessage(row, key, time, operation, value.get("before"), source, None, is_snapshot)


def _outbox(record: ForeignRecord, value: Any) -> Iterator[ForeignMessage]:
    if isinstance(value, dict) and "op" in value:
        change = _change(record, value)
        if change is None or change.operation not in ("create", "read"):
            return  # rows are taken away again as soon as they are written
        row = change.value
        event = {name: row.get(name) for name in ("id", "type", "aggregatetype", "aggregateid")}
        payload = _parsed(row.get("payload"), "payload")
        yield ForeignMessage(payload, row.get("aggregateid"), change.time, event=event)
        return
    headers = record.headers
    event = {"id": headers.get("id"), "type": headers.get("eventType", headers.get("type"))}
    yield ForeignMessage(_parsed(value, "value"), _payload(record.key), record.time, event=event)


def _parsed(value: Any, place: str) -> Any:
    """Return what a text holds where it is JSON: an outbox keeps it as a text."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError as error:
        raise Unreadable("invalid_json", f"{place}: not JSON: {str(error)[:200]}") from None


def _cloud_events(record: ForeignRecord) -> Iterator[ForeignMessage | Unreadable]:
    headers = record.headers
    if _CE + "specversion" in headers or _CE + "type" in headers:
        event: dict[str, Any] = {
            name.removeprefix(_CE): text for name, text in headers.items() if name.startswith(_CE)
        }
        yield ForeignMessage(record.value, record.key, record.time, event=event)
        return
    if record.value is None:
        return
    if not isinstance(record.value, list):
        yield _structured(record.value, record, "")
        return
    for number, each in enumerate(record.value):
        try:
            yield _structured(each, record, f"{number}: ")
        except Unreadable as error:
            yield error


def _structured(body: Any, record: ForeignRecord, place: str) -> ForeignMessage:
    if not isinstance(body, dict) or "specversion" not in body:
        problem = f"{place}specversion: missing, so it is no CloudEvent"
        raise Unreadable("invalid_event", problem)
    attributes = {
        name: value for name, value in body.items() if name not in ("data", "data_base64")
    }
    return ForeignMessage(_data(body, place), record.key, record.time, event=attributes)


def _data(event: Mapping[str, Any], place: str) -> Any:
    encoded = event.get("data_base64")
    if encoded is None:
        return event.get("data")
    try:
        return from_json(base64.b64decode(encoded, validate=True))
    except (TypeError, binascii.Error, ValueError) as error:
        problem = f"{place}data_base64: no JSON in base64: {str(error)[:150]}"
        raise Unreadable("invalid_event", problem) from None
