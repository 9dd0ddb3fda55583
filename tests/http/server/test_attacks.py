"""What a stranger may do at a door costs the others nothing: on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from streams.http.server import acceptor, connection
from streams.http.server.http_server import AT_ONCE_FOR_AN_ADDRESS, DoorLimits
from streams.http.server.proxies import NamedProxies
from streams.runtime import open_files
from tests.http.server.knocking import LIMITS, PATIENCE, Client, Knocking, knocking

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """All spans are short."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)


def is_ours(answer: bytes) -> bool:
    """Whether an answer has our headers and tells nobody what it was made with."""
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return b"x-content-type-options: nosniff" in head and b"server:" not in head


async def test_idle_connections_keep_nobody_out() -> None:
    open_files.raised(8_000)
    limits = DoorLimits(connections=1_000, body_bytes=1_000)
    async with knocking(limits) as here:
        idle = [await here.connect() for _ in range(1_500)]
        async with asyncio.timeout(5):
            assert (await here.gets()).endswith(b"here you are")
        assert here.refused("pushed_out") >= 500
        assert here.counts.connections["public"]() <= 1_000
        # Who was pushed out is who had waited for longest.
        async with asyncio.timeout(PATIENCE):
            assert await idle[0].everything() == b""
        await idle[-1].say(GET)
        assert (await idle[-1].reader.readline()).endswith(b" 200 OK\r\n")
        for each in idle:
            each.close()


async def test_who_is_being_answered_is_not_pushed_out() -> None:
    async with knocking(DoorLimits(connections=2, body_bytes=1_000)) as here:
        asking = [await here.connect() for _ in range(2)]
        for each in asking:
            await each.say(GET.replace(b"/ ", b"/hangs ", 1))
        await here.hangs(2)
        refused = await here.gets()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert is_ours(refused)
        assert here.refused("full") == 1
        here.go_on.set()
        for each in asking:
            assert (await each.reader.readline()).endswith(b" 200 OK\r\n")
            each.close()
        assert (await here.gets()).endswith(b"here you are")


@pytest.mark.parametrize("before", [b"", GET])
async def test_bodies_that_do_not_come_keep_nobody_out(before: bytes) -> None:
    async with knocking(DoorLimits(connections=4, body_bytes=1_000)) as here:
        holding = [await here.connect() for _ in range(4)]
        for each in holding:
            await each.say(before + POST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\nx=")
            async with asyncio.timeout(PATIENCE):
                await each.reader.readuntil(b" 100 Continue\r\n")
        for _ in range(2):
            assert (await here.gets()).endswith(b"here you are")
        assert here.refused("full") == 0
        assert here.refused("pushed_out") > 0
        await holding[-1].say(b"1234567")  # which has waited for the shortest time
        async with asyncio.timeout(PATIENCE):
            await holding[-1].reader.readuntil(b'{"x": "1234567"}')
        for each in holding:
            each.close()


@pytest.mark.usefixtures("hurried")
async def test_a_request_that_comes_in_drops_ends_in_time() -> None:
    async def drip(client: Client) -> bytes:
        await client.say(b"GET / HTTP/1.1\r\nHost: x\r\n")
        ended = asyncio.ensure_future(client.everything())
        while not ended.done():
            await client.say(b"X-A: b\r\n")
            await asyncio.wait([ended], timeout=0.02)
        return ended.result()

    async with knocking() as here:
        answers = await asyncio.gather(*[drip(await here.connect()) for _ in range(20)])
        assert {each.split(b"\r\n")[0] for each in answers} == {b"HTTP/1.1 408 Request Timeout"}
        assert all(map(is_ours, answers))
        assert here.refused("slow") == 20


@pytest.mark.usefixtures("hurried")
async def test_a_body_that_does_not_come_ends_in_time() -> None:
    async with knocking() as here:
        answer = await here.ask(POST + b"Content-Length: 100\r\n\r\nx=1")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert is_ours(answer)
        assert here.refused("slow") == 1


@pytest.mark.usefixtures("hurried")
async def test_silence_ends_in_time() -> None:
    async with knocking() as here:
        assert await here.ask(b"") == b""
        assert here.refused("slow") == 1


@pytest.mark.usefixtures("hurried")
async def test_a_handler_that_hangs_is_cancelled_and_that_is_said() -> None:
    async with knocking() as here:
        answer = await here.gets("/hangs")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert is_ours(answer)
        assert here.cancelled.is_set()
        assert here.refused("late") == 1


@pytest.mark.usefixtures("hurried")
async def test_an_answer_that_nobody_takes_ends_in_time() -> None:
    async with knocking() as here:
        client = await here.connect()
        await client.say(GET.replace(b"/ ", b"/large ", 1))
        await here.is_refused("stuck")
        client.close()


@pytest.mark.usefixtures("hurried")
async def test_an_event_stream_may_take_longer() -> None:
    async with knocking() as here:
        client = await here.connect()
        await client.say(GET.replace(b"/ ", b"/stream ", 1))
        assert b"data: 1" in await client.reader.readuntil(b"data: 1\n\n")
        # Longer than a request may take: another one's end is waited for.
        assert await here.ask(b"") == b""
        assert await here.ask(b"") == b""
        here.go_on.set()
        assert b"data: 2" in await client.reader.readuntil(b"data: 2\n\n")
        client.close()


@pytest.mark.usefixtures("hurried")
async def test_an_event_stream_that_nobody_takes_ends() -> None:
    async with knocking() as here:
        client = await here.connect()
        await client.say(GET.replace(b"/ ", b"/stream?much=1 ", 1))
        await here.is_refused("stuck")
        client.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n"
         + b"".join(b"A%d: %s\r\n" % (n, b"a" * 700) for n in range(60)) + b"\r\n", 431),
        (POST + b"Content-Length: 1000000000\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"a" * 4_096 + b"\r\n", 413),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 9735\r\n\r\n"
         + gzip.compress(bytes(10_000_000), mtime=0), 400),
    ],
)  # fmt: skip
async def test_floods_are_refused(request_bytes: bytes, status: int) -> None:
    async with knocking() as here:
        answer = await _flood(here, request_bytes)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:80]
        assert is_ours(answer)
        assert here.refused("malformed" if status == 400 else "large") == 1
        assert (await here.gets()).endswith(b"here you are")


