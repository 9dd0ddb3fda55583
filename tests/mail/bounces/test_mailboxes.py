"""A real maildir and a real IMAP server: each message counts once and is marked when it is safe."""

from __future__ import annotations

import asyncio
import mailbox
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from streams.log import LogError
from streams.mail.inbound.imap import ImapError, ImapPoller, Mailbox, parse_imap
from streams.mail.inbound.maildir import Maildir
from streams.mail.inbound.polling import MailboxPoller
from tests.mail.bounces.dovecot import CERTIFICATE, PASSWORD, Dovecot, installed, running
from tests.mail.bounces.harness import IntakeHarness, bounce, harness


@pytest.fixture
async def at(tmp_path: Path) -> IntakeHarness:
    return await harness(tmp_path / "returned")


@pytest.fixture
def box(tmp_path: Path) -> mailbox.Maildir:
    return mailbox.Maildir(tmp_path / "box", create=True)


def path(box: mailbox.Maildir) -> Path:
    return Path(str(box._path))  # type: ignore[attr-defined]


def seen(box: mailbox.Maildir) -> list[bool]:
    return [message.get_subdir() == "cur" and "S" in message.get_flags() for message in box]


async def test_a_maildir(at: IntakeHarness, box: mailbox.Maildir) -> None:
    maildir = Maildir(path(box), at.intake)
    assert await maildir.poll() == 0
    box.add(bounce())
    box.add(bounce("someone@else.example"))
    assert await maildir.poll() == 2
    assert [each["customer"] for each in at.told] == ["anna"]
    assert len(at.kept) == 1
    assert seen(box) == [True, True]
    assert await maildir.poll() == 0


async def test_a_maildir_stays_unseen_until_the_log_has_it(
    at: IntakeHarness, box: mailbox.Maildir
) -> None:
    maildir = Maildir(path(box), at.intake)
    box.add(bounce())
    at.log.fault = lambda *_: 0
    with pytest.raises(LogError):
        await maildir.poll()
    assert seen(box) == [False]
    at.log.fault = lambda *_: None
    await maildir.poll()
    assert (len(at.told), seen(box)) == (1, [True])


async def test_a_maildir_goes_on_where_there_is_no_room_for_a_copy(
    tmp_path: Path, box: mailbox.Maildir
) -> None:
    """A message for a person still lies there; those behind it are read."""
    at = await harness(tmp_path / "returned", most=1)
    box.add(bounce("someone@else.example"))
    box.add(bounce())
    assert await Maildir(path(box), at.intake).poll() == 2
    assert (len(at.told), at.kept, seen(box)) == (1, [], [True, True])
    assert at.counted.seen["maildir", "hard", "full"] == 1
    assert at.counted.seen["maildir", "failed"] == 1


