"""An IMAP server that was taken over, or is broken: it costs a poll, no memory and no thread."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.mail.bounces.limits import LARGEST
from streams.mail.inbound import imap
from streams.mail.inbound.imap import BATCH, ImapError, ImapPoller, parse_imap
from streams.mail.inbound.imap_connection import LONGEST_LINES, ImapAllowance
from tests.mail.bounces.harness import IntakeHarness, bounce, harness

MESSAGE = bounce().replace(b"\n", b"\r\n")
ANSWERS = {
    b"GREETING": b"* OK ready\r\n",
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
    b"SEARCH": b"* SEARCH 7\r\n",
    b"FETCH": b"* 1 FETCH (UID 7 BODY[]<0> {%d}\r\n%b)\r\n" % (len(MESSAGE), MESSAGE),
}


@pytest.fixture
async def at(tmp_path: Path) -> IntakeHarness:
    return await harness(tmp_path / "returned")


class Heard(list[bytes]):
    """What a client says, line by line, and whether it has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = asyncio.Event()


@asynccontextmanager
async def serving(
    at: IntakeHarness, answers: dict[bytes, bytes | None], *, deadline: float = 20
) -> AsyncIterator[tuple[ImapPoller, Heard]]:
    """A poller of a server that says `answers`, and what it has heard.

    None: one byte after the other, for ever.
    """
    said = ANSWERS | answers
    heard = Heard()

    async def drip(writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
        gone = asyncio.create_task(reader.read())
        while not gone.done():
            writer.write(b"*")
            await asyncio.wait({gone}, timeout=0.02)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            tag, command = b"", b"GREETING"
            while True:
                answer = said.get(command, b"")
                if answer is None:
                    await drip(writer, reader)
                    return
                writer.write(answer + (tag + b" OK done\r\n" if tag else b""))
                await writer.drain()
                line = await reader.readline()
                if not line:
                    return
                heard.append(line.strip())
                tag, command, *rest = line.split()
                command = rest[0] if command == b"UID" else command
        except OSError:
            pass  # the client has hung up, as it should
        finally:
            heard.gone.set()
            writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        box = parse_imap(f"imap://shop:secret@127.0.0.1:{port}")
        yield ImapPoller(box, at.intake, deadline=deadline), heard


async def test_one_that_is_well(at: IntakeHarness) -> None:
    async with serving(at, {}) as (poller, heard):
        assert await poller.poll() == 1
    assert len(at.told) == 1
    assert heard[-1].endswith(b"LOGOUT")


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [
        (b"FETCH", b"* 1 FETCH (UID 7 BODY[] {%d}\r\n" % (LARGEST + 1), f"{LARGEST + 1} bytes"),
        (b"FETCH", b"* 1 FETCH (BODY[] {400000}\r\n%b)\r\n" % (b"x" * 400_000) * 2, "400000 bytes"),
        (b"FETCH", b"* 1 FETCH (FLAGS ())\r\n" * LONGEST_LINES, "more than was asked for"),
        (b"SEARCH", b"* SEARCH {3}\r\n7 8\r\n", "3 bytes, 0 were"),
        (b"CAPABILITY", b"* CAPABILITY {9}\r\nIMAP4rev1\r\n", "9 bytes, 0 were"),
        (b"STORE", b"* NO no\r\n" * LONGEST_LINES, "more than was asked for"),
        (b"GREETING", b"* OK [ALERT] hello\r\n" * LONGEST_LINES, "more than was asked for"),
    ],
    ids=["literal", "literals", "lines", "found", "can", "stored", "greeting"],
)
async def test_it_says_no_more_than_was_asked_for(
    at: IntakeHarness, command: bytes, answer: bytes, said: str
) -> None:
    async with serving(at, {command: answer}) as (poller, _):
        with pytest.raises(ImapError, match=said):
            await poller.poll()


@pytest.mark.parametrize("uid", [b"1:*", b"+7", b"0", b"7,8", b"1" * 11, b"\xd9\xa7"])
async def test_uids_are_digits(at: IntakeHarness, uid: bytes) -> None:
    async with serving(at, {b"SEARCH": b"* SEARCH 6 " + uid + b"\r\n"}) as (poller, heard):
        with pytest.raises(ImapError, match="which is no UID"):
            await poller.poll()
    assert not any(b"FETCH" in line for line in heard)


@pytest.mark.parametrize("command", [b"GREETING", b"CAPABILITY", b"SEARCH", b"FETCH", b"STORE"])
async def test_a_poll_has_a_deadline(at: IntakeHarness, command: bytes) -> None:
    """However little it says at a time; and nobody is left waiting for the rest."""
    async with serving(at, {command: None}, deadline=1) as (poller, heard):
        with pytest.raises(ImapError, match="takes longer than 1 s"):
            await poller.poll()
        await asyncio.wait_for(heard.gone.wait(), 5)


async def test_a_goodbye_has_one_too(at: IntakeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "GOODBYE", 0.2)
    async with serving(at, {b"LOGOUT": None}) as (poller, heard):
        assert await poller.poll() == 1
        await asyncio.wait_for(heard.gone.wait(), 5)


def test_a_connection_that_was_given_up_before_it_was_there_is_cut() -> None:
    one, other = socket.socketpair()
    allowance = ImapAllowance()
    allowance.cut()
    allowance.opened(one)
    assert other.recv(1) == b""
    one.close()
    other.close()


async def test_a_long_poll_leaves_the_rest_to_the_next_one(
    at: IntakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "ENOUGH", 0.0)
    found = b" ".join(b"%d" % n for n in range(1, BATCH + 1))
    async with serving(at, {b"SEARCH": b"* SEARCH " + found + b"\r\n"}) as (poller, heard):
        assert await poller.poll() == 1
    assert sum(b"FETCH" in line for line in heard) == 1
