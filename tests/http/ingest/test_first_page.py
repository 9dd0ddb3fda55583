"""The first page of a reader: what README has to connect a page, pasted into a shell."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.http.ingest.street import ITALIAN
from tests.mail.chromium import chromium, needs_chromium
from tests.ports import free_port
from tests.waiting import eventually, listens

README = Path(__file__).parents[3] / "README.md"
SECONDS = 60


@asynccontextmanager
async def pasted(text: str, directory: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Give a shell that has been told `text`, as what it prints; it and what it has started end
    with the block."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"PATH": path, "RITORNO_ADMIN_BIND": "127.0.0.1:0"}  # of which many may run at once
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", text, cwd=directory, env={**os.environ, **own},
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert shell.stdout is not None
    try:
        yield shell.stdout
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        await shell.wait()


@needs_chromium
@pytest.mark.processes
async def test_a_page_is_connected_by_what_is_pasted(tmp_path: Path) -> None:
    section = README.read_text(encoding="utf-8").partition("## Connect a shop\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    ingest, shop = free_port(), free_port()
    block = block.replace("8090", str(ingest)).replace("8000", str(shop))
    here, profile = tmp_path / "here", tmp_path / "profile"
    here.mkdir()
    told = block.rstrip() + " --count 3 --json & echo follows; wait $!"
    async with (
        asyncio.timeout(SECONDS),
        pasted(told, here) as out,
        chromium(profile, *ITALIAN) as page,
    ):
        while await out.readline() != b"follows\n":
            pass
        for port in (shop, ingest):
            await eventually(partial(listens, port), "what README starts listens")
        await page.open(f"http://127.0.0.1:{shop}/")
        told_of = [await _told(out), await _told(out)]
        await page.ask("document.querySelector('button').click()")
        told_of.append(await _told(out))
    assert [(each["type"], each["by"], each["source"]) for each in told_of] == [
        ("page.viewed", "visitor", "/site"),
        ("product.viewed", "visitor", "/site"),
        ("cart.product_added", "visitor", "/site"),
    ]
    assert {each["data"].get("product_id") for each in told_of[1:]} == {"MOKA-3"}


async def _told(out: asyncio.StreamReader) -> dict[str, Any]:
    while not (line := await out.readline()).startswith(b'{"arrived"'):
        assert line, "it has ended"
    found: dict[str, Any] = json.loads(line)
    return found
