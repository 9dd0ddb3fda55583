"""MAIL, RCPT and DATA sent together (RFC 2920): each reply counts, and none is taken for another's.

Two relays judge: the scripted one, which misbehaves at any stage, and aiosmtpd, a real server.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.mail.message.compose import ComposedMail
from agents.mail.replies import Dropped, RelayAccepted, RelayRefused, Result, Unknown
from streams.clock import VirtualClock
from streams.mail.relay import parse_relay
from streams.mail.smtp import SmtpPool
from streams.mail.smtp_dialogue import MAX_REPLY
from streams.mail.smtp_transaction import SmtpLimits
from tests.mail.doubles import CountingMetrics
from tests.mail.samples import START, send
from tests.mail.servers import (
    DATA,
    DOT,
    DROP,
    EHLO,
    MAIL,
    PIPELINING,
    RCPT,
    SILENCE,
    ScriptedRelay,
    scripted,
)
from tests.mail.test_mailer_delivery import COMPOSER, shrink_send_buffer

OFFERS = [True, False]
MAILS = [COMPOSER.compose(send(f"m{number}")) for number in range(3)]


@asynccontextmanager
async def pooled(port: int, *, reply: float = 5.0) -> AsyncIterator[SmtpPool]:
    """One connection at a time to a relay on `port`."""
    pool = SmtpPool(
        parse_relay(f"smtp://127.0.0.1:{port}"),
        clock=VirtualClock(START),
        metrics=CountingMetrics(),
        limits=SmtpLimits(connections=1, reply=reply, data=reply),
    )
    try:
        yield pool
    finally:
        await pool.close()


async def deliver(pool: SmtpPool, mail: ComposedMail) -> Result:
    async with pool.connection() as connection:
        return await connection.deliver(mail)


async def told(
    script: dict[str, list[str]], *, offers: bool, reply: float = 5.0
) -> tuple[Result, Result, ScriptedRelay]:
    """Deliver one mail by the script and another one after it; return how they ended."""
    hello = {EHLO: [PIPELINING] * 2} if offers else {}
    copied = {stage: list(replies) for stage, replies in script.items()}
    async with scripted({**copied, **hello}) as relay, pooled(relay.port, reply=reply) as pool:
        first = await deliver(pool, MAILS[0])
        second = await deliver(pool, MAILS[1])
    return first, second, relay


# What goes out together.


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, *, receive: int | None = None) -> AsyncIterator[int]:
    """Run a server; `receive`: bytes its kernel takes for a connection before it is read."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = socket.create_server(("127.0.0.1", 0))
    if receive is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    server = await asyncio.start_server(handle, sock=listening, limit=1 << 22)
    yield listening.getsockname()[1]
    server.close()


async def hello(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, offers: bool
) -> None:
    writer.write(b"220 relay.test\r\n")
    await reader.readline()
    writer.write(PIPELINING.encode() + b"\r\n" if offers else b"250 relay.test\r\n")


@pytest.mark.parametrize("pieces", [1, 1_000], ids=["one segment", "byte by byte"])
async def test_the_envelope_goes_out_before_the_first_reply(pieces: int) -> None:
    verbs: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer, offers=True)
        verbs.extend([(await reader.readline())[:4] for _ in range(3)])
        replies = b"250-2.1.0 ok\r\n250 go on\r\n250 2.1.5 ok\r\n354 go ahead\r\n"
        size = max(len(replies) // pieces, 1)
        for start in range(0, len(replies), size):
            writer.write(replies[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 2.0.0 queued\r\n")
        await reader.readline()

    async with serving(serve) as port, pooled(port) as pool:
        assert await deliver(pool, MAILS[0]) == RelayAccepted(250, "2.0.0 queued")
    assert verbs == [b"MAIL", b"RCPT", b"DATA"]


async def test_without_the_offer_each_command_waits_for_its_reply() -> None:
    ahead: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer, offers=False)
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go ahead\r\n"):
            await reader.readline()
            ahead.append(bytes(reader._buffer))  # type: ignore[attr-defined]  # what came with it
            writer.write(reply)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 queued\r\n")
        await reader.readline()

    async with serving(serve) as port, pooled(port) as pool:
        assert isinstance(await deliver(pool, MAILS[0]), RelayAccepted)
    assert ahead == [b"", b"", b""]


# Each reply at each stage.


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("code", [421, 450, 452, 454, 550, 552, 554])
@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA, DOT])
async def test_a_refusal_is_that_of_its_stage(stage: Any, code: int, offers: bool) -> None:
    first, second, relay = await told({stage: [f"{code} 4.0.0 no"]}, offers=offers)
    assert first == RelayRefused(stage, code, "4.0.0 no")
    assert isinstance(second, RelayAccepted)
    assert relay.mails[-1] == MAILS[1].message
    assert len(relay.mails) == (2 if stage == DOT else 1)  # and no empty one


