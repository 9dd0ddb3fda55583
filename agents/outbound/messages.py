"""What other systems are told of: signals, and what became of mails, read from the log's records.

To whoever receives it a message looks as Standard Webhooks recommends:

    {"type": "segment.changed", "timestamp": "2026-03-01T09:00:00Z", "data": {"customer": …}}
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, get_args

from pydantic_core import from_json

from agents.digests import derived_id
from schemas.events import Event
from schemas.instant import parse_instant, to_rfc3339
from schemas.outcomes import OUTCOMES
from schemas.records import Record
from schemas.reserved import reserved, reserved_id
from schemas.signals import Signal
from schemas.signing import NotSigned, RecordSigner
from schemas.topics import CUSTOMER_EVENTS, CUSTOMER_SIGNALS
from schemas.validation import Unreadable
from schemas.wire import parse_record

SIGNALS = tuple(
    sorted(model.model_fields["signal"].default for model in get_args(get_args(Signal)[0]))
)
"""The types of signals."""

MAILS = tuple(sorted(OUTCOMES))
"""The types of what becomes of mails."""

TYPES = (*SIGNALS, *MAILS)

TEST = "webhook.test"
"""The type of what `ritorno webhooks test` sends, and of nothing else."""

_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What an id may look like in a header and as a key of other systems."""

_MAIL = b"mail."
_MAYBE_MAIL = re.compile(rb"mail|Email|nsubscribed")
"""In a record that does not say its type in a header, if it is about a mail."""


class Message(NamedTuple):
    """What one record tells other systems."""

    id: str
    """The same whenever it is told, so that a receiver knows a repetition."""
    type: str
    time: int
    """When it happened, ms since the epoch."""
    customer: str
    data: dict[str, Any]
    """JSON, with `customer` in it."""

    @property
    def body(self) -> bytes:
        """The message as it is posted."""
        content = {"type": self.type, "timestamp": to_rfc3339(self.time), "data": self.data}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def read_message(record: Record, signer: RecordSigner) -> Message | None:
    """Return what a record of `customer-signals` or `customer-events` tells; None when it tells
    nothing, or claims to be ours and is not signed."""
    if record.topic == CUSTOMER_SIGNALS:
        return _signal(record)
    return _outcome(record, signer) if record.topic == CUSTOMER_EVENTS else None


def _signal(record: Record) -> Message | None:
    try:
        content = from_json(record.value or b"")
        type_, time = str(content.pop("signal")), parse_instant(content["time"])
        id_, customer = str(content["id"]), str(content["customer"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # nobody but us writes there, and a signal of a later release has these
    return Message(_id(id_), type_, time, customer, content)


def _outcome(record: Record, signer: RecordSigner) -> Message | None:
    kind = record.header("ce_type")
    if kind is None and (record.value is None or not _MAYBE_MAIL.search(record.value)):
        return None
    if kind is not None and not kind.startswith(_MAIL):
        return None
    try:
        event = parse_record(record)
    except Unreadable:
        return None  # the customers' agent has it among the dead letters
    if event.type not in OUTCOMES or event.backfill or reserved_id(event):
        return None
    if reserved(event) and not _is_ours(record, signer):
        return None
    return _of_event(event, record)


def _of_event(event: Event, record: Record) -> Message:
    told = event.data.model_dump(mode="json", by_alias=True, exclude_none=True)
    time = record.timestamp if event.time is None else event.time
    data = {"id": event.id, "time": to_rfc3339(time), "customer": event.customer, **told}
    return Message(_id(event.id, event.source), event.type, time, event.customer, data)


def _is_ours(record: Record, signer: RecordSigner) -> bool:
    try:
        signer.check(record.topic, record)
    except NotSigned:
        return False
    return True


def _id(id_: str, source: str = "") -> str:
    """Return an id that a header can carry, whatever a source calls its events."""
    if not source and _PLAIN_ID.fullmatch(id_):
        return id_
    return derived_id(source, id_)
