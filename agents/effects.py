"""Effects: the records that an actor asks to have written, as data. The commit protocol writes them
to topics, replay to files."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from schemas import topics
from schemas.commands import (
    CancelCommand,
    FeedbackCommand,
    NotifyCommand,
    SendCommand,
    SuppressCommand,
)
from schemas.dead_letters import signed_letter, with_signed_original
from schemas.decisions import Decision
from schemas.events import Event
from schemas.records import OutRecord
from schemas.signals import Signal
from schemas.signing import RecordSigner
from schemas.trace import TRACEPARENT
from schemas.wire import to_record

Content = (
    SendCommand
    | CancelCommand
    | NotifyCommand
    | FeedbackCommand
    | SuppressCommand
    | Decision
    | Event
    | Signal
    | OutRecord
)

_JSON_HEADERS = (("content-type", b"application/json"),)


class Effect(NamedTuple):
    """One record to be written. `key` selects the partition."""

    topic: str
    key: bytes
    content: Content
    is_report: bool = False
    """A dead letter whose record is ours: when somebody sends it again, it is to be obeyed."""

    @property
    def record(self) -> OutRecord:
        """The effect as a record of its topic."""
        content = self.content
        if isinstance(content, OutRecord):
            return content
        if isinstance(content, Event):
            return to_record(content)
        # What `model_dump_json` does, without what it does around it.
        to_json = content.__pydantic_serializer__.to_json
        value = to_json(content, by_alias=True, exclude_none=True)
        if isinstance(content, SendCommand | NotifyCommand) and content.traceparent:
            trace = (TRACEPARENT, content.traceparent.encode())
            return OutRecord(self.key, value, (*_JSON_HEADERS, trace))
        return OutRecord(self.key, value, _JSON_HEADERS)

    def signed(self, signer: RecordSigner) -> OutRecord:
        """The effect as a record of its topic, signed where one of ours is to obey it."""
        record = self.record
        if self.is_report:
            record = with_signed_original(record, topics.CUSTOMER_EVENTS, signer)
        if self.topic == topics.DEAD_LETTERS:
            return signed_letter(record, signer)
        if self.topic in (topics.SEND_COMMANDS, topics.CUSTOMER_EVENTS):
            return signer.sign(self.topic, record)
        return record


def command(
    content: SendCommand | CancelCommand | NotifyCommand | FeedbackCommand | SuppressCommand,
) -> Effect:
    """A command for the mailer."""
    return Effect(topics.SEND_COMMANDS, content.customer.encode(), content)


def decided(content: Decision) -> Effect:
    """A decision, for the KPIs and for whoever asks why."""
    return Effect(topics.FACTS, content.workflow.encode(), content)


def event_effect(event: Event) -> Effect:
    """An event for an actor: another one, or this one later."""
    return Effect(topics.CUSTOMER_EVENTS, event.customer.encode(), event)


def tell(
    receiver: str, type_: str, data: BaseModel, *, id_: str, source: str, time: int,
    backfill: bool = False,
) -> Effect:  # fmt: skip
    """What one of our actors tells another, by its reference. `id_` follows from what caused it, so
    that the same cause tells the same; `time` in ms."""
    return event_effect(
        Event(
            id=id_,
            type=type_,
            source=source,
            time=time,
            customer=receiver,
            anonymous_id=None,
            backfill=backfill,
            data=data,
        )
    )


def signal(content: Signal) -> Effect:
    """A signal for other systems."""
    return Effect(topics.CUSTOMER_SIGNALS, content.customer.encode(), content)


def move(record: OutRecord, key: bytes) -> Effect:
    """A record that lay in the wrong partition, unchanged but for its key."""
    return Effect(topics.CUSTOMER_EVENTS, key, record._replace(key=key))


def refused(letter: OutRecord) -> Effect:
    """A dead letter."""
    return Effect(topics.DEAD_LETTERS, letter.key or b"", letter)


def reported(letter: OutRecord) -> Effect:
    """A dead letter of ours, which has what was passed over tried again when it is sent again."""
    return Effect(topics.DEAD_LETTERS, letter.key or b"", letter, is_report=True)
