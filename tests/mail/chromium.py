"""A real Chromium for tests, where Debian's package is installed, driven by its DevTools."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PROGRAM = shutil.which("chromium")

if PROGRAM is None and os.environ.get("RITORNO_REQUIRE_CHROMIUM"):
    raise RuntimeError("RITORNO_REQUIRE_CHROMIUM is set, but chromium is missing")

needs_chromium = pytest.mark.skipif(
    PROGRAM is None, reason="NO CHROMIUM: it is missing (apt install chromium)"
)

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip

START_SECONDS = 30


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, messages: itertools.count) -> None:  # type: ignore[type-arg] # not at runtime
        self._socket = socket
        self._messages = messages
        self._session: str | None = None
        self._context = ""

    async def attach(self, **where: str) -> None:
        """Open the tab."""
        made = await self.command("Target.createTarget", url="about:blank", **where)
        attached = await self.command(
            "Target.attachToTarget", targetId=made["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        await self.command("Page.enable")

    async def stranger(self) -> Page:
        """Return a tab of somebody else: without cookies, and with nothing stored."""
        other = Page(self._socket, self._messages)
        made = await other.command("Target.createBrowserContext")
        other._context = made["browserContextId"]
        await other.attach(browserContextId=other._context)
        return other

    async def close(self) -> None:
        """Close a stranger's tab, and forget all that it has stored."""
        self._session = None  # the browser does it, and not the tab
        await self.command("Target.disposeBrowserContext", browserContextId=self._context)

    async def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        await self.command("Page.navigate", url=url)
        await self._until("Page.loadEventFired")

    async def show(self, file: Path, width: int, *, dark: bool) -> None:
        """Show a file as a screen of `width` pixels does."""
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])
        await self.command("Page.navigate", url=file.as_uri())
        await self._until("Page.loadEventFired")

    async def ask(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def picture(self) -> bytes:
        """Return a PNG of the whole page."""
        made = await self.command("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(made["data"])

    async def command(self, method: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol, and return its result."""
        number = next(self._messages)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(
            message | ({"sessionId": self._session} if self._session else {})
        )
        while True:
            answer = await self._socket.receive_json(timeout=START_SECONDS)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    async def _until(self, event: str) -> None:
        while True:
            said = await self._socket.receive_json(timeout=START_SECONDS)
            if said.get("method") == event and said.get("sessionId") == self._session:
                return


@asynccontextmanager
async def chromium(directory: Path, *flags: str) -> AsyncIterator[Page]:
    """Start a browser with a profile in `directory`, and open a tab."""
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *_FLAGS, *flags, f"--user-data-dir={directory}",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        address = await asyncio.wait_for(_address(process), START_SECONDS)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            page = Page(socket, itertools.count(1))
            await page.attach()
            yield page
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        _, found, address = line.decode(errors="replace").partition("DevTools listening on ")
        if found:
            return address.strip()
    raise RuntimeError("chromium has ended before it listened")