async def _flood(here: Knocking, beginning: bytes) -> bytes:
    """Send, and go on sending the last of it until there is an answer."""
    client = await here.connect()
    await client.say(beginning)
    answered = asyncio.ensure_future(client.everything())
    if b"chunked" in beginning:
        for _ in range(50):
            await client.say(b"1000\r\n" + b"a" * 4_096 + b"\r\n")
    answer = await answered
    client.close()
    return answer


async def test_a_head_without_an_end_is_refused() -> None:
    async with knocking() as here:
        client = await here.connect()
        await client.say(b"GET / HTTP/1.1\r\n")
        answered = asyncio.ensure_future(client.everything())
        for number in range(50):
            await client.say(b"A%d: %s\r\n" % (number, b"a" * 1_000))
        answer = await answered
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert is_ours(answer)
        assert here.refused("large") == 1
        client.close()


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),  # TLS
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x00\x00\x00\x85\xffSMB\x72\x00\x00\x00\x00",
    b"EHLO shop\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_gets_our_own_answer_and_no_line(garbage: bytes) -> None:
    with capture_logs() as logs:
        async with knocking() as here:
            answer = await here.ask(garbage)
            assert answer.startswith(b"HTTP/1.1 400 "), answer[:80]
            assert is_ours(answer)
            assert here.refused("malformed") == 1
    assert logs == []


async def test_random_bytes_end_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 1.0)
    dice = random.Random(11)
    with capture_logs() as logs:
        async with knocking() as here:
            for _ in range(200):
                noise = dice.randbytes(dice.randrange(1, 300))
                cut = dice.choice([b"", b"GET / HTTP/1.1\r\n", POST])
                client = await here.connect()
                await client.say(cut + noise)
                client.close()
            assert (await here.gets()).endswith(b"here you are")
    assert logs == []


async def test_requests_that_are_sent_along_are_answered_in_order() -> None:
    async with knocking() as here:
        client = await here.connect()
        await client.say(GET * 300 + GET[:-2] + b"Connection: close\r\n\r\n")
        answer = await client.everything()
        assert answer.count(b"HTTP/1.1 200 OK") == 301
        client.close()
        assert here.counts.refused.total() == 0


@pytest.mark.parametrize("charset", ["nonsense", "base64", "idna", "unicode_escape", '"\x01"'])
async def test_a_charset_that_there_is_not_is_the_askers_mistake(charset: str) -> None:
    form = POST[:-2] + f"; charset={charset}\r\n".encode()
    with capture_logs() as logs:
        async with knocking() as here:
            answer = await here.ask(form + b"Content-Length: 3\r\nConnection: close\r\n\r\na=b")
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert is_ours(answer)
            assert here.refused("malformed") == 1
    assert logs == []


