"""Waiting out a Kafka broker that is away, and saying for people what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NoError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    for_code,
)

from streams.log import LogError, LogUnavailable, RecordTooLarge
from streams.runtime.logs.kafka.bearer import NoToken, TokenRefused

MAX_WAIT = 60.0
"""Seconds to wait for a broker that is away: a restart takes 5 to 20."""

RETRY_SECONDS = 0.1

_Result = TypeVar("_Result")


class RetryPolicy:
    """How long to try, and what to say of a failure. `servers` are HOST:PORT."""

    def __init__(self, servers: Sequence[str], seconds: float = MAX_WAIT) -> None:
        self._servers = ", ".join(servers)
        self.seconds = seconds

    async def tried(self, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        """Try until it works or has taken too long."""
        deadline = asyncio.get_running_loop().time() + self.seconds
        while True:
            try:
                return await attempt()
            except (KafkaError, OSError) as error:
                if not _passes(error):
                    raise
                if asyncio.get_running_loop().time() + RETRY_SECONDS >= deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the client raises into a LogError for people."""
        try:
            yield
        except (KafkaConnectionError, KafkaTimeoutError, TimeoutError, OSError) as error:
            raise LogUnavailable(
                f"Kafka at {self._servers} does not answer: check that it runs, the address, "
                f"and the security settings ({error!r})"
            ) from error
        except MessageSizeTooLargeError as error:
            raise RecordTooLarge(f"Kafka refused a record batch as too large: {error}") from error
        except KafkaError as error:
            kind = LogUnavailable if _passes(error) else LogError
            raise kind(f"Kafka at {self._servers} refused: {explained(error)}") from error


def _passes(error: Exception) -> bool:
    """Tell whether trying again may help."""
    if isinstance(error, KafkaConnectionError | KafkaTimeoutError | OSError):
        return True
    return isinstance(error, KafkaError) and bool(error.retriable)


_PASSWORD = "wrong password, or no such user (RITORNO_KAFKA_USERNAME, RITORNO_KAFKA_PASSWORD)"
_PERMISSIONS: Mapping[type[KafkaError], str] = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "consumer group",
    ClusterAuthorizationFailedError: "cluster",
}


def explained(error: KafkaError) -> str:
    """Say for people what a broker refuses."""
    if isinstance(error, NoToken | TokenRefused):
        return str(error.args[0])
    if isinstance(error, AuthenticationFailedError | SaslAuthenticationFailed):
        return _PASSWORD
    for kind, what in _PERMISSIONS.items():
        if isinstance(error, kind):
            names = [name for each in error.args for name in _names(each)]
            return f"no permission for {' '.join([what, ', '.join(sorted(names))]).strip()}"
    return repr(error)


def _names(told: object) -> list[str]:
    if isinstance(told, str):
        return [told]
    return [str(each) for each in told] if isinstance(told, Iterable) else []


def raise_for(code: int, name: str = "") -> None:
    """Raise what a code in a broker's answer stands for, if it is an error; `name` is what was
    asked for."""
    if (error := for_code(code)) is not NoError:
        raise error(name) if name else error()


async def started(client: Any, stop: Callable[[], Awaitable[None]]) -> Any:
    """Start a client and return it; stop it if that fails, so that nothing of it is left."""
    try:
        await client.start()
    except BaseException:
        await stop()
        raise
    return client
