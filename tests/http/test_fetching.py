"""Fetching reaches public addresses only, wherever a URL, a name or a redirect leads."""

from __future__ import annotations

import asyncio
import socket
from io import BytesIO

import pytest
from aiohttp import ClientConnectorError, ClientSession, web

from streams.http.fetching import (
    Fetcher,
    FetchFailed,
    FetchLimits,
    FetchRefused,
    Validators,
    check_url,
    is_public,
    public_connector,
    was_refused,
)
from tests.http.serving import serving


async def fetch(url: str, known: Validators | None = None, **how: object) -> tuple[bytes, object]:
    fetcher = Fetcher(**{"loopback": True, **how})  # type: ignore[arg-type]  # a test's shorthand
    into = BytesIO()
    try:
        fetched = await fetcher.fetch(url, into, known)
    finally:
        await fetcher.close()
    return into.getvalue(), fetched


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "224.0.0.1", "239.1.2.3", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
        "ff0e::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:101::1",
        "2001:0:a00:1::f5ff:fffe", "fec0::1", "localhost", "",
    ],
)  # fmt: skip
def test_what_the_whole_internet_does_not_reach_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_other_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://negozio.example.it/feed", "gopher://x/", "negozio.example.it",
     "http://", "", "https://user:hunter2@negozio.example.it/", "http://[::1", "http://x:99999/"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_without_showing_a_secret(url: str) -> None:
    with pytest.raises(FetchRefused) as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)


async def _answer(request: web.Request) -> web.StreamResponse:
    return web.Response(text="feed")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f.1"])
async def test_this_machine_is_not_asked_however_it_is_called(host: str) -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(text="secret")

    async with serving(note) as base:
        port = base.rpartition(":")[2]
        with pytest.raises((FetchRefused, FetchFailed)):
            await fetch(f"http://{host}:{port}/?key=hunter2", loopback=False)
    assert asked == []


async def test_a_refusal_says_so_without_the_query() -> None:
    with pytest.raises(FetchRefused, match="not public") as caught:
        await fetch("http://127.0.0.1:9/feed?key=hunter2", loopback=False)
    assert "hunter2" not in str(caught.value)


async def test_a_name_that_leads_to_private_addresses_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolved(*_: object, **__: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", 80)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", 80, 0, 0)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved, raising=False)
    with pytest.raises(FetchRefused, match="not public"):
        await fetch("http://negozio.example.it/feed", loopback=False)
    with pytest.raises(FetchRefused, match="not public"):
        await fetch("http://negozio.example.it/feed", loopback=True)


async def test_the_address_that_is_looked_at_is_the_one_that_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that resolves to a public address and at the second look to this machine."""
    looks = 0
    loop = asyncio.get_running_loop()
    connected: list[object] = []

    async def resolved(*_: object, **__: object) -> list[object]:
        nonlocal looks
        looks += 1
        address = "93.184.216.34" if looks == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    async def connect(_: socket.socket, address: object) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(loop, "getaddrinfo", resolved, raising=False)
    monkeypatch.setattr(loop, "sock_connect", connect, raising=False)
    for _ in range(3):
        with pytest.raises((FetchFailed, FetchRefused)):
            await fetch("http://negozio.example.it/feed", loopback=False)
    assert set(connected) == {("93.184.216.34", 80)}


async def test_a_redirect_is_looked_at_again() -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        if request.path == "/twice":
            return web.Response(status=302, headers={"Location": "/feed"})
        if request.path == "/feed":
            return web.Response(text="feed")
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async with serving(away) as base:
        content, fetched = await fetch(f"{base}/twice")
        assert (content, fetched.url) == (b"feed", f"{base}/feed")  # type: ignore[attr-defined]  # Download
        for target in ("http://10.0.0.1/", "http://169.254.169.254/latest", "http://[fd00::1]/"):
            with pytest.raises(FetchRefused, match="not public"):
                await fetch(f"{base}/?to={target}")
        for target in ("file:///etc/passwd", "http://u:p@10.0.0.1/"):
            with pytest.raises(FetchRefused):
                await fetch(f"{base}/?to={target}")


async def test_redirects_end_and_do_not_carry_headers_elsewhere() -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(text="feed")

    async with serving(elsewhere) as other:

        async def away(request: web.Request) -> web.StreamResponse:
            to = other if request.path == "/other" else "/round"
            return web.Response(status=307, headers={"Location": to})

        async with serving(away) as base:
            with pytest.raises(FetchRefused, match="more than 5 redirects"):
                await fetch(f"{base}/round")
            fetcher = Fetcher(loopback=True)
            await fetcher.fetch(f"{base}/other", BytesIO(), headers={"Authorization": "secret"})
            await fetcher.close()
    assert seen == [None]


async def test_what_has_not_changed_is_not_sent_again() -> None:
    async def tagged(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            assert request.headers["If-Modified-Since"] == "Mon, 02 Mar 2026 09:00:00 GMT"
            return web.Response(status=304)
        headers = {"ETag": '"v1"', "Last-Modified": "Mon, 02 Mar 2026 09:00:00 GMT"}
        return web.Response(text="feed", headers=headers)

    async with serving(tagged) as base:
        content, first = await fetch(f"{base}/feed")
        known = first.validators  # type: ignore[attr-defined]  # Download
        assert (content, known.etag) == (b"feed", '"v1"')
        content, second = await fetch(f"{base}/feed", known)
        assert (content, second.changed) == (b"", False)  # type: ignore[attr-defined]  # Download


async def test_a_304_that_nobody_asked_for_and_other_answers_are_failures() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Retry-After": "7"}
        return web.Response(status=int(request.path[1:]), headers=headers)

    async with serving(answer) as base:
        for status in (304, 404, 429, 503):
            with pytest.raises(FetchFailed, match=f"HTTP {status}") as caught:
                await fetch(f"{base}/{status}?key=hunter2")
            assert (caught.value.status, caught.value.retry_after) == (status, 7)
            assert "hunter2" not in str(caught.value)


async def test_size_and_time_have_limits() -> None:
    gone_on = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path == "/slow":
            await gone_on.wait()
        for _ in range(100):
            await response.write(b"x" * 1000)
        return response

    async with serving(endless) as base:
        with pytest.raises(FetchRefused, match="more than 10,000 bytes"):
            await fetch(f"{base}/large", limits=FetchLimits(bytes=10_000))
        with pytest.raises(FetchFailed, match=r"no end after 0\.2 s"):
            await fetch(f"{base}/slow", limits=FetchLimits(seconds=0.2))
        gone_on.set()


async def test_gzip_stays_as_it_travels_and_other_packing_is_refused() -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        encoding = request.path[1:]
        return web.Response(body=b"\x1f\x8bpacked", headers={"Content-Encoding": encoding})

    async with serving(packed) as base:
        content, _ = await fetch(f"{base}/gzip")
        assert content == b"\x1f\x8bpacked"
        with pytest.raises(FetchFailed, match="Content-Encoding 'br'"):
            await fetch(f"{base}/br")


async def test_an_own_session_is_kept_from_private_addresses_too() -> None:
    async with serving(_answer) as base, ClientSession(connector=public_connector()) as session:
        with pytest.raises(ClientConnectorError) as caught:
            await session.post(base, data=b"{}")
        assert was_refused(caught.value)
