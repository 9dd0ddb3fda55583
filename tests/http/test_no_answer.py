"""Why there was no answer, told of real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from streams.http.no_answer import why_no_answer
from streams.http.server.not_listening import why_not_listening
from streams.settings.values import Address
from tests.ports import free_port


class NoNames(AbstractResolver):
    """Knows nobody."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(None, "Name or service not known")

    async def close(self) -> None:
        pass


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    timeout = ClientTimeout(total=0.3)
    async with ClientSession(connector=TCPConnector(resolver=NoNames()), timeout=timeout) as made:
        yield made


async def asked(session: ClientSession, url: str) -> str:
    with pytest.raises((ClientError, OSError, TimeoutError)) as caught:
        await session.get(url)
    return why_no_answer(caught.value)


async def test_a_name_that_nobody_knows_and_a_port_where_nobody_listens(
    session: ClientSession,
) -> None:
    said = await asked(session, "http://negozio.example.it/admin?key=hunter2")
    assert said.startswith("the name negozio.example.it is not known (DNS): it is misspelled")
    port = free_port()
    assert await asked(session, f"http://127.0.0.1:{port}/?key=hunter2") == (
        f"the connection to 127.0.0.1:{port} is refused: nothing listens there"
    )


async def test_a_server_that_hangs_up_says_nothing_or_speaks_no_tls(session: ClientSession) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    for answer, scheme, said in (
        (hang_up, "http", "it hung up without an answer"),
        (be_silent, "http", "no answer in time"),
    ):
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await asked(session, f"{scheme}://127.0.0.1:{port}/") == said


def test_what_else_it_may_be_is_told_by_its_name() -> None:
    assert why_no_answer(ConnectionResetError(104, "reset")) == "it broke off the connection"
    assert why_no_answer(OSError(113, "no route")).startswith("it can't be reached")
    assert why_no_answer(ClientError()) == "no answer (ClientError)"


def test_a_port_that_is_taken_is_told_with_its_setting() -> None:
    with socket.socket() as taken, socket.socket() as second:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            second.bind(("127.0.0.1", port))
    said = why_not_listening("RITORNO_ADMIN_BIND", Address("127.0.0.1", port), caught.value)
    assert said.startswith(f"RITORNO_ADMIN_BIND = 127.0.0.1:{port}: port {port} is taken")
    assert "Give each its own RITORNO_ADMIN_BIND" in said
