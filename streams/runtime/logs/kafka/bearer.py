"""Logging in to a broker with a token (SASL OAUTHBEARER).

The token is asked of an OAuth 2.0 server as client credentials are (RFC 6749, 4.4), and kept until
it has had most of its life, or it lies in a file that somebody else keeps fresh, as Kubernetes does
with those of service accounts. aiokafka asks for it whenever it opens a connection, on the loop of
the app and on that of the consumer's thread.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, encode_basic_auth
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError
from pydantic import BaseModel, ValidationError

SECONDS = 10.0
"""For an answer of the token server."""

LIFE = 0.8
"""The share of its life after which a token is asked for anew, while the old one still opens."""

DEFAULT_LIFE = 300.0
"""Seconds, where the server doesn't say."""

MAX_TOKEN_BYTES = 65_536


class NoToken(KafkaConnectionError):  # type: ignore[misc]  # aiokafka is untyped
    """There is no token, so no connection: as a broker that is away, since the next try may have
    one. The text says why and shows no secret."""


class TokenRefused(AuthenticationFailedError):  # type: ignore[misc]  # aiokafka is untyped
    """The broker doesn't accept the token."""


class _Authenticator(OAuthAuthenticator):  # type: ignore[misc]  # aiokafka is untyped
    """Hears a refusal. aiokafka's own takes it for a welcome, reads what follows as answers of a
    cluster without brokers, and waits for ever for one to come."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if self._token_sent and payload:  # RFC 7628: nothing is a welcome, anything is JSON of why
            why = payload[:200].decode("utf-8", "replace")
            raise TokenRefused(f"the broker doesn't accept the token: {why}")
        told: tuple[bytes, bool] | None = await super().step(payload)
        return told


def install() -> None:
    """Have aiokafka log in with tokens as it should."""

    def authenticator(connection: AIOKafkaConnection) -> _Authenticator:
        return _Authenticator(sasl_oauth_token_provider=connection._sasl_oauth_token_provider)

    AIOKafkaConnection.authenticator_oauth = authenticator


class TokenSource(NamedTuple):
    """Where tokens come from: a file, or a server that is asked as a client."""

    file: Path | None = None
    url: str = ""
    scope: str = ""


class _TokenAnswer(BaseModel):
    """What a token server says (RFC 6749, 5.1)."""

    access_token: str
    expires_in: float | None = None


class _CachedToken(NamedTuple):
    token: str
    client: tuple[str, str]
    until: float


class BearerTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """Gives aiokafka a token for each connection."""

    def __init__(self, source: TokenSource, username: str, password: str) -> None:
        """The user and password are the client's id and secret; a file needs none."""
        self._source = source
        self._client = (username, password)
        self._kept: _CachedToken | None = None

    def exchange(self, username: str, password: str) -> None:
        """Take another id and secret, from the next token on."""
        self._client = (username, password)

    async def token(self) -> str:
        """Return a token. Raises NoToken."""
        if self._source.file is not None:
            return await asyncio.to_thread(_in_file, self._source.file)
        # One of two threads may ask in vain while the other one does; a lock would be one for each
        # loop, and both tokens are good.
        kept, now = self._kept, _now()
        if kept is None or kept.client != self._client or now >= kept.until:
            kept = self._kept = await self._asked(now)
        return kept.token

    async def _asked(self, now: float) -> _CachedToken:
        client = self._client
        form = {"grant_type": "client_credentials"}
        if self._source.scope:
            form["scope"] = self._source.scope
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=SECONDS)) as http,
                http.post(
                    self._source.url,
                    data=form,
                    headers={
                        "Accept": "application/json",
                        "Authorization": encode_basic_auth(*client, encoding="utf-8"),
                    },
                    allow_redirects=False,  # or the secret goes where nobody has said
                ) as answer,
            ):
                body = await answer.content.read(MAX_TOKEN_BYTES)
                while len(body) < MAX_TOKEN_BYTES and (
                    more := await answer.content.read(MAX_TOKEN_BYTES - len(body))
                ):
                    body += more
                status = answer.status
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise NoToken(f"{self._source.url} gives no token: {why}") from None
        if status != 200:
            raise NoToken(f"{self._source.url} gives no token: status {status}")
        try:
            found = _TokenAnswer.model_validate_json(body)
        except ValidationError:
            raise NoToken(
                f"{self._source.url} gives no token: expected JSON with access_token"
            ) from None
        life = DEFAULT_LIFE if found.expires_in is None else found.expires_in
        return _CachedToken(
            _checked(found.access_token, self._source.url), client, now + LIFE * life
        )


def _in_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise NoToken(f"{path} holds no token: {error.strerror}") from None
    if len(content) > MAX_TOKEN_BYTES:
        raise NoToken(f"{path} holds no token: it is too large")
    return _checked(content.decode("ascii", "replace").strip(), str(path))


def _checked(token: str, where: str) -> str:
    """Return a token that can stand in what is sent; it is never shown."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise NoToken(f"{where} gives no token: what it has is none")
    return token


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine is suspended
