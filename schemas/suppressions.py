"""Suppressions: addresses that get no mail, known only by a keyed hash, on `suppressions`.

The key of a record is `KEYID.HASH` (`agents/mail/suppression.py`), and the last record of a key
counts. What people did is written a second time under `audit.TIME.KEYID.HASH`, a key that never
comes again, so that compaction leaves it. Objections have a key of their own,
`objection.KEYID.HASH`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.instant import Instant
from schemas.records import OutRecord

SuppressionScope = Literal["all", "marketing"]
"""marketing: confirmations and other transactional mails still go."""

SuppressionReason = Literal["hard", "soft", "complaint", "manual", "objection"]
"""hard, soft: mails bounced. complaint: a mail was called spam. manual: a person decided.
objection: marketing was refused, for an address that several customers have."""

AUDIT = "audit."
OBJECTION = "objection."
"""Begins the key of an objection: who owns the address may take it back, and nothing else that
suppresses the address with it."""


class Suppression(BaseModel):
    """What was last decided about an address."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    state: Literal["suppressed", "released"]
    scope: SuppressionScope
    reason: SuppressionReason
    time: Instant
    by: str
    """Who: `ritorno`, or a person's name on the machine where the command ran."""
    note: str = ""
    """Why, in a person's words."""


def to_suppression_record(key: str, suppression: Suppression) -> OutRecord:
    """Return the record of `suppressions`."""
    headers = (("content-type", b"application/json"),)
    return OutRecord(key.encode(), suppression.model_dump_json().encode(), headers)


def read_suppression(value: bytes | None) -> Suppression | None:
    """Return what a record says, None when it can't be read."""
    try:
        return Suppression.model_validate_json(value or b"")
    except ValidationError:
        return None
