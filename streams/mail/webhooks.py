"""Posts webhooks. One session for all, so that connections are kept; redirects are not followed,
since whoever is redirected to was not named by the workflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import BaseConnector, ClientError, ClientSession, ClientTimeout

from agents.mail.message.webhook import Request
from agents.mail.providers import Limit
from agents.mail.queue.concurrency import ConcurrencyLimits
from agents.mail.replies import Answered, Dropped, Result, reason_text
from streams.http.fetching import seconds_of
from streams.http.no_answer import why_no_answer

AT_ONCE = 16
AT_ONE_HOST = 4
"""A host that hangs keeps so many of them busy, and the others find the rest."""

SECONDS = 30.0
"""For one answer. Shopify gives receivers 5 s and Stripe 10; those who need longer are broken."""


class Webhooks:
    """The route of webhooks; to the dispatcher it is what a relay is to mails."""

    name = "webhooks"
    retry_at = 0
    doubtful = False

    def __init__(
        self,
        *,
        secrets: Sequence[bytes] = (),
        seconds: float = SECONDS,
        connector: Callable[[], BaseConnector] | None = None,
    ) -> None:
        """Each of `secrets` signs; without any, webhooks go unsigned. `connector` makes what the
        requests go through, for who may not reach every address."""
        self.concurrency = ConcurrencyLimits(AT_ONCE, {}, default=Limit(connections=AT_ONE_HOST))
        self.secrets = secrets
        self._timeout = ClientTimeout(total=seconds)
        self._connector = connector
        self._session: ClientSession | None = None

    def watch(self, changed: Callable[[], None]) -> None:
        """Hosts go down by themselves; the way to them never does."""

    async def post(self, request: Request) -> Result:
        """Post one request. Never raises, except when cancelled."""
        if self._session is None:
            self._session = ClientSession(
                connector=None if self._connector is None else self._connector(),
                timeout=self._timeout,
                headers={"User-Agent": "Ritorno"},
                auto_decompress=False,
            )
        try:
            async with self._session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                return Answered(
                    response.status, seconds_of(response.headers.get("Retry-After", ""))
                )
        except (TimeoutError, ClientError, OSError, ValueError) as error:
            # It may have arrived: a webhook is sent at least once, so it is sent again.
            return Dropped("dot", reason_text(why_no_answer(error)))

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()
            self._session = None
