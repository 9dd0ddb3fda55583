"""The site script as it is served: what its source comes to, and below 4,000 bytes."""

from __future__ import annotations

from pathlib import Path

from tests import node

SITE = Path(__file__).parents[3] / "streams" / "http" / "ingest" / "site"
SOURCE, SERVED = SITE / "ritorno.js", SITE / "ritorno.min.js"


def test_it_is_below_4000_bytes_without_compression() -> None:
    assert len(SERVED.read_bytes()) < 4_000


@node.needs_node
async def test_what_is_served_is_made_of_the_source() -> None:
    made = await node.run("minify.mjs", str(SOURCE))
    assert made == SERVED.read_text(encoding="utf-8"), "run `make site-script`"