PARTS = [
    b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=x\r\n"
    b"\r\nb\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: x\r\n"
    b"\r\nb\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data\r\n\r\nb\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nb\r\n--b--\r\n",
    b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nb\r\n--c--\r\n--b--\r\n",
    b"no boundary at all",
]


@pytest.mark.parametrize("parts", PARTS)
async def test_a_form_that_can_not_be_read_is_the_askers_mistake(parts: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(parts)
    with capture_logs() as logs:
        async with knocking() as here:
            answer = await here.ask(head + parts)
            assert answer.startswith(b"HTTP/1.1 400 "), answer[:80]
            assert is_ours(answer)
    assert logs == []


NOT_ASKED_FOR = [  # nobody unpacks it
    b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
    b"Content-Encoding: deflate\r\nContent-Length: 5\r\n\r\nabcde",
    b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("body", NOT_ASKED_FOR)
async def test_a_body_that_nobody_asked_for_leaves_no_line(body: bytes) -> None:
    with capture_logs() as logs:
        async with knocking() as here:
            head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            answer = await here.ask(head + body)
            assert answer.startswith(b"HTTP/1.1 404 "), answer[:80]
            assert is_ours(answer)
            assert here.refused("malformed") == 0
            assert (await here.gets()).endswith(b"here you are")
    assert logs == []


async def test_a_form_is_read() -> None:
    async with knocking() as here:
        head = POST[:-2] + b"; charset=ISO-8859-1\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
        assert (await here.ask(head + b"a=%E8&")).endswith(b'{"a": "\\u00e8"}')


async def test_a_defect_is_told_without_the_peer() -> None:
    with capture_logs() as logs:
        async with knocking() as here:
            answer = await here.gets("/defect")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert is_ours(answer)
    (line,) = logs
    assert (line["event"], line["page"]) == ("a request has failed", "/defect")
    assert "127.0.0.1" not in str({**line, "exc_info": None})


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n", 404),
        (b"DELETE / HTTP/1.1\r\n", 405),
        (b"GET / HTTP/1.1\r\nExpect: nonsense\r\n", 417),
    ],
)
async def test_what_is_not_served_has_our_headers(request_bytes: bytes, status: int) -> None:
    async with knocking() as here:
        answer = await here.ask(request_bytes + b"Host: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert is_ours(answer)
    assert (b"\r\nAllow: " in answer) == (status == 405)


async def test_one_address_has_so_many_requests_at_once_and_others_their_own() -> None:
    limits = LIMITS._replace(connections=200)
    proxies = NamedProxies(["127.0.0.1"])
    async with knocking(limits, proxies) as here:
        waiting = [
            asyncio.ensure_future(here.gets("/hangs", "X-Forwarded-For: 192.0.2.7\r\n"))
            for _ in range(AT_ONCE_FOR_AN_ADDRESS)
        ]
        await here.hangs(AT_ONCE_FOR_AN_ADDRESS)
        answer = await here.gets("/", "X-Forwarded-For: 192.0.2.7\r\n")
        assert answer.startswith(b"HTTP/1.1 429 ")
        for other in ("X-Forwarded-For: 192.0.2.8\r\n", ""):
            assert (await here.gets("/", other)).endswith(b"here you are")
        here.go_on.set()
        assert all(each.endswith(b"at last") for each in await asyncio.gather(*waiting))
        answer = await here.gets("/", "X-Forwarded-For: 192.0.2.7\r\n")
        assert answer.endswith(b"here you are")
        assert here.refused("address") == 1
        assert not here.server._asking


async def test_without_named_proxies_no_address_is_counted() -> None:
    async with knocking(LIMITS._replace(connections=200)) as here:
        header = "X-Forwarded-For: 192.0.2.7\r\n"
        waiting = [
            asyncio.ensure_future(here.gets("/hangs", header))
            for _ in range(AT_ONCE_FOR_AN_ADDRESS)
        ]
        await here.hangs(AT_ONCE_FOR_AN_ADDRESS)
        assert (await here.gets("/", header)).endswith(b"here you are")
        here.go_on.set()
        await asyncio.gather(*waiting)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process gets no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_connection_that_the_machine_can_not_give_is_counted_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    with capture_logs() as logs, socket.socket() as client:
        client.setblocking(False)
        async with knocking() as here:
            with no_more_files():
                await loop.sock_connect(client, tuple(here.address))
                await here.is_refused("accept", 3)
            await loop.sock_sendall(client, GET)
            async with asyncio.timeout(PATIENCE):
                assert (await loop.sock_recv(client, 15)) == b"HTTP/1.1 200 OK"
            assert here.refused("accept") < 10
    assert {line["event"] for line in logs} == {"no connection can be taken"}
