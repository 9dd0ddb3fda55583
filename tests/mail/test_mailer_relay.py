"""Relay URLs, TLS and login over real connections."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.mail.replies import RelayAccepted
from streams.clock import VirtualClock
from streams.mail.relay import RelayUrlError, parse_relay
from streams.mail.smtp import RelayDown, SmtpPool
from streams.mail.smtp_transaction import Connection, SmtpLimits
from tests.certificates import self_signed
from tests.mail.doubles import CountingMetrics
from tests.mail.mailshop import COMPOSER
from tests.mail.samples import START, send
from tests.mail.servers import AUTH, CERTIFICATE, EHLO, STARTTLS, ScriptedRelay, scripted

CA = f"ca={CERTIFICATE}"
TLS_OFFERED = "250-relay.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"
AUTH_OFFERED = "250-relay.test\r\n250 AUTH PLAIN"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    pool = SmtpPool(
        parse_relay(url),
        clock=VirtualClock(START),
        metrics=CountingMetrics(),
        limits=SmtpLimits(connect=2.0),
    )
    try:
        async with pool.connection() as connection:
            yield connection
    finally:
        await pool.close()


async def problem(url: str) -> tuple[str, str]:
    """Return reason and detail of a relay that can't be used."""
    with pytest.raises(RelayDown) as down:
        async with connected(url):
            pass
    return down.value.reason, down.value.detail


async def delivers(url: str, relay: ScriptedRelay) -> None:
    async with connected(url) as connection:
        for number in range(1, 5):  # a connection is for many mails, encrypted or not
            mail = COMPOSER.compose(send(f"m{number}"))
            assert isinstance(await connection.deliver(mail), RelayAccepted)
    assert len(relay.mails) == 4


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://relay.example", 25, "opportunistic"),
        ("smtp://relay.example?starttls=required", 25, "required"),
        ("smtp://relay.example:2525?starttls=off", 2525, "off"),
        ("smtp+starttls://relay.example", 587, "required"),
        ("smtps://u:p@relay.example", 465, "implicit"),
        ("smtp://127.0.0.1:1025", 1025, "off"),
        ("smtp://localhost?starttls=opportunistic", 25, "opportunistic"),
    ],
)
def test_a_url_says_how_to_talk(url: str, port: int, tls: str) -> None:
    relay = parse_relay(url)
    assert (relay.port, relay.tls) == (port, tls)


def test_a_pool_asks_of_a_relay_what_relays_give() -> None:
    limits = SmtpLimits()
    assert (limits.connections, limits.mails) == (10, 100)
    assert 15 <= limits.idle <= 60
    assert (limits.connect, limits.data) == (30, 60)


def test_user_and_password_are_decoded_and_never_shown() -> None:
    relay = parse_relay("smtps://us%40er:p%2Fw@relay.example")
    assert (relay.username, relay.password) == ("us@er", "p/w")
    assert "p/w" not in repr(relay)
    assert relay.name == "relay.example:465"


