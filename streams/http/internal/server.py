"""What a worker answers to other workers and to commands, on a port that is not public.

    /customer?key=KEY            the kept record, as it stands in the changelog
    /places?topic=T&key=KEY      where a topic has the records about somebody
    /partitions                  how the partitions of this worker fare
    /prepare?partitions=0,1      get partitions ready that this worker will be given; see
                                 `streams/runtime/standby.py`

200 with the answer, 404 when nothing is kept, 421 when the key's partition is another worker's, 401
without a valid signature. `/places` (`streams/operate/record_index.py`) answers 202 with how
far it is while it still reads, `/prepare` 410 when this worker leaves itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping

from aiohttp import web

from schemas.failures import Failure
from streams.clock import Clock
from streams.http.internal.signing import HEADER, RequestSigner, Signature, Unsigned
from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits, HttpServer
from streams.http.server.not_listening import why_not_listening
from streams.log import Log
from streams.logging import get_logger
from streams.operate.record_index import PERSON, RecordIndex
from streams.partitioner import partition_of
from streams.runtime.customers import NotOwned
from streams.runtime.failures import WorkerFailed
from streams.runtime.transports.assigned_partition import PartitionHealth
from streams.runtime.transports.batch import TopicPartition
from streams.settings.values import Address
from streams.topology import PER_CUSTOMER

AT_ONCE = 32
"""Questions answered at the same time; more are sent away, since customers come first."""

LIMITS = DoorLimits(connections=2 * AT_ONCE, body_bytes=1_024)
"""Workers and commands, one connection each; they send no body."""

MAX_WAIT = 2.0
"""Seconds for which a question waits for the index of places; then it is to be asked again."""

_log = get_logger(__name__)


class InternalServer:
    """The internal HTTP server of a worker."""

    def __init__(
        self,
        *,
        log: Log,
        signer: RequestSigner,
        clock: Clock,
        customer: Callable[[bytes, int], bytes | None],
        record_index: RecordIndex,
        health: Callable[[], Mapping[TopicPartition, PartitionHealth]] = dict,
        prepare: Callable[[Collection[int]], Awaitable[bool]],
        limits: DoorLimits = LIMITS,
        counts: DoorCounts | None = None,
    ) -> None:
        """`clock` is the machine's, whatever time the log has: signatures compare machines.
        `customer` reads what this worker keeps under a key, of how many partitions; it raises
        NotOwned. `prepare` is that of a `Standby`."""
        self._log = log
        self._signer = signer
        self._clock = clock
        self._customer = customer
        self._record_index = record_index
        self._health = health
        self._prepare = prepare
        self._busy = 0
        self._server = HttpServer("internal", limits=limits, counts=counts or DoorCounts())
        for path, answer in (
            ("/customer", self._answer_customer),
            ("/places", self._answer_records),
            ("/partitions", self._answer_partitions),
            ("/prepare", self._answer_prepare),
        ):
            self._server.router.add_get(path, self._signed(answer))

    async def start(self, bind: Address) -> Address:
        """Listen and return where, also when port 0 was asked for. Raises WorkerFailed."""
        try:
            return await self._server.start(bind)
        except OSError as error:
            raise WorkerFailed(why_not_listening("RITORNO_INTERNAL_BIND", bind, error)) from None

    async def stop(self) -> None:
        """Stop listening. Safe to call twice."""
        await self._server.stop()

    def _signed(
        self, answer: Callable[[Mapping[str, str]], Awaitable[tuple[int, bytes]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            header = request.headers.get(HEADER, "")
            try:
                asked = self._signer.check_request(header, request.path_qs, self._clock.now())
            except Unsigned as error:
                _log.warning("a look-up was refused", path=request.path, reason=str(error))
                return web.Response(status=401)
            if self._busy >= AT_ONCE:
                return self._response(asked, 503, b"")
            self._busy += 1
            try:
                status, body = await answer(request.query)
            except NotOwned:
                status, body = 421, b""
            except KeyError:
                status, body = 400, b""
            except Failure as error:
                _log.warning("a look-up failed", path=request.path, error=str(error))
                status, body = 503, b""
            finally:
                self._busy -= 1
            return self._response(asked, status, body)

        return handle

    def _response(self, asked: Signature, status: int, body: bytes) -> web.Response:
        signature = self._signer.answer(asked, status, body)
        return web.Response(status=status, body=body, headers={HEADER: str(signature)})

    async def _answer_customer(self, query: Mapping[str, str]) -> tuple[int, bytes]:
        partitions = await self._log.partitions(PER_CUSTOMER[0])
        stored = self._customer(query["key"].encode(), partitions)
        return (404, b"") if stored is None else (200, stored)

    async def _answer_partitions(self, _query: Mapping[str, str]) -> tuple[int, bytes]:
        found = [[*tp, *health] for tp, health in sorted(self._health().items())]
        return 200, json.dumps(found).encode()

    async def _answer_prepare(self, query: Mapping[str, str]) -> tuple[int, bytes]:
        count = await self._log.partitions(PER_CUSTOMER[0])
        named = query["partitions"].split(",")
        if not all(each in map(str, range(count)) for each in named):
            return 400, b""
        return (200 if await self._prepare({int(each) for each in named}) else 410), b""

    async def _answer_records(self, query: Mapping[str, str]) -> tuple[int, bytes]:
        topic, key = query["topic"], query["key"].encode()
        if topic not in PERSON:
            return 400, b""
        count = await self._log.partitions(topic)
        theirs = [partition_of(key, count)] if topic in PER_CUSTOMER else range(count)
        found = await asyncio.gather(
            *(self._record_index.find(topic, number, key, MAX_WAIT) for number in theirs)
        )
        done, of = sum(each.done for each in found), sum(each.of for each in found)
        offsets = {n: each.offsets for n, each in zip(theirs, found, strict=True)}
        body = {"done": done, "of": of, "places": offsets}
        return (200 if done >= of else 202), json.dumps(body).encode()
