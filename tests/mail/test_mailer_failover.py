"""Several relays, turns and lanes over real connections: who goes next, and which way."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from agents.mail.providers import OTHER
from agents.mail.queue.lanes import Lane
from streams.clock import VirtualClock
from streams.mail.relay import RelayUrlError, parse_relays
from streams.mail.relay_dispatcher import Permit, RelayDispatcher
from streams.mail.smtp_transaction import SmtpLimits
from tests.mail.doubles import OneWay
from tests.mail.mailshop import TINY, shop
from tests.mail.samples import HOUR, START, pause, resume, send
from tests.mail.servers import (
    DATA,
    DOT,
    DROP,
    EHLO,
    GREETING,
    MAIL,
    RCPT,
    SILENCE,
    ScriptedRelay,
    scripted,
)
from tests.nameserver import nameserver

DEAD = "smtp://127.0.0.1:1"
SERIES = Lane("automated", OTHER)
RECEIPT = Lane("transactional", OTHER)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("smtp://a", ["a:25"]),
        ("smtp://a smtps://b", ["a:25", "b:465"]),
        ("smtp://a:26,smtp+starttls://b", ["a:26", "b:587"]),
        (" smtp://a ,\n smtp://b ", ["a:25", "b:25"]),
        ("smtp://u:p,w@a,smtp://b", ["a:25", "b:25"]),
    ],
)
def test_several_relays_in_one_setting(text: str, names: list[str]) -> None:
    assert [relay.name for relay in parse_relays(text)] == names


@pytest.mark.parametrize("text", ["", "smtp://a http://b", "smtp://a smtp://a:25"])
def test_wrong_lists_of_relays(text: str) -> None:
    with pytest.raises(RelayUrlError):
        parse_relays(text)


async def test_the_first_relay_is_preferred() -> None:
    async with scripted() as first, scripted() as second, shop(first.url, second.url) as here:
        await here.take(*(send(f"m{n}") for n in range(5)))
        await here.until("mail.sent", 5)
    assert (len(first.mails), len(second.mails)) == (5, 0)


async def test_the_next_relay_takes_over_at_once_and_says_so() -> None:
    async with scripted() as second, shop(DEAD, second.url) as here:
        await here.take(*(send(f"m{n}") for n in range(20)))
        sent = await here.until("mail.sent", 20)
    assert {each["relay"] for each in sent} == {f"127.0.0.1:{second.port}"}
    assert {each["attempt"] for each in sent} == {1}
    assert len(second.mails) == 20
    assert here.log.types() == ["mail.sent"] * 20  # nobody was told to wait


@pytest.mark.parametrize("stage", [GREETING, EHLO])
async def test_the_first_relay_is_used_again_once_it_is_back(stage: str) -> None:
    limits = dataclasses.replace(TINY, connections=2)
    async with (
        scripted({stage: [DROP, DROP]}) as first,
        scripted() as second,
        shop(first.url, second.url, limits=limits) as here,
    ):
        await here.take(send("m1"))
        await here.until("mail.sent", 1)
        here.clock.advance(here.pool.retry_at)
        await here.take(send("m2"))
        await here.until("mail.sent", 2)
        while len(first.mails) == 0:  # at most two failures were planned
            here.clock.advance(here.pool.retry_at)
            count = len(here.outcomes("mail.sent"))
            await here.take(send(f"more{count}"))
            await here.until("mail.sent", count + 1)
    assert here.metrics.seen["relay_up",] == 1


async def test_only_one_mail_finds_out_whether_a_relay_is_back() -> None:
    """The relay hangs while it is tried: the others don't hang with it."""
    limits = SmtpLimits(connections=10, connect=0.5)
    async with (
        scripted({GREETING: [DROP, SILENCE]}) as first,
        scripted() as second,
        shop(first.url, second.url, limits=limits) as here,
    ):
        await here.take(send("m0"))
        await here.until("mail.sent", 1)
        here.clock.advance(here.pool.retry_at)
        await here.take(*(send(f"m{n}") for n in range(1, 10)))
        await here.until("mail.sent", 9)  # all but the one that tries
        assert first.connections == 2
        await here.until("mail.sent", 10)
    assert (len(first.mails), len(second.mails)) == (0, 10)


