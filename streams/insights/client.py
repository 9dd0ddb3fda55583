"""Asks the process that has the store."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Mapping
from typing import Any

from streams.clock import Clock
from streams.http.internal.signing import HEADER, RequestSigner, Unsigned
from streams.insights.errors import InsightsError, QuestionError
from streams.settings.values import Address

SECONDS = 45.0
"""For which an answer is waited: a question may take thirty."""

MOST_BYTES = 16 * 1024 * 1024
"""Of one answer: figures, or rows of four megabytes with their punctuation."""


def signed_path(path: str, body: bytes) -> str:
    """Return what is signed of a request: where it goes and what it carries."""
    return f"{path}?{hashlib.sha256(body).hexdigest()}"


def ask(
    address: Address, signer: RequestSigner, clock: Clock, name: str, arguments: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the answer. Raises QuestionError, InsightsError."""
    path = f"/{name}" if name in ("sql", "snapshot", "snapshots") else f"/questions/{name}"
    body = json.dumps(arguments).encode()
    signature = signer.request(signed_path(path, body), clock.now())
    connection = http.client.HTTPConnection(address.host, address.port, timeout=SECONDS)
    try:
        connection.request("POST", path, body, {HEADER: str(signature)})
        response = connection.getresponse()
        answer = response.read(MOST_BYTES + 1)
        if len(answer) > MOST_BYTES:
            raise InsightsError(f"{address} answers with more than {MOST_BYTES:,} bytes")
        if response.status == http.client.UNAUTHORIZED:
            raise InsightsError(f"{address} has other keys (RITORNO_TOKEN_KEYS)")
        signer.check_answer(response.getheader(HEADER, ""), signature, response.status, answer)
        found = json.loads(answer)
    except (OSError, http.client.HTTPException, ValueError, Unsigned) as error:
        why = str(error) or type(error).__name__
        raise InsightsError(
            f"nobody answers at {address}: {why}. Is `ritorno insights` running, or the worker "
            "with RITORNO_INSIGHTS_BIND?"
        ) from None
    finally:
        connection.close()
    if response.status == http.client.BAD_REQUEST:
        raise QuestionError(str(found["error"]))
    if response.status != http.client.OK:
        raise InsightsError(str(found.get("error", f"{address} answers {response.status}")))
    assert isinstance(found, dict)
    return found
