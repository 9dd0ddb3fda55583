"""Spans that a collector gets of a worker, over OTLP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents.mail.queue.queue_changes import QueueNote
from streams.clock import VirtualClock
from streams.operate.tracing import Tracing
from streams.runtime.failures import WorkerFailed
from streams.runtime.worker import Worker
from streams.settings import Settings
from tests.runtime.doubles import START
from tests.runtime.test_worker import SIGNED_UP, Inbox, all_done, inbox, settings, tell

__all__ = ["inbox", "settings"]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


class Seen(NamedTuple):
    """What matters of a span."""

    name: str
    trace: str
    parent: str
    about: dict[str, str | int]
    failed: bool


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.resources: set[str] = set()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            self.resources |= {each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    about = {
                        each.key: each.value.string_value or each.value.int_value
                        for each in span.attributes
                    }
                    assert span.start_time_unix_nano <= span.end_time_unix_nano
                    ids = span.trace_id.hex(), span.parent_span_id.hex()
                    self.spans.append(Seen(span.name, *ids, about, span.status.code == 2))
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    yield collector
    await runner.cleanup()


async def test_an_event_and_its_mail_are_spans_of_the_shops_trace(
    settings: Settings, inbox: tuple[Inbox, str], collector: Collector
) -> None:
    traced = settings.model_copy(update={"tracing_url": collector.url})
    worker = Worker(traced, clock=VirtualClock(START))
    await worker.start()
    try:
        joined = SIGNED_UP[1]
        headers = (*joined.headers, ("traceparent", SAMPLED.encode()))
        await tell(worker.log, SIGNED_UP[0], joined._replace(headers=headers))
        await inbox[0].next()
        await worker.mailer.until_idle()
        await all_done(worker)
    finally:
        await worker.stop()
    assert {(each.trace, each.parent) for each in collector.spans} == {(TRACE, SPAN)}
    by_name = {each.name: each for each in collector.spans}
    # The outcome is an event of the trace as well.
    assert by_name.keys() >= {"process list.subscribed", "send mail"}
    assert by_name["send mail"].about["ritorno.outcome"] == "sent"
    assert not by_name["send mail"].failed
    assert by_name["process list.subscribed"].about["messaging.destination.name"] == (
        "customer-events"
    )
    said = str(collector.spans) + str(collector.resources)
    assert "ritorno" in said
    assert "anna" not in said


async def test_what_the_shop_does_not_sample_is_not_drawn(collector: Collector) -> None:
    tracing = Tracing(collector.url, "w", VirtualClock(START))
    for trace in ("", UNSAMPLED):
        tracing.noted(QueueNote("sent", "transactional", "t", decided=START, traceparent=trace))
    note = QueueNote("bounced", "bulk", "t", "hard", decided=START, traceparent=SAMPLED)
    tracing.noted(note)
    await tracing.stop()
    (span,) = collector.spans
    assert (span.name, span.failed) == ("send mail", True)
    assert span.about == {
        "ritorno.class": "bulk",
        "ritorno.outcome": "bounced",
        "ritorno.template": "t",
        "ritorno.reason": "hard",
    }


async def test_a_collector_that_is_away_keeps_nobody_waiting() -> None:
    tracing = Tracing("http://127.0.0.1:9/v1/traces", "w", VirtualClock(START))
    tracing.noted(QueueNote("sent", "bulk", "t", decided=START, traceparent=SAMPLED))
    async with asyncio.timeout(10):
        await tracing.stop()


def test_without_the_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(WorkerFailed, match=r"pip install 'ritorno\[tracing\]'"):
        Tracing("http://127.0.0.1:9/v1/traces", "w", VirtualClock(START))
