"""The site script as it is served: what its source comes to, below 4,000 bytes, to any page."""

from __future__ import annotations

from pathlib import Path

from aiohttp import ClientSession

from streams.http.ingest import site_script
from streams.http.ingest.server import IngestServer
from streams.settings.values import Address
from tests import node

SITE = Path(__file__).parents[3] / "streams" / "http" / "ingest" / "site"
SOURCE, SERVED = SITE / "ritorno.js", SITE / "ritorno.min.js"


@node.needs_node
async def test_what_is_served_is_made_of_the_source() -> None:
    made = await node.run("minify.mjs", str(SOURCE))
    assert made == SERVED.read_text(encoding="utf-8"), "run `make site-script`"


async def test_any_page_gets_it_below_4000_bytes_and_keeps_it_for_an_hour() -> None:
    server = IngestServer([site_script.mount])
    address = await server.start(Address("127.0.0.1", 0))
    url = f"http://127.0.0.1:{address.port}/ritorno.js"
    try:
        async with ClientSession(auto_decompress=False) as client:
            async with client.get(url, headers={"Origin": "https://negozio.example.it"}) as answer:
                body = await answer.read()
            headers = answer.headers
            assert (answer.status, body) == (200, SERVED.read_bytes())
            assert len(body) < 4_000
            assert "Content-Encoding" not in headers
            assert headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert headers["Cache-Control"].startswith("public, max-age=3600")
            assert headers["Access-Control-Allow-Origin"] == "*"
            assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert headers["X-Content-Type-Options"] == "nosniff"
            again = {"If-None-Match": headers["ETag"]}
            async with client.get(url, headers=again) as answer:
                assert (answer.status, await answer.read()) == (304, b"")
            async with client.get(url, headers={"If-None-Match": '"another"'}) as answer:
                assert answer.status == 200
            async with client.head(url) as answer:
                assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(body)))
            async with client.post(url) as answer:
                assert answer.status == 405
    finally:
        await server.stop()
