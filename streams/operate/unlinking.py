"""Has an operator's word that a visitor is not a customer after all appended
(`agents/customer/unlinking.py`), with what the visitor had handed over, as the log has it."""

from __future__ import annotations

from typing import NamedTuple

from agents.digests import derived_id
from schemas import stored
from schemas.events import Event
from schemas.events.own import VisitorMerged, VisitorUnlinked
from schemas.reference import id_of, of_visitor
from schemas.signing import RecordSigner
from schemas.validation import Unreadable
from schemas.wire import parse_record, to_record
from streams.http.internal.client import Lookups
from streams.log import Log, OnProgress, no_progress
from streams.operate.record_search import find_records
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS

SOURCE = "/ritorno/unlink"


class UnlinkReport(NamedTuple):
    """What was appended."""

    merges: int
    """Times at which the visitor has handed over to this customer, as the log has it still."""


async def unlink(
    log: Log,
    customer: str,
    visitor: str,
    signer: RecordSigner,
    *,
    time: int,
    lookups: Lookups | None = None,
    on_progress: OnProgress = no_progress,
) -> UnlinkReport:
    """Append, at `time` (ms), that `visitor` isn't `customer`. Raises LogError."""
    reference = of_visitor(visitor)
    merged: list[VisitorMerged] = []
    keys = {customer.encode()}
    for record in await find_records(
        log, CUSTOMER_EVENTS, keys, lookups=lookups, on_progress=on_progress
    ):
        if record.header("ce_type") != b"visitor.merged":
            continue
        try:
            data = parse_record(record).data
        except Unreadable:
            continue  # it is among the dead letters
        if isinstance(data, VisitorMerged) and of_visitor(data.anonymous_id) == reference:
            merged.append(data)
    last = merged[-1] if merged else None
    data = VisitorUnlinked(
        customer_id=customer,
        anonymous_id=reference,
        state="" if last is None else last.state,
        format=stored.FORMAT if last is None else last.format,
    )
    event = Event(
        id=derived_id("visitor.unlinked", customer, id_of(visitor), str(time)),
        type="visitor.unlinked",
        source=SOURCE,
        time=time,
        customer=customer,
        anonymous_id=None,
        backfill=False,
        data=data,
    )
    out = signer.sign(CUSTOMER_EVENTS, to_record(event))
    partitions = await log.partitions(CUSTOMER_EVENTS)
    await log.append(CUSTOMER_EVENTS, partition_of(customer.encode(), partitions), [out])
    return UnlinkReport(len(merged))