async def test_a_login_that_is_refused_sends_mails_to_the_next_relay() -> None:
    script = {MAIL: ["530 5.7.0 log in first"]}
    async with scripted(script) as first, scripted() as second, shop(first.url, second.url) as here:
        await here.take(send())
        (sent,) = await here.until("mail.sent")
    assert (sent["attempt"], len(second.mails)) == (1, 1)
    assert "mail.deferred" not in here.log.types()


async def test_marketing_in_doubt_is_tried_nowhere_else() -> None:
    script = {DOT: [DROP]}
    async with scripted(script) as first, scripted() as second, shop(first.url, second.url) as here:
        await here.take(send())
        (failed,) = await here.until("mail.failed")
        here.clock.advance(START + 30 * HOUR)
    assert failed["ambiguous"] is True
    assert (len(first.mails), len(second.mails)) == (1, 0)


async def test_a_receipt_in_doubt_goes_again_and_admits_it() -> None:
    script = {DOT: [DROP], GREETING: ["220 hello", *["421 busy"] * 9]}
    async with scripted(script) as first, scripted() as second, shop(first.url, second.url) as here:
        await here.take(send(urgent=True))
        await here.until("mail.deferred")
        here.clock.advance(START + 30_000)
        (sent,) = await here.until("mail.sent")
    assert sent["ambiguous"] is True
    assert first.mails == second.mails  # the same bytes


async def test_with_all_relays_down_mails_wait_for_the_first_to_come_back() -> None:
    limits = dataclasses.replace(TINY, connections=1)
    async with (
        scripted({GREETING: [DROP]}) as second,
        shop(DEAD, second.url, limits=limits) as here,
    ):
        await here.take(send())
        (deferred,) = await here.until("mail.deferred")
        assert deferred["reason"] == "relay_connect"
        here.clock.advance(min(pool.retry_at for pool in here.pools))
        (sent,) = await here.until("mail.sent")
    assert sent["relay"] == f"127.0.0.1:{second.port}"


async def permits(
    dispatcher: RelayDispatcher[OneWay], *lanes: Lane
) -> list[asyncio.Task[Permit[OneWay]]]:
    """Ask for turns in this order."""
    tasks = []
    for lane in lanes:
        tasks.append(asyncio.create_task(dispatcher.permit(lane)))
        await asyncio.sleep(0)
    return tasks


async def test_receipts_get_the_next_turn_and_a_cancelled_one_is_not_lost() -> None:
    dispatcher = RelayDispatcher([OneWay(1)], clock=VirtualClock(START))
    (first,) = await permits(dispatcher, SERIES)
    series, gone, receipt = await permits(dispatcher, SERIES, RECEIPT, RECEIPT)
    gone.cancel()
    (await first).end()
    (await receipt).end()
    (await series).end()
    assert gone.cancelled()
    (last,) = await permits(dispatcher, SERIES)
    (await last).end()


async def test_a_turn_given_to_someone_who_has_just_left_goes_to_the_next() -> None:
    dispatcher = RelayDispatcher([OneWay(1)], clock=VirtualClock(START))
    (first,) = await permits(dispatcher, SERIES)
    leaving, staying = await permits(dispatcher, SERIES, SERIES)
    (await first).end()  # its turn is given to `leaving`, which doesn't know yet
    leaving.cancel()
    async with asyncio.timeout(1):
        (await staying).end()


