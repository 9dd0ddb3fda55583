"""Mails a second to a relay that is 20 ms away, with and without PIPELINING.

The relay is on loopback and each of its replies leaves 20 ms after what it answers has come. That
is distance: replies to commands that came together leave together. What also takes time is a
relay's own work, one command after the other, which no client can hurry; it is measured too, so
that nobody takes the first number for a promise about the second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agents.mail.message.compose import ComposedMail
from agents.mail.replies import RelayAccepted
from benchmarks.assembly import mails
from benchmarks.results import Result, result
from benchmarks.say import Say
from streams.clock import SystemClock
from streams.mail.relay import parse_relay
from streams.mail.smtp import SmtpPool
from streams.mail.smtp_transaction import SmtpLimits
from streams.operate.metrics import Metrics

AWAY = 0.020
"""Seconds: a relay in another country of the continent."""

CONNECTIONS = SmtpLimits().connections
MAILS = 1_000

PEER = "the same without PIPELINING"

REPLIES = {
    b"MAIL": b"250 ok",
    b"RCPT": b"250 ok",
    b"DATA": b"354 go ahead",
    b"RSET": b"250 ok",
    b"QUIT": b"221 bye",
}


async def measure(say: Say) -> list[Result]:
    """Measure both, each time with the same mails and connections."""
    sent = mails(MAILS)
    found = []
    for name, works in (("distance.mails_20ms", False), ("distance.mails_20ms_of_work", True)):
        what = "of work at each command" if works else "away"
        say(f"{MAILS:,} mails on {CONNECTIONS} connections to a relay {AWAY * 1000:g} ms {what}")
        together, apart = [
            await _per_second(sent, pipelining=pipelining, works=works)
            for pipelining in (True, False)
        ]
        found.append(result(name, together, "mails/s", PEER, apart))
    return found


async def _per_second(sent: list[ComposedMail], *, pipelining: bool, works: bool) -> float:
    waiting = list(sent)
    async with relay(pipelining=pipelining, works=works) as port:
        pool = SmtpPool(
            parse_relay(f"smtp://127.0.0.1:{port}"), clock=SystemClock(), metrics=Metrics().mail
        )

        async def deliver() -> None:
            while waiting:
                mail = waiting.pop()  # before the wait for a connection: others take their own
                async with pool.connection() as connection:
                    outcome = await connection.deliver(mail)
                if not isinstance(outcome, RelayAccepted):
                    raise RuntimeError(f"not delivered: {outcome}")

        began = time.monotonic()
        await asyncio.gather(*(deliver() for _ in range(CONNECTIONS)))
        seconds = time.monotonic() - began
        await pool.close()
    return len(sent) / seconds


@asynccontextmanager
async def relay(
    *, pipelining: bool, works: bool = False, taken: Callable[[bytes], None] = lambda _: None
) -> AsyncIterator[int]:
    """Run the relay and yield its port; `taken` is called with the text of each mail."""
    loop = asyncio.get_running_loop()
    greeting = b"250-relay.test\r\n250 PIPELINING" if pipelining else b"250 relay.test"
    replies = {**REPLIES, b"EHLO": greeting}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answer(reply: bytes) -> None:
            if works:
                await asyncio.sleep(AWAY)
                writer.write(reply + b"\r\n")
            else:
                loop.call_later(AWAY, writer.write, reply + b"\r\n")

        try:
            await answer(b"220 relay.test")
            while command := await reader.readline():
                await answer(replies[command[:4]])
                if command.startswith(b"DATA"):
                    taken(await reader.readuntil(b"\r\n.\r\n"))
                    await answer(b"250 queued")
        except (OSError, asyncio.IncompleteReadError):
            pass  # a worker that is killed doesn't say goodbye
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
