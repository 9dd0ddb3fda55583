"""Spans for a collector (OpenTelemetry, OTLP over HTTP), where `RITORNO_TRACING_URL` names one.

Each event that belongs to a trace (`schemas/trace.py`) gets a span from its append to its commit,
each of its mails one from the decision to what became of it: children of the shop's own span. They
are drawn of what is durable, beside the work, and decide nothing: what a collector can't take is
lost, and counted by nobody but the SDK.

No span says whom it is about.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agents.mail.queue.queue_changes import QueueNote
from agents.partition.batch import BatchChanges
from schemas.topics import CUSTOMER_EVENTS
from streams.clock import Clock
from streams.runtime.commit_protocol import Observer, ObserverInFront
from streams.runtime.failures import WorkerFailed

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

SECONDS = 5.0
"""For which one answer of the collector is waited."""

STOP_SECONDS = 2.0
"""What spans that are not sent yet get at the end."""

QUEUE = 2_048
"""Spans that wait to be sent; more are lost."""

NAME = "ritorno"
FAILED = frozenset({"bounced", "failed", "rejected"})


class Tracing:
    """Draws the spans of one worker."""

    def __init__(self, url: str, worker_id: str, clock: Clock) -> None:
        """`url` takes OTLP, as `http://HOST:4318/v1/traces` does. Raises WorkerFailed when the SDK
        isn't installed."""
        try:  # half a second to import, and an extra that few install
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # as above
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # as above
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # as above
        except ImportError:
            raise WorkerFailed(
                f"RITORNO_TRACING_URL = {url}: OpenTelemetry isn't installed; "
                "pip install 'ritorno[tracing]', or unset it"
            ) from None
        self._clock = clock
        about = {"service.name": NAME, "service.instance.id": worker_id}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=url, timeout=SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
        self._tracer = self._provider.get_tracer(NAME)

    def watching(self, observer: Observer) -> Observer:
        """Return an observer that draws spans of what is committed."""
        return _TracingObserver(observer, self)

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """Draw the spans of the events that a batch has committed."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415  # is there, as this object is

        for event in changes.counts.traced:
            about: dict[str, str | int] = {
                "messaging.destination.name": CUSTOMER_EVENTS,
                "messaging.destination.partition.id": str(partition),
                "messaging.kafka.offset": event.offset,
                "ritorno.event.type": event.type,
            }
            self._draw(
                f"process {event.type}", event.traceparent, event.appended, SpanKind.CONSUMER, about
            )

    def noted(self, note: QueueNote) -> None:
        """Draw the span of a mail of which something became."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415  # as above

        if note.traceparent:
            told = {
                "ritorno.class": note.mail_class,
                "ritorno.outcome": note.what,
                "ritorno.template": note.template,
                "ritorno.reason": note.reason,
            }
            about = {name: text for name, text in told.items() if text}
            self._draw(
                "send mail", note.traceparent, note.decided, SpanKind.PRODUCER, about,
                failed=note.what in FAILED,
            )  # fmt: skip

    async def stop(self) -> None:
        """Send what waits, for a while. Safe to call twice."""
        # A thread of its own: the loop's would be waited for at the end, for as long as the SDK
        # tries again.
        stopping = threading.Thread(target=self._provider.shutdown, daemon=True)
        stopping.start()
        await asyncio.to_thread(stopping.join, STOP_SECONDS)

    def _draw(
        self,
        name: str,
        traceparent: str,
        began: int,
        kind: SpanKind,
        about: Mapping[str, str | int],
        *,
        failed: bool = False,
    ) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415  # as above

        span = self._tracer.start_span(
            name,
            context=_parent(traceparent),
            kind=kind,
            attributes=about,
            start_time=began * 1_000_000,
        )
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(max(began, self._clock.now()) * 1_000_000)


def _parent(traceparent: str) -> Context:
    from opentelemetry import trace  # noqa: PLC0415  # as above

    _, trace_id, span_id, flags = traceparent.split("-")
    parent = trace.SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True,
        trace_flags=trace.TraceFlags(int(flags, 16)),
    )  # fmt: skip
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


class _TracingObserver(ObserverInFront):
    """Passes everything on, and draws what is committed."""

    def __init__(self, observer: Observer, tracing: Tracing) -> None:
        super().__init__(observer)
        self._tracing = tracing

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """One batch is done for good."""
        super().committed(partition, changes)
        self._tracing.committed(partition, changes)
