"""What answers on the ingest port: Segment's calls and CloudEvents, under write keys.

    POST /v1/track, identify, page, screen, group, alias      one call (/v1/t, i, p, s, g, a too)
    POST /v1/batch, /v1/b, /beacon/v1/batch                   many
    POST /v1/import                                           many, which are history
    POST /v1/events                                           CloudEvents

200 says that all of it is durably in the log, but for what the answer names in `refused`: calls of
a batch that can't be read lie among the dead letters if the key is secret, and what a key may not
say lies nowhere.
The rest is told by the status: 400 names field and value, 401 the key, 403 what a key may not, 413
a size, 429 and 503 when to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from schemas.notation import Notation
from streams.clock import Clock
from streams.http.ingest import access, cloud_events, segment_calls
from streams.http.ingest.access import Access, Admitted, RequestRefused
from streams.http.ingest.batch import CallBatch
from streams.http.ingest.bodies import parsed, read_body
from streams.http.ingest.intake import Intake
from streams.http.ingest.public_key import VisitorLinks
from streams.http.ingest.segment_calls import BATCH_BYTES, CALL_BYTES, PATHS, SegmentBody
from streams.http.ingest.server import RETRY_SECONDS, json_answer
from streams.log import LogError, RecordTooLarge
from streams.logging import get_logger
from streams.messages.plurals import several
from streams.operate.ingest_metrics import IngestMetrics

AT_A_TIME = 100
"""Calls of a batch that are read before others have their chance."""

TOLD = 100
"""RequestRefused calls that an answer names one by one."""

BATCHES = ("/v1/batch", "/v1/b", "/beacon/v1/batch")
IMPORT = "/v1/import"
EVENTS = "/v1/events"

BOTS = (
    "under a public key a program that says it is one (curl, a crawler) counts as a bot, and what "
    "it sends is not stored; send a browser's User-Agent, or use a secret key"
)

_DONE = b'{"success": true}'

Read = Callable[[web.Request, "_Posting"], Awaitable[CallBatch]]

_log = get_logger(__name__)


class _Posting:
    """A request, as far as it is understood."""

    def __init__(self, received_at: int) -> None:
        self.received_at = received_at
        self.admitted: Admitted | None = None


class Endpoints:
    """Answers Segment's calls and CloudEvents."""

    def __init__(
        self,
        intake: Intake,
        access_: Access,
        *,
        clock: Clock,
        notation: Notation,
        metrics: IngestMetrics,
    ) -> None:
        """`notation`: how the shop's systems write."""
        self._intake = intake
        self._access = access_
        self._clock = clock
        self._notation = notation
        self._metrics = metrics
        self._links = VisitorLinks()

    def mount(self, router: web.UrlDispatcher) -> None:
        """Add the routes, each with and without a slash at its end."""
        reads: dict[str, Read] = {
            f"/v1/{name}": partial(self._read_call, kind) for name, kind in PATHS.items()
        }
        reads |= dict.fromkeys(BATCHES, self._read_batch)
        reads[IMPORT] = partial(self._read_batch, is_history=True)
        reads[EVENTS] = self._read_events
        for path, read in reads.items():
            for each in (path, f"{path}/"):
                router.add_post(each, partial(self._answer, read))
                router.add_route("OPTIONS", each, self._access.preflight)

    async def _answer(self, read: Read, request: web.Request) -> web.Response:
        posting = _Posting(self._clock.now())
        try:
            response = await self._taken(await read(request, posting))
        except RequestRefused as refused:
            self._metrics.refused(refused.key, refused.reason)
            response = json_answer(
                refused.status,
                {"success": False, "reason": refused.reason, "error": refused.error},
                retry_after=refused.retry_after,
            )
            if not request.content.is_eof():  # nobody reads the rest
                response.force_close()
            label = refused.key
        else:
            assert posting.admitted is not None
            label = posting.admitted.key.id
        self._metrics.request(label, response.status)
        self._access.allow(request, response)
        return response

    async def _taken(self, batch: CallBatch) -> web.Response:
        """Append what a request has brought, and say so."""
        key = batch.admitted.key
        try:
            await self._intake.take(batch.events, letters=batch.letters)
        except RecordTooLarge as error:
            raise RequestRefused(413, "too_large", str(error), key=key.id) from None
        except LogError as error:
            _log.warning("what was sent could not be appended", key=key.id, error=str(error))
            problem = "The log can't be reached, or is too slow; send it again."
            raise RequestRefused(
                503, "log", problem, key=key.id, retry_after=RETRY_SECONDS
            ) from None
        for link in batch.links:
            self._links.told(link, batch.received_at)
        self._metrics.took(key.id, batch.counted)
        self._metrics.bots(key.id, batch.bots)
        for reason, count in batch.reasons.items():
            self._metrics.refused(key.id, reason, count)
        if not batch.refused and not batch.bots:
            return web.Response(body=_DONE, content_type="application/json")
        body: dict[str, object] = {"success": True}
        if batch.refused:
            body["refused"] = [each.told() for each in batch.refused[:TOLD]]
            body["refused_total"] = len(batch.refused)
        if batch.bots:
            body["bots"] = batch.bots
            body["hint"] = BOTS
        return json_answer(200, body)

    # What is posted.

    async def _read_call(self, kind: str, request: web.Request, posting: _Posting) -> CallBatch:
        early = self._access.of_head(request, posting.received_at)
        raw = await read_body(request, CALL_BYTES, early)
        body = parsed(raw, request, early)
        if not isinstance(body, dict):
            raise access.unreadable(early, "invalid_event", "the body is no JSON object")
        posted = segment_calls.single(body, kind)
        batch = self._begun(request, posting, early, posted, raw)
        batch.read_single(posted.calls[0])
        return batch

    async def _read_batch(
        self, request: web.Request, posting: _Posting, *, is_history: bool = False
    ) -> CallBatch:
        early = self._access.of_head(request, posting.received_at)
        raw = await read_body(request, BATCH_BYTES, early)
        body = parsed(raw, request, early)
        calls = body.get("batch") if isinstance(body, dict) else body
        if not isinstance(calls, list):
            problem = "batch: a list of calls is missing" if isinstance(body, dict) else (
                f"the body is no JSON object but {type(body).__name__}"
            )  # fmt: skip
            raise access.unreadable(early, "invalid_event", problem)
        posted = segment_calls.batch_of(body if isinstance(body, dict) else {}, calls)
        batch = self._begun(request, posting, early, posted, raw, is_history=is_history)
        if is_history and batch.admitted.key.is_public:
            problem = "history is the shop's to say, with a secret key"
            raise RequestRefused(403, "withheld", problem, key=batch.admitted.key.id)
        await _each(batch.read_call, posted.calls)
        return batch

    def _begun(
        self,
        request: web.Request,
        posting: _Posting,
        early: Admitted | None,
        posted: SegmentBody,
        raw: bytes,
        *,
        is_history: bool = False,
    ) -> CallBatch:
        calls = len(posted.calls)
        admitted = early or self._access.of_body(request, posted.write_key, posting.received_at)
        posting.admitted = admitted
        _check_number(calls, segment_calls.BATCH_CALLS, admitted)
        self._access.take(admitted, calls, posting.received_at)
        return CallBatch(
            admitted,
            posting.received_at,
            notation=self._notation,
            links=self._links,
            sent_at=posted.sent_at,
            is_history=is_history,
            raw=raw,
        )

    async def _read_events(self, request: web.Request, posting: _Posting) -> CallBatch:
        admitted = self._access.of_head(request, posting.received_at)
        if admitted is None:
            raise access.unknown_key("no write key: send it as Basic authentication")
        posting.admitted = admitted
        batch = CallBatch(
            admitted, posting.received_at, notation=self._notation, links=self._links, raw=b""
        )
        is_batch = request.content_type == cloud_events.BATCHED
        raw = await read_body(request, BATCH_BYTES if is_batch else CALL_BYTES, admitted)
        if cloud_events.is_binary(request.headers):
            data = parsed(raw, request, admitted) if raw else None
            self._access.take(admitted, 1, posting.received_at)
            batch.read_binary(request.headers, data)
            return batch
        body = parsed(raw, request, admitted)
        if not is_batch:
            self._access.take(admitted, 1, posting.received_at)
            batch.read_single_event(body)
            return batch
        if not isinstance(body, list):
            raise access.unreadable(admitted, "invalid_event", "a batch is a JSON array of events")
        _check_number(len(body), cloud_events.BATCH_EVENTS, admitted)
        self._access.take(admitted, len(body), posting.received_at)
        await _each(batch.read_event, body)
        return batch


async def _each(read: Callable[[int, Any], None], calls: Sequence[Any]) -> None:
    for index, call in enumerate(calls):
        if index and index % AT_A_TIME == 0:
            await asyncio.sleep(0)
        read(index, call)


def _check_number(calls: int, most: int, admitted: Admitted) -> None:
    if calls > most:
        problem = f"batch: {several(calls, 'call')}, at most {most} are taken at once"
        raise RequestRefused(413, "too_large", problem, key=admitted.key.id)
