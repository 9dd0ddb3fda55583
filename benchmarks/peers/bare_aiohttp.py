"""A bare aiohttp answer: a body is read, and a constant said.

`python -m benchmarks.peers.bare_aiohttp PORT`.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

ANSWER = b'{"success": true}'


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def _run(port: int) -> None:
    application = web.Application()
    application.router.add_post("/v1/track", _answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1])))
