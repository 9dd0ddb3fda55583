"""A token server, and tokens that the tests' broker believes without a signature."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


def token_of(user: str, seconds: int = 600) -> str:
    """Return a JWT that says that its bearer is `user`, signed by nobody."""
    now = int(time.time())
    parts = {"alg": "none"}, {"sub": user, "iat": now, "exp": now + seconds}
    return ".".join(_encoded(json.dumps(part).encode()) for part in parts) + "."


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


class TokenServer:
    """Gives each client a token of its own name; its secret is `secret of NAME`."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Who has asked, and what was sent."""
        self.answer: web.Response | None = None
        """In place of a token."""

    async def _token(self, request: web.Request) -> web.Response:
        basic = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
        name, _, secret = basic.decode().partition(":")
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((name, form))
        if self.answer is not None:
            answer, self.answer = self.answer, None
            return answer
        if secret != f"secret of {name}":
            return web.json_response({"error": "invalid_client"}, status=401)
        given = {"access_token": token_of(name), "token_type": "Bearer", "expires_in": 600}
        return web.json_response(given)


@asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    """Run one on a free port of this machine."""
    server = TokenServer()
    app = web.Application()
    app.router.add_post("/token", server._token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/token"
    try:
        yield server
    finally:
        await runner.cleanup()
