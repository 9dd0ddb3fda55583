"""The local port of the store: whoever has one of `RITORNO_TOKEN_KEYS` asks it.

    POST /questions/NAME     a key figure (`questions/`), its arguments as a JSON object
    POST /sql                one SELECT: {"statement": …, "rows": …}
    POST /snapshot           a Parquet copy in the data directory: {"name": …}
    POST /snapshots          where there are such copies

Requests are signed over their path and the digest of their body, answers over that signature, as
between workers (`streams/http/internal/signing.py`); nothing is encrypted, so the port belongs onto
the loopback interface. 200 with JSON, 400 with {"error"} for a question that can't be answered as
it was asked, 401 without a valid signature, 503 when the store can't answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from schemas.failures import Failure, InputError
from streams.clock import Clock
from streams.http.internal.signing import HEADER, RequestSigner, Signature, Unsigned
from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits, HttpServer
from streams.insights.client import signed_path
from streams.logging import get_logger
from streams.settings.values import Address

LIMITS = DoorLimits(connections=32, body_bytes=128 * 1024)
"""Commands and a console, a connection each; a statement has 64 KiB."""

_log = get_logger(__name__)

Arguments = Mapping[str, Any]
Ask = Callable[[str, Arguments], Awaitable[Mapping[str, Any]]]


class InsightsServer:
    """The port."""

    def __init__(
        self,
        ask: Ask,
        *,
        signer: RequestSigner,
        clock: Clock,
        limits: DoorLimits = LIMITS,
        counts: DoorCounts | None = None,
    ) -> None:
        """`ask` answers what was asked under a name: a question's, `sql` or `snapshot`; raises
        InputError, Failure. `clock` is the machine's."""
        self._ask = ask
        self._signer = signer
        self._clock = clock
        self._server = HttpServer("insights", limits=limits, counts=counts or DoorCounts())
        for path in ("/questions/{name}", "/{name:sql|snapshots?}"):
            self._server.router.add_post(path, self._handle)

    async def start(self, bind: Address) -> Address:
        """Listen, and return where, also when port 0 was asked for. Raises OSError."""
        return await self._server.start(bind)

    async def stop(self) -> None:
        """Listen no more. Safe to call twice."""
        await self._server.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        header = request.headers.get(HEADER, "")
        try:
            path = signed_path(request.path_qs, body)
            asked = self._signer.check_request(header, path, self._clock.now())
        except Unsigned as error:
            _log.warning("a question was refused", path=request.path, reason=str(error))
            return web.Response(status=401)
        try:
            arguments = json.loads(body or b"{}")
            if not isinstance(arguments, dict):
                raise ValueError("expected an object")
        except (ValueError, RecursionError) as error:
            return self._response(asked, 400, {"error": f"the body is no JSON object: {error}"})
        try:
            answer = await self._ask(request.match_info["name"], arguments)
        except InputError as error:
            return self._response(asked, 400, {"error": str(error)})
        except Failure as error:
            _log.warning("a question failed", path=request.path, error=str(error))
            return self._response(asked, 503, {"error": str(error)})
        return self._response(asked, 200, answer)

    def _response(self, asked: Signature, status: int, answer: Mapping[str, Any]) -> web.Response:
        body = json.dumps(answer, ensure_ascii=False).encode()
        signature = self._signer.answer(asked, status, body)
        return web.Response(
            status=status, body=body, content_type="application/json",
            headers={HEADER: str(signature)},
        )  # fmt: skip
