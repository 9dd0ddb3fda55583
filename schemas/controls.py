"""Control records: without a key, for a partition of `customer-events` and not for a customer."""

from __future__ import annotations

from schemas.records import OutRecord


def control_record(kind: str, value: bytes) -> OutRecord:
    """Return the control record of a type; `value` is JSON."""
    headers = (("ce_type", kind.encode()), ("content-type", b"application/json"))
    return OutRecord(None, value, headers)