ENDS = ["250 ok", "451 no", "550 no", "421 no", "354 what", DROP]


@pytest.mark.parametrize("mail", ENDS)
async def test_together_or_apart_the_result_is_the_same(mail: str) -> None:
    """Every combination of replies: the first that is a refusal is the one that counts."""
    for case in itertools.product([mail], ENDS, ENDS):
        script = dict(zip((MAIL, RCPT, DATA), ([reply] for reply in case), strict=True))
        if case[2] == "250 ok":
            script[DATA] = []  # the usual 354
        ends = []
        for offers in OFFERS:
            first, second, relay = await told(script, offers=offers)
            assert b"" not in relay.mails
            assert len(relay.mails) == isinstance(first, RelayAccepted) + isinstance(
                second, RelayAccepted
            )
            ends.append(first)
            if offers and DROP not in case:  # all of the script was for the first mail
                assert isinstance(second, RelayAccepted), case
        assert ends[0] == ends[1], case


@pytest.mark.parametrize("data", ["354 go ahead", "503 5.5.1 no recipients", "554 5.5.1 no"])
async def test_data_after_a_refused_recipient_is_ended(data: str) -> None:
    script = {RCPT: ["550 5.1.1 unknown"], DATA: [data]}
    first, second, relay = await told(script, offers=True)
    assert first == RelayRefused("rcpt", 550, "5.1.1 unknown")
    assert isinstance(second, RelayAccepted)
    assert relay.mails == [MAILS[1].message]
    assert relay.connections == 1
    assert ("RSET" in relay.commands) == (data[0] == "5")  # else the lone dot has ended it


async def test_no_empty_mail_is_sent_to_a_recipient_that_was_taken() -> None:
    """MAIL is refused and RCPT and DATA are not: a lone dot would be a mail. We hang up."""
    first, second, relay = await told({MAIL: ["550 5.7.1 no"]}, offers=True)
    assert first == RelayRefused("mail", 550, "5.7.1 no")
    assert isinstance(second, RelayAccepted)
    assert relay.mails == [MAILS[1].message]
    assert relay.connections == 2


@pytest.mark.parametrize("end", [DROP, SILENCE, "421 4.3.2 closing"])
async def test_a_refusal_stays_one_when_the_relay_goes_after_it(end: str) -> None:
    for script in ({MAIL: ["550 no"], RCPT: [end]}, {MAIL: ["550 no"], DATA: [end]}):
        first, _, _ = await told(script, offers=True, reply=0.2)
        assert first == RelayRefused("mail", 550, "no")
    first, second, _ = await told({RCPT: ["550 no"], DATA: [end]}, offers=True, reply=0.2)
    assert first == RelayRefused("rcpt", 550, "no")
    assert isinstance(second, RelayAccepted)


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize(
    "end",
    [DROP, SILENCE, "no reply at all", "250-" + "x" * 40_000, "250-x\r\n" * 30_000],
    ids=["drop", "silence", "no reply", "a long line", "many lines"],
)
@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA])
async def test_a_relay_that_goes_can_not_have_the_mail(stage: Any, end: str, offers: bool) -> None:
    first, second, relay = await told({stage: [end]}, offers=offers, reply=0.2)
    assert isinstance(first, Dropped)
    assert first.stage == stage
    assert isinstance(second, RelayAccepted)
    assert relay.mails == [MAILS[1].message]


