"""What an expression of a mapping may name.

value      the message: the record's value, or what its envelope holds
key        the record's key; of an outbox the aggregate's id
headers    the record's headers, texts by name
time       the record's own time, RFC 3339
topic, partition, offset
before, operation, source      of a change that Debezium tells
event      of CloudEvents their attributes, of an outbox `id` and `type`
item, index      within `each`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.mappings.envelopes import ForeignMessage, ForeignRecord
from schemas.instant import to_rfc3339
from schemas.mappings import Envelope

_ALWAYS = frozenset({"value", "key", "headers", "time", "topic", "partition", "offset"})
_OF_ENVELOPE: Mapping[Envelope, frozenset[str]] = {
    "none": frozenset(),
    "debezium": frozenset({"before", "operation", "source"}),
    "outbox": frozenset({"event"}),
    "cloudevents": frozenset({"event"}),
}
OF_ITEM = frozenset({"item", "index"})


def names(envelope: Envelope) -> frozenset[str]:
    """Return what may be named outside of `each`."""
    return _ALWAYS | _OF_ENVELOPE[envelope]


def scope_of(record: ForeignRecord, message: ForeignMessage) -> dict[str, Any]:
    """Return what the names stand for."""
    return {
        "value": message.value,
        "key": message.key,
        "headers": record.headers,
        "time": None if message.time is None else to_rfc3339(message.time),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "before": message.before,
        "operation": message.operation,
        "source": message.source,
        "event": message.event,
    }
