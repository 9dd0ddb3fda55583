"""Logging in to a broker with a token: from a server that is asked, or from a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from streams.log import LogError
from streams.runtime.logs.kafka import KafkaLog
from streams.runtime.logs.kafka.bearer import MAX_TOKEN_BYTES, BearerTokens, NoToken, TokenSource
from streams.runtime.logs.kafka.security import KafkaSecurity
from tests.broker import KafkaBroker
from tests.tokens import TokenServer, token_of, token_server


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    async with token_server() as running:
        yield running


async def test_a_token_is_asked_for_once_and_kept(server: TokenServer) -> None:
    tokens = BearerTokens(TokenSource(url=server.url, scope="kafka"), "shop", "secret of shop")
    assert await tokens.token() == await tokens.token() != ""
    assert server.asked == [("shop", {"grant_type": "client_credentials", "scope": "kafka"})]
    # Another client's token is another one, and so is one that has had most of its life.
    tokens.exchange("till", "secret of till")
    server.answer = web.json_response({"access_token": "short", "expires_in": 0})
    assert await tokens.token() == "short"
    assert await tokens.token() != "short"
    assert [name for name, _ in server.asked] == ["shop", "till", "till"]
    assert "scope" not in (await _asked(server))[1]


async def _asked(server: TokenServer) -> tuple[str, dict[str, str]]:
    await BearerTokens(TokenSource(url=server.url), "shop", "secret of shop").token()
    return server.asked[-1]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (web.Response(status=503), "status 503"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "status 302"),
        (web.Response(text="<html>"), "expected JSON with access_token"),
        (web.json_response({"token": "x"}), "expected JSON with access_token"),
        (web.json_response({"access_token": "a b"}), "what it has is none"),
        (web.json_response({"access_token": ""}), "what it has is none"),
        (web.json_response({"access_token": "x" * MAX_TOKEN_BYTES}), "expected JSON"),
    ],
)
async def test_an_answer_without_a_token_is_said_in_words(
    server: TokenServer, answer: web.Response, problem: str
) -> None:
    server.answer = answer
    with pytest.raises(NoToken, match=f"{server.url} gives no token: .*{problem}"):
        await BearerTokens(TokenSource(url=server.url), "shop", "secret of shop").token()


async def test_a_server_that_refuses_or_is_away_shows_no_secret(server: TokenServer) -> None:
    for url, problem in ((server.url, "status 401"), ("http://127.0.0.1:1/", "127.0.0.1:1")):
        with pytest.raises(NoToken, match=problem) as refused:
            await BearerTokens(TokenSource(url=url), "shop", "hunter2").token()
        assert "hunter2" not in str(refused.value)


async def test_a_file_is_read_for_each_connection(tmp_path: Path) -> None:
    path = tmp_path / "token"
    tokens = BearerTokens(TokenSource(file=path), "", "")
    for content, problem in (
        (None, "No such file"),
        (b"", "is none"),
        (b"x" * 70_000, "too large"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(NoToken, match=f"{path} .*{problem}"):
            await tokens.token()
    for token in ("one", "another"):
        path.write_text(token + "\n")
        assert await tokens.token() == token


@pytest.mark.kafka
async def test_a_broker_lets_in_who_has_a_token(
    kafka_broker: KafkaBroker, server: TokenServer, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(token_of(kafka_broker.username))
    client = ("ritorno", "secret of ritorno")
    for source, (username, password) in (
        (TokenSource(file=path), ("", "")),
        (TokenSource(url=server.url), client),
    ):
        log = KafkaLog(
            [kafka_broker.sasl_bootstrap],
            security=_security(kafka_broker, source, username, password),
        )
        await log.start()
        assert await log.describe("nowhere") is None
        await log.stop()
    assert len(server.asked) == 1  # of several connections


@pytest.mark.kafka
async def test_who_has_no_token_or_a_wrong_one_stays_outside(
    kafka_broker: KafkaBroker, server: TokenServer, tmp_path: Path
) -> None:
    refused = _security(kafka_broker, TokenSource(url=server.url), "ritorno", "hunter2")
    log = KafkaLog([kafka_broker.sasl_bootstrap], security=refused, max_wait=1)
    with pytest.raises(LogError, match="gives no token: status 401") as told:
        await log.start()
    assert "hunter2" not in str(told.value) + repr(refused)
    await log.stop()
    (tmp_path / "token").write_text(token_of(kafka_broker.username, seconds=-60))
    expired = _security(kafka_broker, TokenSource(file=tmp_path / "token"), "", "")
    log = KafkaLog([kafka_broker.sasl_bootstrap], security=expired, max_wait=1)
    with pytest.raises(LogError, match=r"doesn't accept the token: .*invalid_token"):
        await log.start()
    await log.stop()


def _security(
    broker: KafkaBroker, source: TokenSource, username: str, password: str
) -> KafkaSecurity:
    return KafkaSecurity(
        tls=True,
        ca_file=broker.ca_file,
        mechanism="OAUTHBEARER",
        username=username,
        password=password,
        token_source=source,
    )
