"""What a record tells other systems, and whom it is believed."""

from __future__ import annotations

import json
from typing import Any

from agents.outbound.messages import MAILS, SIGNALS, read_message
from schemas.events import PAYLOADS, Event
from schemas.outcomes import MAILER
from schemas.records import OutRecord, Record
from schemas.topics import CUSTOMER_EVENTS, CUSTOMER_SIGNALS
from schemas.wire import to_record
from tests.keys import SIGNER
from tests.outbound.doubles import START, signal


def as_read(topic: str, record: OutRecord) -> Record:
    return Record(topic, 0, 7, START, *record)


def outcome(type_: str = "mail.bounced", source: str = MAILER, **data: Any) -> OutRecord:
    event = Event(
        id="m1:bounced", type=type_, source=source, time=START, customer="anna",
        anonymous_id=None, backfill=bool(data.pop("backfill", False)),
        data=PAYLOADS[type_].model_validate({"command_id": "m1", **data}),
    )  # fmt: skip
    return to_record(event)


def test_a_signal_is_a_message_with_its_own_id() -> None:
    message = read_message(as_read(CUSTOMER_SIGNALS, signal("s1")), SIGNER)
    assert message is not None
    assert (message.id, message.type, message.customer) == ("s1", "segment.changed", "anna")
    assert json.loads(message.body) == {
        "type": "segment.changed",
        "timestamp": "2026-03-01T09:30:00Z",
        "data": {"id": "s1", "time": "2026-03-01T09:30:00Z", "customer": "anna",
                 "segment": "vip", "change": "entered"},
    }  # fmt: skip


def test_a_signal_of_a_later_release_goes_through() -> None:
    message = read_message(as_read(CUSTOMER_SIGNALS, signal("s1", kind="moon.changed")), SIGNER)
    assert message is not None
    assert message.type == "moon.changed"


def test_what_is_no_signal_tells_nothing() -> None:
    for value in (None, b"", b"[]", b"{}", b'{"signal": "a"}', b"\xff"):
        assert read_message(as_read(CUSTOMER_SIGNALS, OutRecord(b"a", value)), SIGNER) is None


def test_what_became_of_a_mail_is_believed_only_as_ours() -> None:
    ours = SIGNER.sign(CUSTOMER_EVENTS, outcome(kind="hard", code=550))
    message = read_message(as_read(CUSTOMER_EVENTS, ours), SIGNER)
    assert message is not None
    assert message.type == "mail.bounced"
    assert message.data["customer"] == "anna"
    assert message.data["kind"] == "hard"
    assert message.data["class"] == "marketing"
    assert read_message(as_read(CUSTOMER_EVENTS, outcome()), SIGNER) is None


def test_another_mailers_word_needs_no_signature_and_has_an_id_of_its_own() -> None:
    foreign = outcome(source="/mailchimp", command_id="")
    message = read_message(as_read(CUSTOMER_EVENTS, foreign), SIGNER)
    assert message is not None
    assert len(message.id) == 32
    segment = {
        "type": "track",
        "event": "Email Bounced",
        "userId": "anna",
        "messageId": "1",
        "timestamp": "2026-03-01T09:30:00Z",
        "properties": {"email": "anna@example.it"},
    }
    record = OutRecord(b"anna", json.dumps(segment).encode())
    found = read_message(as_read(CUSTOMER_EVENTS, record), SIGNER)
    assert found is not None
    assert found.type == "mail.bounced"


def test_history_and_other_events_tell_nothing() -> None:
    history = outcome(source="/mailchimp", command_id="", backfill=True)
    assert read_message(as_read(CUSTOMER_EVENTS, history), SIGNER) is None
    viewed = OutRecord(b"anna", b"{}", (("ce_type", b"product.viewed"), ("ce_id", b"1")))
    assert read_message(as_read(CUSTOMER_EVENTS, viewed), SIGNER) is None


def test_all_signals_and_outcomes_are_known_by_name() -> None:
    assert {"score.changed", "sales.alert", "customer.erased"} <= set(SIGNALS)
    assert {"mail.sent", "mail.clicked", "mail.unsubscribed"} <= set(MAILS)
