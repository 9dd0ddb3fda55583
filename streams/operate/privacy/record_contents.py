"""What single records say of a person, for who erases it.

What can't be read says nothing, and stops no erasure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import from_json

from agents.mail.queue.queued_mail import QueuedMail, unpack_entry
from agents.workflows.notifications import SHOP
from schemas.decisions import DECISION, Decision
from schemas.facts import is_fact
from schemas.instant import parse_instant
from schemas.records import OutRecord, Record
from schemas.reference import id_of, of_visitor
from schemas.signals import SIGNAL, CustomerErased
from schemas.stored import is_newer
from streams.logging import get_logger

_log = get_logger(__name__)


def superseded(records: Sequence[Record]) -> list[Record]:
    """Return those of one key that a recovery passes over; nobody needs them."""
    newest: Record | None = None
    for each in records:
        newer = None if newest is None else newest.value
        if newer is None or each.value is None or not is_newer(newer, each.value):
            newest = each
    return [each for each in records if each is not newest]


def entry_of(record: Record) -> QueuedMail | None:
    """Read what is kept of a mail; what is damaged stops nobody's erasure. Raises FutureFormat."""
    try:
        return unpack_entry(record.value or b"")
    except (msgspec.MsgspecError, UnicodeError):
        where = f"{record.topic}/{record.partition} at {record.offset}"
        _log.warning("a mail can't be read, an erasure passes over it", mail=where)
        return None


def erased_of(record: Record) -> CustomerErased | None:
    """Return the signal that somebody was erased, None when it is another one."""
    try:
        signal = SIGNAL.validate_json(record.value or b"")
    except ValidationError:
        return None
    return signal if isinstance(signal, CustomerErased) else None


def decision_of(record: Record) -> Decision | None:
    """Return the decision of a fact, None when it is none."""
    if is_fact(record):
        return None
    try:
        return DECISION.validate_json(record.value or b"")
    except ValidationError:
        return None


def without_customer(record: Record, decision: Decision) -> OutRecord:
    """Return the record of a decision as one of nobody's. A run's id may name an erasure, and
    so does nothing else in a decision."""
    plain = decision.model_copy(update={"customer": "", "run": "", "command_id": ""})
    value = plain.model_dump_json(by_alias=True, exclude_none=True).encode()
    return OutRecord(record.key, value, record.headers)


def is_of_mail(record: Record) -> bool:
    """Whether an event tells what became of a mail."""
    return (record.header("ce_type") or b"").startswith(b"mail.")


def spellings(*names: str) -> list[bytes]:
    """Return how ids look in bytes: as they are, and inside JSON; of a visitor also as others
    know it."""
    bare = {id_of(name) for name in names}
    inside = {json.dumps(name, ensure_ascii=False)[1:-1] for name in (*names, *bare)}
    return sorted(name.encode() for name in {*names, *bare, *inside})


def text_of(value: bytes | None, name: str) -> str:
    """Return a text of a JSON object, empty when it has none of this name."""
    found = json_of(value).get(name, "")
    return found if isinstance(found, str) else ""


def whom_about(command: bytes | None) -> str:
    """Return whose mail a command is; of one to the shop's own people, about whom."""
    customer = text_of(command, "customer")
    if customer != SHOP:
        return customer
    variables = json_of(command).get("variables")
    about = variables.get("customer") if isinstance(variables, dict) else None
    id_ = about.get("id") if isinstance(about, dict) else None
    if not isinstance(id_, str) or not isinstance(about, dict):
        return ""
    return of_visitor(id_) if about.get("visitor") is True else id_


def decided_at(value: bytes | None) -> int:
    """Return when a command was decided, ms; rubbish under the person's key is as old as can be."""
    try:
        return parse_instant(text_of(value, "time"))
    except ValueError:
        return 0


def json_of(value: bytes | None) -> Mapping[str, Any]:
    """Return a JSON object, an empty one when it is none."""
    try:
        found = from_json(value or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
