"""What the demo's shop sends, as records that a log would have once it is all taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_sent, to_record
from streams.tools.demo.calls import Sender, SentCall
from streams.tools.demo.driver_events import DriverEvent
from streams.tools.demo.http_sender import SOURCE


def recorded(happened: Iterable[DriverEvent | SentCall]) -> Iterator[tuple[int, OutRecord]]:
    """Yield when each event comes, and its record; without the plug-in's mistakes, and without the
    way round by a visitor of somebody who is known: those are the customer's own."""
    known: dict[str, str] = {}
    for each in happened:
        if isinstance(each, DriverEvent):
            if each.topic == CUSTOMER_EVENTS:
                yield each.time, each.record
            continue
        if each.sender is Sender.PLUGIN:
            continue
        assert not isinstance(each.body, bytes)
        call = dict(each.body)
        if call["type"] == "identify":
            known[call["anonymousId"]] = call["userId"]
        elif customer := call.get("userId") or known.get(call["anonymousId"]):
            call.pop("anonymousId", None)
            call["userId"] = customer
        event = parse_sent(call, source=SOURCE)
        yield each.time, to_record(event._replace(backfill=each.sender is Sender.IMPORT))
