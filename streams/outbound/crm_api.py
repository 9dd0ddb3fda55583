"""Asking a CRM: one JSON request, one answer, never more than a bound of either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout

from streams.http.fetching import public_connector, seconds_of, was_refused
from streams.http.no_answer import why_no_answer
from streams.outbound.crm_file import Crm
from streams.settings.secret_references import read_secret
from streams.settings.sources import SettingsError

SECONDS = 30.0
MOST_BYTES = 16 << 20
"""Of an answer: 200 objects have a fraction of it."""
CHUNK = 65_536


class CrmAnswer(NamedTuple):
    """What came back; status 0 where nothing did."""

    status: int
    body: Any = None
    why: str = ""
    retry_after: int | None = None


class CrmApi:
    """One CRM. `close` it."""

    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self._session: ClientSession | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> CrmAnswer:
        """Post once. Never raises, except when cancelled; no text holds the token."""
        try:
            token = read_secret(self._crm.token).get_secret_value()
        except SettingsError as error:
            return CrmAnswer(0, why=str(error))
        if self._session is None:
            self._session = ClientSession(
                connector=None if self._crm.private else public_connector(),
                timeout=ClientTimeout(total=SECONDS),
                headers={"User-Agent": "Ritorno", "Accept": "application/json"},
            )
        try:
            async with self._session.post(
                self._crm.url.rstrip("/") + path,
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                allow_redirects=False,
            ) as response:
                content = bytearray()
                async for chunk in response.content.iter_chunked(CHUNK):
                    content += chunk
                    if len(content) > MOST_BYTES:
                        return CrmAnswer(0, why=f"an answer of more than {MOST_BYTES:,} bytes")
                retry_after = seconds_of(response.headers.get("Retry-After", ""))
                why = "" if response.status < 300 else f"it answers {response.status}"
                return CrmAnswer(response.status, _parsed(bytes(content)), why, retry_after)
        except (TimeoutError, ClientError, OSError, ValueError) as error:
            return CrmAnswer(0, why=_why(error))

    async def close(self) -> None:
        """Hang up. Safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _why(error: Exception) -> str:
    if was_refused(error):
        return "its address is not public; private: true allows one of the shop's own network"
    return "it can't be asked" if isinstance(error, ValueError) else why_no_answer(error)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
