"""Why a broker doesn't let us in: aiokafka only writes that into its log and says that it can't
connect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import AuthenticationFailedError, KafkaError, SaslAuthenticationFailed

from streams.runtime.logs.kafka.bearer import NoToken
from streams.runtime.logs.kafka.retry import explained

SECONDS = 10.0
"""For a connection and a login."""


async def refusal(servers: Sequence[str], security: Mapping[str, Any]) -> str:
    """Log in to each of `servers` (HOST:PORT) and return why one refuses that; empty if none does,
    or none answers."""
    if "sasl_mechanism" not in security:
        return ""
    for server in servers:
        host, _, port = server.rpartition(":")
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                try:
                    conn = await create_conn(host.strip("[]"), int(port), **security)
                except (AuthenticationFailedError, SaslAuthenticationFailed, NoToken) as error:
                    return explained(error)
                conn.close()
                return ""
    return ""