async def test_the_dot_stays_here_until_all_of_the_text_has_left() -> None:
    """The relay stops reading: the last kilobytes of the text wait in this process."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer, offers=True)
        for _ in range(3):
            await reader.readline()
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(b"250 ok\r\n250 ok\r\n354 go ahead\r\n")
        await over.wait()

    async with (
        serving(serve, receive=4_096) as port,
        pooled(port, reply=0.2) as pool,
        pool.connection() as connection,
    ):
        shrink_send_buffer(connection)
        long = MAILS[0]._replace(message=(MAILS[0].message * 2)[:40_000] + b"\r\n")
        result = await connection.deliver(long)
        over.set()
    assert 30_000 < len(long.message) < 65_536  # what asyncio would keep without a word
    assert isinstance(result, Dropped)
    assert not connection.dotted


async def test_a_reply_without_an_end_is_not_waited_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer, offers=True)
        await reader.readline()
        writer.write(b"2" * 2 * MAX_REPLY)
        await reader.read()

    async with serving(serve) as port, pooled(port) as pool:
        assert await deliver(pool, MAILS[0]) == Dropped("mail", "a reply without an end")


# Replies that nobody has asked for.


async def test_a_relay_that_never_stops_is_left() -> None:
    taken, flooded = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer, offers=True)
        await taken.wait()
        try:
            while True:
                writer.write(b"250 ok\r\n" * 1_000)
                await writer.drain()
        except ConnectionError:
            flooded.set()

    async with serving(serve) as port, pooled(port) as pool, pool.connection() as connection:
        taken.set()
        async with asyncio.timeout(5):
            await flooded.wait()  # nobody here reads, and it can't fill the memory
        assert not connection.connected


async def test_a_reply_to_nothing_is_not_taken_for_the_one_to_the_dot() -> None:
    script = {DATA: ["354 go ahead\r\n250 2.0.0 queued"]}
    first, second, relay = await told(script, offers=True)
    assert isinstance(first, Dropped)
    assert first.stage == "data"
    assert "out of turn: 250 2.0.0 queued" in first.reason
    assert isinstance(second, RelayAccepted)
    assert relay.mails == [MAILS[1].message]


async def test_a_relay_that_speaks_between_two_mails_is_left() -> None:
    script = {DOT: ["250 2.0.0 queued\r\n421 4.4.2 idle for too long"]}
    first, second, relay = await told(script, offers=True)
    assert isinstance(first, RelayAccepted)
    assert isinstance(second, Dropped)
    assert second.stage == "mail"  # which delivery takes to a fresh connection
    assert relay.mails == [MAILS[0].message]


async def test_after_the_dot_nobody_knows() -> None:
    for end in (DROP, "999 what", "no reply at all"):
        first, _, _ = await told({DOT: [end]}, offers=True)
        assert isinstance(first, Unknown)


# A real server.


class Handler:
    """Of aiosmtpd: knows everybody whose name begins with g."""

    def __init__(self, *, offers: bool) -> None:
        self.offers = offers
        self.mails: list[bytes] = []
        self.sessions: set[int] = set()

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        """Greet, offering or not."""
        session.host_name = hostname
        self.sessions.add(id(session))
        return [replies[0], *(["250-PIPELINING"] if self.offers else []), *replies[1:]]

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient or refuse."""
        if not address.startswith("g"):
            return "550 5.1.1 unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 2.0.0 queued"


@pytest.mark.parametrize("offers", OFFERS)
async def test_a_real_server_gets_each_mail_once(offers: bool) -> None:
    handler = Handler(offers=offers)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="relay.test", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    addresses = ["giulia@example.com", "nessuno@example.com", "giulià@città.example"] * 10
    sent = [
        COMPOSER.compose(send(f"m{number}", email=address))
        for number, address in enumerate(addresses)
    ]
    async with pooled(server.sockets[0].getsockname()[1]) as pool:
        results = [await deliver(pool, mail) for mail in sent]
        async with pool.connection() as connection:
            assert connection.pipelining is offers
    server.close()
    known = [mail for mail in sent if not mail.recipient.address.startswith("n")]
    assert handler.mails == [mail.message for mail in known]
    refused = [result for result in results if isinstance(result, RelayRefused)]
    assert refused == [RelayRefused("rcpt", 550, "5.1.1 unknown")] * 10
    assert sum(isinstance(result, RelayAccepted) for result in results) == 20
    assert len(handler.sessions) == 1
