"""A schema registry that speaks Confluent's interface: schemas by their id, fetched once.

A schema never changes under its id, so what was fetched is kept (a bounded number, the least
recently used go first). That the registry is away says nothing of a record: whoever asks waits and
asks again (`RegistryUnavailable`). That it knows no such id does (`UnknownSchema`), and is asked
again only after a while.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import BasicAuth, ClientError, ClientSession, ClientTimeout

from schemas.failures import Failure
from streams.http.no_answer import why_no_answer

MAX_KEPT = 1_000
"""Schemas; a large one takes 100 kB."""

MAX_SCHEMA_BYTES = 1_000_000
MAX_REFERENCES = 100
"""Schemas that one takes others from, all levels together."""

REQUEST_SECONDS = 10.0
MISSING_SECONDS = 60.0
"""Until a schema that wasn't there is asked for again."""

_NOT_FOUND = 404
_OK = 200


class RegistryUnavailable(Failure):
    """The registry doesn't answer, or refuses us; nothing is known of the schema."""


class UnknownSchema(Exception):
    """The registry knows no such schema, or it is of no kind that can be read."""


class RegisteredSchema(NamedTuple):
    """A schema with all that it takes from others."""

    kind: str
    """AVRO, PROTOBUF or JSON."""
    text: str
    references: tuple[tuple[str, RegisteredSchema], ...]
    """By the name under which it takes them, each with its own."""


class SchemaRegistry:
    """Fetches and keeps schemas. `url` is what comes before `/schemas/ids/1`."""

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        """`monotonic` returns seconds; None: the event loop's."""
        self._url = url.rstrip("/")
        self._auth = BasicAuth(username, password) if username else None
        self._kept: OrderedDict[tuple[int, str], RegisteredSchema] = OrderedDict()
        self._missing: OrderedDict[tuple[int, str], tuple[float, str]] = OrderedDict()
        self._session: ClientSession | None = None
        self._monotonic = monotonic

    async def stop(self) -> None:
        """Disconnect. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def schema(self, id_: int, format_: str = "") -> RegisteredSchema:
        """Return the schema with this id, in a format of the registry's own where one is named.

        Raises RegistryUnavailable, UnknownSchema.
        """
        wanted = (id_, format_)
        if (kept := self._kept.get(wanted)) is not None:
            self._kept.move_to_end(wanted)
            return kept
        now = (self._monotonic or asyncio.get_running_loop().time)()
        missing = self._missing.get(wanted)
        if missing is not None and now < missing[0]:
            raise UnknownSchema(missing[1])
        try:
            found = await self._fetched(f"/schemas/ids/{id_}", format_, [MAX_REFERENCES])
        except UnknownSchema as error:
            _keep(self._missing, wanted, (now + MISSING_SECONDS, str(error)))
            raise
        self._missing.pop(wanted, None)
        _keep(self._kept, wanted, found)
        return found

    async def ping(self) -> None:
        """See that the registry answers us. Raises RegistryUnavailable."""
        try:
            await self._get("/schemas/types", "")
        except UnknownSchema:
            return  # one that doesn't list its kinds, or says them otherwise, is there all the same

    async def _fetched(self, path: str, format_: str, left: list[int]) -> RegisteredSchema:
        """`left`: how many more references may be followed, shared by all levels."""
        body = await self._get(path, format_)
        text = body.get("schema")
        if not isinstance(text, str):
            raise UnknownSchema(f"{path}: the registry's answer holds no schema")
        references = []
        for each in body.get("references") or ():
            left[0] -= 1
            if left[0] < 0:
                raise UnknownSchema(f"{path}: more than {MAX_REFERENCES} references")
            name, where = _reference(each, path)
            references.append((name, await self._fetched(where, format_, left)))
        kind = str(body.get("schemaType") or "AVRO").upper()
        return RegisteredSchema(kind, text, tuple(references))

    async def _get(self, path: str, format_: str) -> Mapping[str, Any]:
        url = f"{self._url}{path}" + (f"?format={format_}" if format_ else "")
        if self._session is None:
            self._session = ClientSession(
                auth=self._auth, timeout=ClientTimeout(total=REQUEST_SECONDS)
            )
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                content = await answer.content.read(MAX_SCHEMA_BYTES + 1)
                while content and len(content) <= MAX_SCHEMA_BYTES:
                    more = await answer.content.read(MAX_SCHEMA_BYTES + 1 - len(content))
                    if not more:
                        break
                    content += more
                status = answer.status
        except (ClientError, TimeoutError, OSError) as error:
            raise RegistryUnavailable(
                f"the schema registry at {self._url} doesn't answer: {why_no_answer(error)}"
            ) from None
        if status == _NOT_FOUND:
            raise UnknownSchema(f"the schema registry knows no {path}")
        if status != _OK:
            raise RegistryUnavailable(f"the schema registry at {self._url} answers {status}")
        if len(content) > MAX_SCHEMA_BYTES:
            raise UnknownSchema(f"{path}: more than {MAX_SCHEMA_BYTES} bytes")
        try:
            body = json.loads(content)
        except ValueError:
            raise RegistryUnavailable(f"{self._url}{path}: the answer is no JSON") from None
        if not isinstance(body, dict):
            raise UnknownSchema(f"{path}: the registry's answer holds no schema")
        return body


def _reference(given: Any, path: str) -> tuple[str, str]:
    try:
        subject, version = quote(str(given["subject"]), safe=""), int(given["version"])
        return str(given["name"]), f"/subjects/{subject}/versions/{version}"
    except (TypeError, KeyError, ValueError):
        raise UnknownSchema(f"{path}: a reference that can't be read") from None


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MAX_KEPT:
        kept.popitem(last=False)