async def test_lanes_take_turns_and_a_throttled_one_waits_alone() -> None:
    clock = VirtualClock(START)
    dispatcher = RelayDispatcher([OneWay(10)], clock=clock)
    google = Lane("automated", "google")
    (first,) = await permits(dispatcher, google)
    permit = await first
    assert permit.throttled()
    permit.end()
    waiting, other = await permits(dispatcher, google, SERIES)
    (await other).end()
    assert not waiting.done()
    opens = dispatcher.opens(google, START)
    assert opens == START + 200  # five a second, half of what was assumed
    clock.advance(opens)
    (await waiting).end()


async def test_a_throttling_provider_slows_its_own_mails_and_nobody_elses() -> None:
    async with scripted({RCPT: ["450 4.2.1 too fast"]}) as relay, shop(relay.url) as here:
        await here.take(send("g0", email="a@gmail.com"))
        await here.until("mail.deferred")
        assert here.metrics.seen["throttled", "google"] == 1
        await here.take(
            *(send(f"g{n}", email=f"a{n}@gmail.com") for n in range(1, 6)),
            *(send(f"m{n}") for n in range(20)),
            send("t", urgent=True, email="t@gmail.com"),
        )
        await here.until("mail.sent", 21)
        assert not any("gmail" in each and each[0] == "a" for each in relay.recipients)
        for tick in range(1, 6):
            here.clock.advance(START + tick * 200)
            await here.until("mail.sent", 21 + tick)
    assert here.metrics.seen["provider", "google", "sent"] == 6


COMPANIES = {f"azienda{n}.it": {"MX": ["1 aspmx.l.google.com."]} for n in range(20)}


@pytest.mark.parametrize(
    ("domain", "most"),
    [("gmail.com", 4), ("outlook.com", 4), ("azienda{n}.it", 4), ("x.it", 8)],
)
async def test_a_provider_gets_no_more_connections_than_it_wants(domain: str, most: int) -> None:
    """The relay holds every mail until it has been seen how many come at once. Twenty companies
    whose mail is at Google share what Google gives."""
    held = asyncio.Event()

    class HoldingRelay(ScriptedRelay):
        async def _reply(self, stage: str, *streams: object) -> str:
            if stage == RCPT:
                self.recipients.append(stage)
                async with self.seen:
                    self.seen.notify_all()
                await held.wait()
            return await super()._reply(stage, *streams)  # type: ignore[arg-type]  # passed on

    relay = HoldingRelay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    async with (
        nameserver(COMPANIES) as names,
        shop(relay.url, resolver=names.resolver()) as here,
    ):
        addresses = [f"a{n}@{domain.format(n=n)}" for n in range(20)]
        await here.take(*(send(f"m{n}", email=each) for n, each in enumerate(addresses)))
        await relay.until(lambda: relay.recipients.count(RCPT) == most)
        for _ in range(20):
            await asyncio.sleep(0)
        assert relay.recipients.count(RCPT) == most
        await here.take(send("t", urgent=True))  # there is always room for one
        await relay.until(lambda: relay.recipients.count(RCPT) == most + 1)
        held.set()
        await here.until("mail.sent", 21)
    server.close()


@pytest.mark.parametrize("refusal", ["421 4.7.0 too many connections from you", DROP])
async def test_a_relay_that_takes_few_connections_is_full_and_not_down(refusal: str) -> None:
    class SmallRelay(ScriptedRelay):
        open, most, size = 0, 0, 3

        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.open == self.size:
                self.script[GREETING] = [refusal]
                await super().serve(reader, writer)
                return
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                await super().serve(reader, writer)
            finally:
                self.open -= 1

    relay = SmallRelay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    async with shop(relay.url) as here:
        await here.take(*(send(f"m{n}") for n in range(60)), send("t", urgent=True))
        await here.until("mail.sent", 61)
        assert here.log.types() == ["mail.sent"] * 61  # nobody was told to wait
        assert (relay.most, here.pool.concurrency.connections) == (3, 3)
        assert not any(key[0] == "relay_down" for key in here.metrics.seen)
        relay.size = 10
        for minute in range(1, 4):
            here.clock.advance(START + minute * 60_000)
            sent = len(here.outcomes("mail.sent"))
            await here.take(*(send(f"{minute}-{n}") for n in range(20)))
            await here.until("mail.sent", sent + 20)
        assert here.pool.concurrency.connections == 6
    server.close()