@pytest.mark.parametrize(
    "url",
    [
        "http://relay.example",
        "smtp://",
        "smtp://relay.example:port",
        "smtp://relay.example?starttls=maybe",
        "smtp://relay.example?ca=/no/such/file",
        "smtp://relay.example?tls=on",
        "smtp://u:secret@relay.example/path",
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(RelayUrlError) as error:
        parse_relay(url)
    assert "secret" not in str(error.value)


async def test_starttls_is_used_where_it_is_offered() -> None:
    async with scripted({EHLO: [TLS_OFFERED]}) as relay:
        await delivers(f"smtp://localhost:{relay.port}?starttls=opportunistic&{CA}", relay)
    assert relay.encrypted[0].startswith("EHLO")
    assert any(each.startswith("MAIL") for each in relay.encrypted)


async def test_without_starttls_an_opportunistic_client_goes_on() -> None:
    async with scripted() as relay:
        await delivers(f"smtp://localhost:{relay.port}?starttls=opportunistic&{CA}", relay)
    assert not relay.encrypted


async def test_smtps_is_encrypted_from_the_first_byte() -> None:
    async with scripted(smtps=True) as relay:
        await delivers(f"smtps://localhost:{relay.port}?{CA}", relay)
    assert relay.encrypted == relay.commands


async def test_required_starttls_that_is_not_offered_is_an_error() -> None:
    async with scripted() as relay:
        reason, detail = await problem(f"smtp+starttls://localhost:{relay.port}")
    assert reason == "tls"
    assert "STARTTLS" in detail
    assert not any(each.startswith("MAIL") for each in relay.commands)


async def test_starttls_that_is_offered_and_refused_is_an_error() -> None:
    script = {EHLO: [TLS_OFFERED], STARTTLS: ["454 4.7.0 TLS not available"]}
    async with scripted(script) as relay:
        reason, detail = await problem(f"smtp+starttls://localhost:{relay.port}?{CA}")
    assert (reason, detail) == ("tls", "454 4.7.0 TLS not available")


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_an_unknown_certificate_is_an_error(scheme: str) -> None:
    async with scripted({EHLO: [TLS_OFFERED]}, smtps=scheme == "smtps") as relay:
        reason, detail = await problem(f"{scheme}://localhost:{relay.port}")
    assert reason == "tls"
    assert "CERTIFICATE_VERIFY_FAILED" in detail or "certificate verify failed" in detail


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_certificate_for_another_name_is_an_error(scheme: str) -> None:
    async with scripted({EHLO: [TLS_OFFERED]}, smtps=scheme == "smtps") as relay:
        reason, detail = await problem(f"{scheme}://127.0.0.1:{relay.port}?{CA}")
    assert reason == "tls"
    assert "127.0.0.1" in detail


async def test_a_login_that_is_refused_is_an_error() -> None:
    script = {EHLO: [AUTH_OFFERED], AUTH: ["535 5.7.8 wrong password"]}
    async with scripted(script) as relay:
        reason, detail = await problem(f"smtp://u:secret@localhost:{relay.port}")
    assert (reason, detail) == ("auth", "535 5.7.8 wrong password")


async def test_a_login_comes_before_the_mail() -> None:
    async with scripted({EHLO: [AUTH_OFFERED]}) as relay:
        await delivers(f"smtp://u:secret@localhost:{relay.port}", relay)
    verbs = [each.split()[0] for each in relay.commands]
    assert verbs.index("AUTH") < verbs.index("MAIL")


async def test_a_new_password_is_used_at_once_and_by_every_connection() -> None:
    """One that is idle says goodbye, one that is busy delivers its mail first; and a relay that had
    refused the old one is not waited for."""
    async with scripted({EHLO: [AUTH_OFFERED] * 9}) as relay:
        url = f"smtp://u:{{}}@localhost:{relay.port}"
        pool = SmtpPool(parse_relay(url.format("old")), clock=VirtualClock(START),
                        metrics=CountingMetrics(), limits=SmtpLimits(connect=2.0))  # fmt: skip
        try:
            async with pool.connection() as idle:
                async with pool.connection() as busy:
                    pass
                pool.exchange(parse_relay(url.format("new")))
                mail = COMPOSER.compose(send("m1"))
                assert isinstance(await idle.deliver(mail), RelayAccepted)
            async with pool.connection() as third:
                assert third is not idle
                assert third is not busy
            pool.down("auth", "535 5.7.8 wrong password")
            pool.exchange(parse_relay(url.format("newer")))
            assert pool.retry_at <= START
            async with pool.connection():
                pass
        finally:
            await pool.close()
    logins = [each.split()[-1] for each in relay.commands if each.startswith("AUTH")]
    passwords = [b64decode(each).split(b"\0")[-1] for each in logins]
    assert passwords == [b"old", b"old", b"new", b"newer"]


async def test_certificates_are_trusted_as_their_file_says_now(tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(self_signed("another"))
    async with scripted(smtps=True) as relay:
        parsed = parse_relay(f"smtps://localhost:{relay.port}?ca={trusted}")
        pool = SmtpPool(parsed, clock=VirtualClock(START), metrics=CountingMetrics())
        try:
            with pytest.raises(RelayDown, match="tls"):
                async with pool.connection():
                    pass
            trusted.write_bytes(CERTIFICATE.read_bytes())
            pool.exchange(parsed)
            async with pool.connection():
                pass
        finally:
            await pool.close()


async def test_a_password_is_not_sent_in_the_clear() -> None:
    """The machine at the other end of the network may not be the relay: it offers no TLS."""
    relay_elsewhere = parse_relay("smtp://u:secret@relay.example")
    assert not relay_elsewhere.plain_password
    assert parse_relay("smtp://u:secret@relay.example?starttls=off").plain_password
    async with scripted({EHLO: [AUTH_OFFERED]}) as relay:
        url = f"smtp://u:secret@0.0.0.0:{relay.port}"  # not called loopback, and reachable
        reason, _ = await problem(url)
    assert reason == "tls"
    assert not any(each.startswith("AUTH") for each in relay.commands)
