"""A self-test: a signed message of ours, sent to a shop's endpoint from outside as the shop does.

It shows that the address leads here, that what stands before passes the bytes on as they are, and
that both sides have one secret. The same message with another byte must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout

from schemas.instant import parse_instant
from streams.clock import Clock
from streams.connect.connector import SELF_TEST, ShopConnector
from streams.http.no_answer import why_no_answer
from streams.operate.check import Check, CheckStatus

SECONDS = 10.0
MOST_BYTES = 65_536
MOST_SKEW_MS = 60_000


class SelfTest(NamedTuple):
    """What a self-test has found."""

    checks: list[Check]
    last: dict[str, Any]
    """The last webhook that the receiver has had, as it tells."""


async def try_endpoint(connector: ShopConnector, nonce: str, clock: Clock) -> SelfTest:
    """Send a self-test to where the shop sends its webhooks. `nonce`: what the answer repeats."""
    callback = connector.connection.callback
    if not callback:
        remedy = f"callback: https://YOUR-HOST/connect/{connector.connection.name}"
        text = "the connection doesn't say where the shop reaches us"
        return SelfTest([Check("endpoint", CheckStatus.FAIL, text, remedy)], {})
    if connector.self_test(b"{}") is None:  # nobody but the shop can sign
        return await _ask_back(callback, nonce)
    # A slash, as PHP escapes it: who writes JSON anew changes the bytes.
    body = json.dumps({SELF_TEST: nonce, "path": "a/b"}).replace("/", "\\/").encode()
    headers = connector.self_test(body)
    assert headers is not None  # it has a receiver
    timeout = ClientTimeout(total=SECONDS)
    try:
        async with ClientSession(timeout=timeout, headers={"User-Agent": "Ritorno"}) as session:
            status, said = await _post(session, callback, body, headers)
            forged, _ = await _post(session, callback, body + b" ", headers)
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        problem = f"{callback} doesn't answer: {why_no_answer(error)}"
        remedy = "is RITORNO_INGEST_BIND set there, and the proxy before it right?"
        return SelfTest([Check("endpoint", CheckStatus.FAIL, problem, remedy)], {})
    last = said.get("last")
    return SelfTest(
        [_endpoint(callback, status, said, nonce), _refuses(forged), *_clock(said, clock)],
        last if isinstance(last, dict) else {},
    )


async def _ask_back(callback: str, nonce: str) -> SelfTest:
    """Ask as the shop does when the endpoint is registered: what it says comes back."""
    timeout = ClientTimeout(total=SECONDS)
    try:
        async with (
            ClientSession(timeout=timeout, headers={"User-Agent": "Ritorno"}) as session,
            session.get(callback, params={"challenge": nonce}, allow_redirects=False) as response,
        ):
            said = await response.content.read(MOST_BYTES)
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        problem = f"{callback} doesn't answer: {why_no_answer(error)}"
        remedy = "is RITORNO_INGEST_BIND set there, and the proxy before it right?"
        return SelfTest([Check("endpoint", CheckStatus.FAIL, problem, remedy)], {})
    if response.status == 200 and said == nonce.encode():
        text = f"{callback} is this connection's; what is signed only the shop can send"
        return SelfTest([Check("endpoint", CheckStatus.OK, text)], {})
    problem = f"{callback} answers {response.status}, and not as a receiver of ours"
    remedy = "does the address lead to this connection?"
    return SelfTest([Check("endpoint", CheckStatus.FAIL, problem, remedy)], {})


def _endpoint(callback: str, status: int, said: Mapping[str, Any], nonce: str) -> Check:
    if status == 200 and said.get(SELF_TEST) == nonce:
        return Check("endpoint", CheckStatus.OK, f"{callback} takes what is signed")
    if status == 401:
        remedy = "the receiver has another secret, or a proxy changes the body"
        problem = f"{callback} refuses what is signed (401)"
        return Check("endpoint", CheckStatus.FAIL, problem, remedy)
    problem = f"{callback} answers {status}, and not as a receiver of ours"
    return Check("endpoint", CheckStatus.FAIL, problem, "does the address lead to this connection?")


def _refuses(status: int) -> Check:
    if status == 401:
        return Check("signatures", CheckStatus.OK, "what is changed on its way is refused")
    problem = f"what is changed on its way is answered {status}, not 401"
    return Check("signatures", CheckStatus.FAIL, problem)


def _clock(said: Mapping[str, Any], clock: Clock) -> list[Check]:
    try:
        skew = abs(parse_instant(said.get("received")) - clock.now())
    except ValueError:
        return []
    text = f"{skew // 1000} s apart from the receiver's"
    if skew <= MOST_SKEW_MS:
        return [Check("receiver's clock", CheckStatus.OK, text)]
    return [Check("receiver's clock", CheckStatus.WARN, text, "set both by NTP")]


async def _post(
    session: ClientSession, url: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
        content = await answer.content.read(MOST_BYTES)
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            said = {}
        return answer.status, said if isinstance(said, dict) else {}
