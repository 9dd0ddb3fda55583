"""Does what comes back find its way? Nobody would notice if it did not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from streams.mail.inbound.listener import Listener
from streams.operate.check import CheckStatus
from streams.operate.returns import check_bounce_domain, check_inbound_channels
from streams.settings import Settings
from streams.settings.values import Address
from tests.mail.bounces.dovecot import CERTIFICATE, PASSWORD, Dovecot, installed, running
from tests.mail.bounces.harness import bounce, harness
from tests.nameserver import Records, nameserver

DOMAIN = "rimbalzi.shop.example"
SPF = '"v=spf1 include:relay.example -all"'


def settings(**given: Any) -> Settings:
    return Settings(broker="kafka://kafka-1:9092", mail_from_address="n@shop.example", **given)


async def test_no_bounce_domain() -> None:
    check = await check_bounce_domain(settings())
    assert (check.status, check.text) == (
        CheckStatus.OK,
        "none is set; bounces go to n@shop.example",
    )


@pytest.mark.parametrize(
    ("records", "status", "said"),
    [
        ({"MX": ["20 b.example.", "10 a.example."], "TXT": [SPF]}, CheckStatus.OK,
         f"bounces to {DOMAIN} go to a.example, b.example"),
        ({"A": ["192.0.2.1"], "TXT": ['"something else"', SPF]}, CheckStatus.OK, f"go to {DOMAIN}"),
        ({"MX": ["0 ."], "TXT": [SPF]}, CheckStatus.FAIL, "no mail server"),
        ({"TXT": [SPF]}, CheckStatus.FAIL, "no mail server"),
        ({"MX": ["10 a.example."]}, CheckStatus.WARN, "no SPF record"),
        ({"MX": ["10 a.example."], "TXT": ['"v=spf10"']}, CheckStatus.WARN, "no SPF record"),
        (None, CheckStatus.FAIL, "no mail server"),
    ],
)  # fmt: skip
async def test_what_the_dns_says(
    records: dict[str, list[str]] | None, status: CheckStatus, said: str
) -> None:
    zone: Records = {DOMAIN: records} if records is not None else {}
    async with nameserver(zone) as server:
        given = settings(mail_bounce_domain=DOMAIN)
        check = await check_bounce_domain(given, server.resolver())
    assert check.status is status
    assert said in check.text
    assert bool(check.remedy) == (status is not CheckStatus.OK)


async def test_a_name_server_that_is_away() -> None:
    async with nameserver({}) as server:
        server.broken = True
        given = settings(mail_bounce_domain=DOMAIN)
        check = await check_bounce_domain(given, server.resolver())
    assert check.status is CheckStatus.WARN
    assert "can't be asked" in check.text


@pytest.mark.parametrize("domain", ["bounces.example", "myshop.example"])
async def test_a_bounce_domain_of_somebody_else(domain: str) -> None:
    check = await check_bounce_domain(settings(mail_bounce_domain=domain))
    assert (check.status, "DMARC" in check.text) == (CheckStatus.WARN, True)


async def test_nothing_is_read_here() -> None:
    (check,) = await check_inbound_channels(settings(mail_bounce_domain=DOMAIN))
    assert check.status is CheckStatus.OK  # another worker may
    alone = Settings(mail_from_address="n@shop.example", mail_bounce_domain=DOMAIN)
    (check,) = await check_inbound_channels(alone)
    assert (check.status, "IMAP_URL" in check.remedy) == (CheckStatus.WARN, True)


async def test_the_listener(tmp_path: Path) -> None:
    listener = Listener((await harness(tmp_path)).intake)
    port = await listener.start("127.0.0.1", 0)
    given = settings(inbound_smtp_bind=Address("127.0.0.1", port), mail_bounce_domain=DOMAIN)
    (check,) = await check_inbound_channels(given)
    assert (check.status, check.text) == (CheckStatus.OK, f"127.0.0.1:{port} answers")
    await listener.stop()
    (check,) = await check_inbound_channels(given)
    assert (check.status, "is free" in check.text) == (CheckStatus.OK, True)


async def test_a_listener_that_can_not_be() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (check,) = await check_inbound_channels(
            settings(inbound_smtp_bind=Address("127.0.0.1", port))
        )
    assert (check.status, "in use" in check.text) == (CheckStatus.FAIL, True)


async def test_a_maildir(tmp_path: Path) -> None:
    (check,) = await check_inbound_channels(settings(inbound_maildir=tmp_path))
    assert (check.status, "no maildir" in check.text) == (CheckStatus.FAIL, True)
    for part in ("cur", "new", "tmp"):
        (tmp_path / part).mkdir()
    (check,) = await check_inbound_channels(settings(inbound_maildir=tmp_path))
    assert check.status is CheckStatus.OK


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    if not installed():
        pytest.skip("NO IMAP SERVER: apt install dovecot-imapd, or its check goes untested")
    with running() as server:
        yield server


def mailbox(dovecot: Dovecot, password: str = PASSWORD, folder: str = "INBOX") -> str:
    return f"imaps://shop:{quote(password, safe='')}@localhost:{dovecot.tls}/{folder}"


async def test_an_imap_mailbox_is_looked_into_and_left_as_it_is(dovecot: Dovecot) -> None:
    dovecot.empty()
    dovecot.deliver(bounce())
    given = settings(inbound_imap_url=mailbox(dovecot), inbound_imap_ca_file=CERTIFICATE,
                     inbound_imap_done="Fatti")  # fmt: skip
    (check,) = await check_inbound_channels(given)
    assert check.status is CheckStatus.OK
    assert check.text.endswith("lets us into INBOX; waiting: 1 message")
    assert dovecot.count("INBOX", "UNSEEN") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "sbagliata"}, "uth"),
        ({"folder": "Nirgendwo"}, "Nirgendwo"),
        ({"done": "Nessuno"}, "Nessuno"),
        ({"ca_file": None}, "certificate"),
    ],
)
async def test_an_imap_mailbox_that_lets_nobody_in(
    dovecot: Dovecot, changes: dict[str, Any], said: str
) -> None:
    done, ca_file = changes.pop("done", ""), changes.pop("ca_file", CERTIFICATE)
    given = settings(inbound_imap_url=mailbox(dovecot, **changes), inbound_imap_done=done,
                     inbound_imap_ca_file=ca_file)  # fmt: skip
    (check,) = await check_inbound_channels(given)
    assert check.status is CheckStatus.FAIL
    assert said in check.text
    assert "sbagliata" not in check.text + check.remedy
