"""The SMTP listener, in real sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiosmtplib import SMTP, SMTPDataError, SMTPRecipientRefused, SMTPResponseException

from streams.mail.inbound.listener import CONNECTIONS, LARGEST_MESSAGE, Listener
from tests.mail.bounces.harness import ANNA, DOMAIN, IntakeHarness, bounce, harness


@pytest.fixture
async def at(tmp_path: Path) -> IntakeHarness:
    return await harness(tmp_path / "returned")


@pytest.fixture
async def client(at: IntakeHarness) -> AsyncIterator[SMTP]:
    listener = Listener(at.intake)
    port = await listener.start("127.0.0.1", 0)
    client = SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=10)
    await client.connect()
    yield client
    client.close()
    await listener.stop()


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
