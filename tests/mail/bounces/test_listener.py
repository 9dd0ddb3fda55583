"""The SMTP listener, in real sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiosmtplib import SMTP, SMTPDataError, SMTPRecipientRefused, SMTPResponseException

from agents.mail.bounces.limits import LARGEST
from agents.mail.bounces.verdict import BounceVerdict
from streams.mail.inbound.kept import LEAST_BYTES
from streams.mail.inbound.listener import (
    CONNECTIONS,
    LARGEST_MESSAGE,
    SILENCE,
    Listener,
    _SmtpSession,
)
from streams.mail.inbound.reading_process import BusyError
from tests.mail.bounces.harness import ANNA, DOMAIN, IntakeHarness, bounce, harness


@pytest.fixture
async def at(tmp_path: Path) -> IntakeHarness:
    return await harness(tmp_path / "returned")


@asynccontextmanager
async def listening(
    at: IntakeHarness, *, silence: float = 30, session: float = 300
) -> AsyncIterator[SMTP]:
    """A listener, and a client of it."""
    listener = Listener(at.intake, silence=silence, session=session)
    port = await listener.start("127.0.0.1", 0)
    client = SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=20)
    await client.connect()
    yield client
    client.close()
    await listener.stop()


@pytest.fixture
async def client(at: IntakeHarness) -> AsyncIterator[SMTP]:
    async with listening(at) as client:
        yield client


async def test_a_bounce_is_taken_and_told(client: SMTP, at: IntakeHarness) -> None:
    await client.sendmail("", [ANNA], bounce("hidden@relay.example"))
    assert at.told[0]["customer"] == "anna"
    assert at.counted.seen["smtp", "hard", "told"] == 1


async def test_several_messages_in_one_session(client: SMTP, at: IntakeHarness) -> None:
    for status in ("5.1.1", "5.1.0", "5.2.2"):
        await client.sendmail("", [ANNA], bounce(status=status))
    assert len({each["id"] for each in at.told}) == 3


@pytest.mark.parametrize(
    "recipient",
    [
        "postmaster@altrove.example",
        f"ciao@{DOMAIN}",
        ANNA.replace("@", "a@"),
        f"bounce@x.{DOMAIN}",
    ],
)
async def test_others_get_a_550(client: SMTP, at: IntakeHarness, recipient: str) -> None:
    await client.mail("mittente@altrove.example")
    with pytest.raises(SMTPRecipientRefused) as refused:
        await client.rcpt(recipient)
    assert refused.value.code == 550
    assert at.counted.seen["refused",] == 1
    assert at.told == []
    await client.rset()  # and the session goes on
    await client.sendmail("", [ANNA], bounce())
    assert len(at.told) == 1


@pytest.mark.parametrize("name", ["bounce", "feedback", "FeedBack"])
async def test_two_names_take_what_has_no_token(client: SMTP, at: IntakeHarness, name: str) -> None:
    await client.sendmail("", [f"{name}@{DOMAIN}"], bounce("x@y.example"))
    assert at.counted.seen["smtp", "hard", "unmatched"] == 1
    assert len(at.kept) == 1


async def test_a_message_that_is_too_large_is_refused(client: SMTP, at: IntakeHarness) -> None:
    with pytest.raises(SMTPResponseException) as refused:
        await client.sendmail("", [ANNA], bounce() + b"x" * 70 + b"\r\n" * LARGEST_MESSAGE)
    assert refused.value.code == 552
    assert at.told == []


async def test_while_the_log_is_away_the_message_has_to_come_again(
    client: SMTP, at: IntakeHarness
) -> None:
    at.log.fault = lambda *_: 0
    with pytest.raises(SMTPDataError) as refused:
        await client.sendmail("", [ANNA], bounce())
    assert refused.value.code == 451
    at.log.fault = lambda *_: None
    await client.sendmail("", [ANNA], bounce())
    assert len(at.told) == 1
    assert at.counted.seen["smtp", "failed"] == 1


async def test_who_floods_is_told_to_come_again(at: IntakeHarness, client: SMTP) -> None:
    async def busy(raw: bytes, *, patient: bool = False) -> BounceVerdict:
        raise BusyError

    read, at.reader.read = at.reader.read, busy  # type: ignore[method-assign]  # a stand-in
    with pytest.raises(SMTPDataError) as refused:
        await client.sendmail("", [ANNA], bounce())
    assert refused.value.code == 451
    at.reader.read = read  # type: ignore[method-assign]  # and back
    await client.sendmail("", [ANNA], bounce())
    assert len(at.told) == 1


async def test_what_a_person_should_read_has_so_much_room(tmp_path: Path) -> None:
    at = await harness(tmp_path / "returned", most=LARGEST + 2 * LEAST_BYTES)
    async with listening(at) as client:
        large = bounce("someone@else.example") + b"x\r\n" * (LARGEST // 2)
        await client.sendmail("", [f"bounce@{DOMAIN}"], large)
        assert [path.stat().st_size for path in at.kept] == [LARGEST]  # what was read, and no more
        for n in (1, 2, 3):
            unknown = bounce("someone@else.example", said=f"550 5.1.1 unknown {n}")
            if n < 3:
                await client.sendmail("", [f"bounce@{DOMAIN}"], unknown)
                continue
            with pytest.raises(SMTPDataError) as refused:
                await client.sendmail("", [f"bounce@{DOMAIN}"], unknown)
            assert refused.value.code == 452
        await client.sendmail("", [ANNA], bounce())  # whose mail it was is known: nothing to keep
    assert len(at.kept) == 3
    assert len(at.told) == 1
    assert at.counted.seen["smtp", "failed"] == 1


@pytest.mark.parametrize("said", [b"", b"EHLO x\r\n", b"DATA"], ids=["", "idle", "half a line"])
async def test_who_says_nothing_is_hung_up_on(at: IntakeHarness, said: bytes) -> None:
    assert SILENCE == 30
    async with listening(at, silence=0.2) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(said)
        async with asyncio.timeout(20):
            assert (await reader.read()).startswith(b"220 ")
        writer.close()


async def test_who_speaks_for_ever_is_hung_up_on(at: IntakeHarness) -> None:
    async with listening(at, silence=0.5, session=1.0) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        over = asyncio.create_task(reader.read())
        async with asyncio.timeout(20):
            while not over.done():
                writer.write(b"x")
                await asyncio.wait({over}, timeout=0.1)
        assert b"220 " in over.result()
        writer.close()


async def test_who_is_in_the_middle_of_a_message_is_not_silent(
    at: IntakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow line takes longer for a message than anybody may keep silent."""
    patience: asyncio.Queue[None] = asyncio.Queue()
    anew = _SmtpSession._reset_timeout

    def seen(session: _SmtpSession, duration: float | None = None) -> None:
        patience.put_nowait(None)
        anew(session, duration)

    monkeypatch.setattr(_SmtpSession, "_reset_timeout", seen)
    async with listening(at) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        for said in (b"EHLO x", b"MAIL FROM:<>", f"RCPT TO:<{ANNA}>".encode(), b"DATA"):
            writer.write(said + b"\r\n")
        await asyncio.wait_for(reader.readuntil(b"354 "), 20)
        while not patience.empty():
            patience.get_nowait()
        for piece in (b"Subject: half", b" a ", b"line"):
            writer.write(piece)
            await asyncio.wait_for(patience.get(), 20)
        writer.close()


async def test_connections_are_few(at: IntakeHarness) -> None:
    listener = Listener(at.intake)
    port = await listener.start("127.0.0.1", 0)
    open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    for reader, _ in open_:
        assert (await reader.readline()).startswith(b"220 ")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"421 ")
    assert await reader.read() == b""
    await listener.stop()
    for reader, other in open_:
        assert await reader.read() == b""
        other.close()
    writer.close()
