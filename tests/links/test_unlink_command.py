"""The operator's word comes into the log with what the visitor had handed over, signed."""

from __future__ import annotations

import json

from schemas.events.own import VisitorUnlinked
from schemas.records import OutRecord
from schemas.reference import of_visitor
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.operate.unlinking import unlink
from streams.partitioner import partition_of
from tests.harness import START
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog, memory_log


async def log_with(*visitors: str) -> MemoryLog:
    log = await memory_log(2, VirtualClock(START))
    for visitor in visitors:
        data = {"anonymous_id": of_visitor(visitor), "state": f'["{visitor}"]', "format": 2}
        headers = (("ce_id", visitor.encode()), ("ce_type", b"visitor.merged"))
        record = OutRecord(b"anna", json.dumps(data).encode(), headers)
        await log.append(CUSTOMER_EVENTS, partition_of(b"anna", 2), [record])
    return log


async def test_the_last_handover_goes_along() -> None:
    log = await log_with("v", "w")
    assert (await unlink(log, "anna", "v", SIGNER, time=START)).merges == 1
    record = log.topics[CUSTOMER_EVENTS][partition_of(b"anna", 2)][-1]
    SIGNER.check(CUSTOMER_EVENTS, record)
    event = parse_record(record)
    assert event.customer == "anna"
    assert event.data == VisitorUnlinked(
        customer_id="anna", anonymous_id=of_visitor("v"), state='["v"]', format=2
    )


async def test_without_one_only_the_link_ends() -> None:
    log = await log_with("w")
    assert (await unlink(log, "anna", "v", SIGNER, time=START)).merges == 0
    event = parse_record(log.topics[CUSTOMER_EVENTS][partition_of(b"anna", 2)][-1])
    assert event.data.state == ""
