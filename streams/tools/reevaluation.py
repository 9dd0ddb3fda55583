"""Re-evaluation (`ritorno workflows review`): newly published segments, dates and silences reach
customers who are silent.

A customer's derived state is brought up to date at the next event. For those who send none, an
event of our own is appended for each known customer: nothing has happened but that other
definitions are live. Known are those who have a state in the changelog; that an event comes twice
changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.digests import derived_id
from schemas.events import Event
from schemas.events.own import CustomerReviewed
from schemas.records import OutRecord
from schemas.reference import bare_key
from schemas.reserved import SUBJECTS
from schemas.signing import RecordSigner
from schemas.stored import OWN_PREFIX, is_erased
from schemas.wire import to_record
from streams.log import Log, scan
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG

SOURCE = "/ritorno/review"
BATCH = 1000
"""Records awaited together, as in publishing."""

NOBODY = (OWN_PREFIX, *(subject.encode() for subject in SUBJECTS))
"""Keys that begin so are no customers' ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReevaluationReport:
    """What was appended."""

    customers: int
    partitions: int


async def reevaluate(log: Log, signer: RecordSigner) -> ReevaluationReport:
    """Append an event for each known customer. Raises LogError."""
    occasion, customers = uuid.uuid4().hex, 0
    partitions = await log.partitions(CUSTOMERS_CHANGELOG)
    for partition in range(partitions):
        known: dict[bytes, None] = {}
        skipped = SkippedRecords("a customer's record")
        async for record in scan(log, CUSTOMERS_CHANGELOG, [partition]):
            if record.key is None or bare_key(record.key).startswith(NOBODY):
                continue
            if record.value is None or is_erased(record.value):
                known.pop(record.key, None)  # erased
            elif _is_text(record.key):
                known[record.key] = None
            else:
                skipped.note(record, "the key is no text")
        skipped.tell()
        customers += len(known)
        for batch in _batches(list(known)):
            events = [signer.sign(CUSTOMER_EVENTS, _event(key, occasion)) for key in batch]
            await log.append(CUSTOMER_EVENTS, partition, events)
    return ReevaluationReport(customers=customers, partitions=partitions)


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return len(key) > 0


def _batches(keys: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def _event(key: bytes, occasion: str) -> OutRecord:
    customer = key.decode()
    return to_record(
        Event(
            id=derived_id(occasion, customer),
            type="customer.reviewed",
            source=SOURCE,
            time=None,
            customer=customer,
            anonymous_id=None,
            backfill=False,
            data=CustomerReviewed(),
        )
    )