async def test_yahoo_gets_twenty_mails_on_one_connection() -> None:
    async with scripted() as relay, shop(relay.url, limits=SmtpLimits(connections=1)) as here:
        await here.take(*(send(f"m{n}", email=f"a{n}@yahoo.it") for n in range(45)))
        await here.until("mail.sent", 45)
        assert relay.connections == 3
        await here.take(*(send(f"x{n}") for n in range(50)))
        await here.until("mail.sent", 95)
    assert relay.connections == 3  # others may use what Yahoo has used up


async def test_a_receipt_overtakes_a_campaign_that_is_under_way() -> None:
    """How long that takes is measured by `python -m benchmarks backlog`; here it is the order."""
    async with scripted() as relay, shop(relay.url) as here:
        await here.take(*(send(f"m{n}", bulk=n % 2 == 0) for n in range(1_000)))
        await here.until("mail.sent", 50)
        before = len(relay.recipients)
        await here.take(send("t", urgent=True, email="receipt@example.com"))
        await relay.until(lambda: "receipt@example.com" in relay.recipients)
        overtaken = len(relay.recipients) - relay.recipients.index("receipt@example.com")
        assert relay.recipients.index("receipt@example.com") - before < 40
        assert overtaken < 40
        assert len(relay.recipients) < 200


async def test_a_pause_stops_a_campaign_between_two_mails() -> None:
    """The relay is at its tenth mail when the pause arrives; not one more begins after it."""
    limits = SmtpLimits(connections=1)
    async with scripted() as relay, shop(relay.url, limits=limits) as here:
        await here.take(*(send(f"m{n}") for n in range(100)))
        await here.until("mail.sent", 10)
        await here.take(pause(**{"class": "marketing"}))
        await here.metrics.until_gauge("held", 0, "paused", at_least=1)
        await here.runtime.until_idle()
        begun = len(relay.mails)
        assert here.metrics.gauges["held", 0, "paused"] == 100 - begun
        await here.take(send("t", urgent=True))
        await here.until("mail.sent", begun + 1)
        await here.take(resume())
        await here.until("mail.sent", 101)
    assert len(relay.mails) == 101
    assert here.metrics.gauges["held", 0, "paused"] == 0


async def test_a_bad_share_of_bounces_stops_marketing_and_is_reported() -> None:
    script = {RCPT: ["250 ok"] * 180 + ["550 5.1.1 no"] * 20}
    async with scripted(script) as relay, shop(relay.url) as here:
        people = ((f"m{n}", f"u{n}", f"u{n}@example.com") for n in range(230))
        await here.take(*(send(id_, customer=who, email=to) for id_, who, to in people))
        await here.metrics.until_gauge("held", 0, "reputation", at_least=1)
        await here.runtime.until_idle()
        assert here.metrics.gauges["breaker",] == 1
        assert 0 < here.metrics.gauges["held", 0, "reputation"] <= 30
        await here.take(resume())
        await here.log.until(210, "mail.sent")
        await here.runtime.until_idle()
    assert here.metrics.gauges["breaker",] == 0
    assert len(here.outcomes("mail.bounced")) == 20


async def test_data_is_not_refused_by_a_relay_that_counts_connections() -> None:
    """A refusal at DATA (Microsoft: 432 4.3.2) defers the mail; the connection stays."""
    async with scripted({DATA: ["432 4.3.2 thread limit"]}) as relay, shop(relay.url) as here:
        await here.take(send(urgent=True))
        (deferred,) = await here.until("mail.deferred")
        assert (deferred["code"], deferred["enhanced_code"]) == (432, "4.3.2")
        here.clock.advance(START + 30_000)
        await here.until("mail.sent")
    assert relay.connections == 1
