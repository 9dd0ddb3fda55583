"""Mailboxes are grouped by who runs them, whatever their domain: the DNS says so."""

from __future__ import annotations

import asyncio

import pytest

from agents.mail.providers import MOST_LEARNED, Providers, provider_of_host
from schemas.records import Record
from streams.clock import VirtualClock
from streams.mail.mail_hosts import KNOWN_MS, PAUSE_MS, UNKNOWN_MS, MailHosts
from tests.mail.mailshop import shop
from tests.mail.samples import START, notify, record, send
from tests.mail.servers import scripted
from tests.nameserver import NameServer, nameserver

GOOGLE = {"MX": ["5 alt1.aspmx.l.google.com.", "1 aspmx.l.google.com."]}
ZONE = {
    "officina.it": GOOGLE,
    "studio.it": {"MX": ["0 studio-it.mail.protection.outlook.com."]},
    "cantina.it": {"MX": ["10 mx.aruba.it."]},
    "bar.it": {"MX": ["20 aspmx.l.google.com.", "10 mail.bar.it."]},
    "nulla.it": {"MX": ["0 ."]},
    "solo-a.it": {"A": ["192.0.2.1"]},
    "xn--caff-8oa.it": GOOGLE,
}


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("aspmx.l.google.com", "google"),
        ("ALT4.ASPMX.L.GOOGLE.COM.", "google"),
        ("aspmx2.googlemail.com.", "google"),
        ("smtp.google.com", "google"),
        ("acme-it.mail.protection.outlook.com.", "microsoft"),
        ("acme-it.a-v1.mx.microsoft.", "microsoft"),
        ("mx-eu.mail.am0.yahoodns.net.", "yahoo"),
        ("mx01.mail.icloud.com.", "apple"),
        ("smtp-in.libero.it.", "italiaonline"),
        ("mx.aruba.it.", "aruba"),
        ("mail.protonmail.ch.", "proton"),
        ("mail.notgoogle.com", "other"),
        ("google.com.evil.example", "other"),
        (".", "other"),
        ("", "other"),
    ],
)
def test_who_runs_a_mail_server(host: str, provider: str) -> None:
    assert provider_of_host(host) == provider


def commands(*addresses: str) -> list[Record]:
    return [record(send(f"m{n}", email=each), n) for n, each in enumerate(addresses)]


async def taught(server: NameServer, *addresses: str) -> list[str]:
    providers = Providers()
    hosts = MailHosts(providers, VirtualClock(START), resolver=server.resolver(), max_wait=5)
    await hosts.learn(commands(*addresses))
    await hosts.close()
    return [providers.of(each) for each in addresses]


async def test_the_best_server_of_a_domain_decides() -> None:
    async with nameserver(ZONE) as server:
        assert await taught(
            server, "a@officina.it", "b@Studio.IT", "c@cantina.it", "d@bar.it", "e@nulla.it",
            "f@solo-a.it", "g@nobody.it", "h@caffè.it",
        ) == [
            "google", "microsoft", "aruba", "other", "other", "other", "other", "google",
        ]  # fmt: skip


async def test_nobody_is_asked_about_what_is_known_or_reserved() -> None:
    async with nameserver(ZONE) as server:
        found = await taught(
            server, "a@gmail.com", "b@shop.example", "c@host.local", "nonsense", "d@localhost",
        )  # fmt: skip
        assert found == ["google", "other", "other", "other", "other"]
        assert not server.asked


async def test_webhooks_have_no_domain_to_ask_about() -> None:
    async with nameserver(ZONE) as server:
        hosts = MailHosts(Providers(), VirtualClock(START), resolver=server.resolver())
        body = {"email": 7, "note": "x"}
        await hosts.learn([record(notify("n", url="https://officina.it/hook", body=body), 0)])
        assert not server.asked


async def test_each_domain_is_asked_about_once_a_day() -> None:
    clock, providers = VirtualClock(START), Providers()
    zone = dict(ZONE)
    async with nameserver(zone) as server:
        hosts = MailHosts(providers, clock, resolver=server.resolver(), max_wait=5)
        for _ in range(3):
            await hosts.learn(commands("a@officina.it", "b@officina.it"))
        assert server.asked["officina.it", "MX"] == 1
        zone["officina.it"] = ZONE["studio.it"]  # it moves
        clock.advance(START + KNOWN_MS - 1)
        await hosts.learn(commands("a@officina.it"))
        assert providers.of("a@officina.it") == "google"
        clock.advance(START + KNOWN_MS)
        await hosts.learn(commands("a@officina.it"))
        assert providers.of("a@officina.it") == "microsoft"


async def test_a_name_server_that_can_not_say_is_asked_again_soon() -> None:
    clock, providers = VirtualClock(START), Providers()
    async with nameserver(ZONE) as server:
        server.broken = True
        resolver = server.resolver()
        resolver.lifetime = 0.3  # it goes on trying for so long
        hosts = MailHosts(providers, clock, resolver=resolver, max_wait=5)
        await hosts.learn(commands("a@officina.it"))
        assert providers.of("a@officina.it") == "other"
        server.broken = False
        clock.advance(START + UNKNOWN_MS)
        await hosts.learn(commands("a@officina.it"))
        assert providers.of("a@officina.it") == "google"


async def test_a_dns_that_is_away_holds_mails_back_once_a_minute() -> None:
    clock, providers = VirtualClock(START), Providers()
    async with nameserver(ZONE) as server:
        server.silent = True
        hosts = MailHosts(providers, clock, resolver=server.resolver(), max_wait=0.05)
        await hosts.learn(commands("a@officina.it"))
        asked = server.asked.total()
        await hosts.learn(commands("b@studio.it"))
        clock.advance(START + PAUSE_MS - 1)
        await hosts.learn(commands("b@studio.it"))
        assert ("studio.it", "MX") not in server.asked
        assert asked
        clock.advance(START + PAUSE_MS)
        await hosts.learn(commands("b@studio.it"))
        assert ("studio.it", "MX") in server.asked
        await hosts.close()


async def test_an_answer_that_comes_late_is_of_use_to_the_next_mails() -> None:
    there = asyncio.Event()

    class Listening(Providers):
        def learn(self, domain: str, provider: str) -> None:
            super().learn(domain, provider)
            there.set()

    providers = Listening()
    async with nameserver(ZONE) as server:
        clock = VirtualClock(START)
        hosts = MailHosts(providers, clock, resolver=server.resolver(), max_wait=0)
        await hosts.learn(commands("a@officina.it"))
        assert providers.of("a@officina.it") == "other"
        await asyncio.wait_for(there.wait(), 10)
        assert providers.of("a@officina.it") == "google"


async def test_a_mailer_knows_it_before_it_queues_a_mail() -> None:
    async with (
        nameserver(ZONE) as server,
        scripted() as relay,
        shop(relay.url, resolver=server.resolver()) as here,
    ):
        await here.take(send("a", email="a@officina.it"), send("b", email="b@bar.it"))
        await here.until("mail.sent", 2)
        assert here.metrics.seen["provider", "google", "sent"] == 1
        assert here.metrics.seen["provider", "other", "sent"] == 1


def test_what_was_learned_has_a_bound_and_a_shops_word_comes_first() -> None:
    providers = Providers({"acme.it": "microsoft"})
    for number in range(MOST_LEARNED + 1):
        providers.learn(f"d{number}.it", "google")
    assert (providers.of("a@d0.it"), providers.of("a@d1.it")) == ("other", "google")
    providers.learn("acme.it", "google")
    assert providers.of("a@acme.it") == "microsoft"