async def test_a_crash_after_the_log_repeats_the_same_id(
    at: IntakeHarness, box: mailbox.Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir = Maildir(path(box), at.intake)
    box.add(bounce())
    with monkeypatch.context() as crashing:
        crashing.setattr(Maildir, "_mark", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await maildir.poll()
    await maildir.poll()
    first, again = at.told
    assert first == again


def test_no_maildir(at: IntakeHarness, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no maildir"):
        Maildir(tmp_path, at.intake)


async def test_a_watch_goes_on_after_a_failure(at: IntakeHarness, box: mailbox.Maildir) -> None:
    pauses: asyncio.Queue[float] = asyncio.Queue()
    go_on = asyncio.Semaphore(0)

    async def pause(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await go_on.acquire()

    box.add(bounce())
    at.log.fault = lambda *_: 0
    watch = MailboxPoller(
        Maildir(path(box), at.intake), "maildir", at.counted, every=5, pause=pause
    )
    watch.start()
    assert await pauses.get() == 10
    go_on.release()
    assert await pauses.get() == 20
    at.log.fault = lambda *_: None
    go_on.release()
    assert await pauses.get() == 5
    await watch.stop()
    assert len(at.told) == 1
    assert at.counted.seen["maildir", "failed"] == 2


# IMAP.


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    if not installed():
        pytest.skip("NO IMAP SERVER: apt install dovecot-imapd, or the poller goes untested")
    with running() as server:
        yield server


@pytest.fixture
def server(dovecot: Dovecot) -> Dovecot:
    dovecot.empty()
    return dovecot


def parsed(server: Dovecot, scheme: str = "imaps", done: str = "") -> Mailbox:
    port = server.tls if scheme == "imaps" else server.plain
    url = f"{scheme}://shop:{quote(PASSWORD, safe='')}@localhost:{port}/INBOX"
    return parse_imap(url, done=done, ca_file=CERTIFICATE)


@pytest.mark.parametrize("scheme", ["imaps", "imap"])
async def test_imap(server: Dovecot, at: IntakeHarness, scheme: str) -> None:
    """`imap` begins in the clear and goes on with STARTTLS."""
    poller = ImapPoller(parsed(server, scheme), at.intake)
    assert await poller.poll() == 0
    server.deliver(bounce(), bounce("someone@else.example"))
    assert await poller.poll() == 2
    assert [each["customer"] for each in at.told] == ["anna"]
    assert len(at.kept) == 1
    assert (server.count("INBOX", "SEEN"), server.count("INBOX", "UNSEEN")) == (2, 0)
    assert await poller.poll() == 0


async def test_imap_moves_what_is_done(server: Dovecot, at: IntakeHarness) -> None:
    server.deliver(bounce())
    await ImapPoller(parsed(server, done="Fatti"), at.intake).poll()
    assert (server.count("INBOX", "ALL"), server.count("Fatti", "SEEN")) == (0, 1)


async def test_imap_marks_nothing_before_the_log_has_it(server: Dovecot, at: IntakeHarness) -> None:
    server.deliver(bounce())
    at.log.fault = lambda *_: 0
    with pytest.raises(LogError):
        await ImapPoller(parsed(server, done="Fatti"), at.intake).poll()
    assert server.count("INBOX", "UNSEEN") == 1
    at.log.fault = lambda *_: None
    await ImapPoller(parsed(server), at.intake).poll()
    assert (len(at.told), server.count("INBOX", "UNSEEN")) == (1, 0)


async def test_imap_does_not_hide_what_it_can_not_do(server: Dovecot, at: IntakeHarness) -> None:
    server.deliver(bounce())
    with pytest.raises(ImapError, match="MOVE"):
        await ImapPoller(parsed(server, done="Nirgendwo"), at.intake).poll()
    port = server.tls
    wrong = parse_imap(f"imaps://shop:wrong@localhost:{port}", ca_file=CERTIFICATE)
    with pytest.raises(ImapError, match=r"(?i)auth"):
        await ImapPoller(wrong, at.intake).poll()
    stranger = parse_imap(f"imaps://shop:wrong@localhost:{port}")
    with pytest.raises(ImapError, match="certificate"):
        await ImapPoller(stranger, at.intake).poll()
    nobody = parse_imap("imaps://shop:wrong@localhost:1")
    with pytest.raises(ImapError, match="refused"):
        await ImapPoller(nobody, at.intake).poll()


async def test_imap_that_hangs_up_in_between(at: IntakeHarness) -> None:
    """After the message was sent and before it could be marked: it comes again, and counts once."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        message = bounce().replace(b"\n", b"\r\n")
        while line := await reader.readline():
            tag, command, *rest = line.split()
            if command == b"UID":
                command = rest[0].upper()
            if command == b"STORE":
                break
            writer.write(
                {
                    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
                    b"SEARCH": b"* SEARCH 7\r\n",
                    b"FETCH": b"* 1 FETCH (UID 7 BODY[]<0> {%d}\r\n%b)\r\n"
                    % (len(message), message),
                }.get(command.upper(), b"")
                + tag
                + b" OK done\r\n"
            )
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    poller = ImapPoller(parse_imap(f"imap://shop:x@127.0.0.1:{port}"), at.intake)
    for _ in range(2):
        with pytest.raises(ImapError):
            await poller.poll()
    first, again = at.told
    assert first["id"] == again["id"]
    server.close()


def test_a_password_is_not_sent_in_the_clear() -> None:
    for url in (
        "http://a:b@c",
        "imaps://host",
        "imaps://a@host",
        "imaps://a:b@",
        "imaps://a:b@h:x",
    ):
        with pytest.raises(ValueError, match=r"expected imaps://USER:PASSWORD@HOST"):
            parse_imap(url)
    assert parse_imap("imaps://a%40b:c%2Fd@h/Rimbalzi%202026") == Mailbox(
        host="h", port=993, tls=True, username="a@b", password="c/d", folder="Rimbalzi 2026"
    )


async def test_no_tls_no_password(at: IntakeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        while line := await reader.readline():
            said.append(line)
            writer.write(b"* CAPABILITY IMAP4rev1\r\n" + line.split()[0] + b" OK done\r\n")

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr("streams.mail.inbound.imap.LOOPBACK", frozenset())
    with pytest.raises(ImapError, match="offers no TLS"):
        await ImapPoller(parse_imap(f"imap://shop:secret@127.0.0.1:{port}"), at.intake).poll()
    assert not any(b"secret" in line for line in said)
    server.close()
