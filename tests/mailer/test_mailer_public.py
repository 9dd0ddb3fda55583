"""Unsubscribing over HTTP: a GET changes nothing, a POST does, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from aiohttp import ClientSession, FormData

from agents.mailer.tokens import Tokens, Unsubscribe
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.log import LogUnavailable
from streams.mail.public import PublicSite
from streams.partitioner import partition_of
from tests.mailer.doubles import CountingMetrics, MemoryLog
from tests.mailer.samples import SETTINGS, START

TOKENS = Tokens(SETTINGS.signing_keys)
TOKEN = TOKENS.make(Unsubscribe("u1", "m1"))
PARTITION = partition_of(b"u1", 4)


class Visit(NamedTuple):
    log: MemoryLog
    metrics: CountingMetrics
    session: ClientSession
    url: str


@asynccontextmanager
async def visit(log: MemoryLog | None = None) -> AsyncIterator[Visit]:
    clock = VirtualClock(START)
    log = log or MemoryLog(clock, partitions=4)
    metrics = CountingMetrics()
    site = PublicSite(
        log=log, tokens=TOKENS, shop_name="Bottega <Verdi>", clock=clock, metrics=metrics
    )
    port = await site.start("127.0.0.1", 0)
    async with ClientSession() as session:
        yield Visit(log, metrics, session, f"http://127.0.0.1:{port}/u/")
    await site.stop()
    await site.stop()


async def test_a_get_asks_in_the_visitors_language_and_changes_nothing() -> None:
    async with visit() as here:
        for language, words in [
            ("en-GB,en;q=0.9", "Unsubscribe"),
            ("de,it", "Annulla"),
            ("", "Annulla"),
        ]:
            headers = {"Accept-Language": language}
            async with here.session.get(here.url + TOKEN, headers=headers) as response:
                page = await response.text()
            assert response.status == 200
            assert words in page
            assert 'method="post"' in page
            assert "Bottega &lt;Verdi&gt;" in page
            assert response.headers["Cache-Control"] == "no-store"
        async with here.session.head(here.url + TOKEN) as response:
            assert response.status == 200
    assert not here.log.kept


@pytest.mark.parametrize("multipart", [False, True])
async def test_one_click_unsubscribes(multipart: bool) -> None:
    form = FormData({"List-Unsubscribe": "One-Click"}, default_to_multipart=multipart)
    async with visit() as here:
        async with here.session.post(here.url + TOKEN, data=form) as response:
            assert response.status == 200
        (kept,) = here.log.events(PARTITION)
    event = parse_record(kept)
    assert (event.id, event.type, event.customer) == ("m1/unsubscribed", "mail.unsubscribed", "u1")
    assert (event.data.command_id, event.data.reason) == ("m1", "one_click")
    assert here.metrics.seen["unsubscribed", "one_click"] == 1


async def test_the_page_unsubscribes_and_a_second_time_has_the_same_id() -> None:
    async with visit() as here:
        for _ in range(2):
            async with here.session.post(here.url + TOKEN) as response:
                assert "Iscrizione annullata" in await response.text()
        events = [parse_record(each) for each in here.log.events(PARTITION)]
    assert {(event.id, event.data.reason) for event in events} == {("m1/unsubscribed", "page")}


@pytest.mark.parametrize("token", ["nonsense", TOKEN[:-2], "k9" + TOKEN[2:], "a/b", "%00", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_bad_token_is_a_page_that_says_so(token: str, method: str) -> None:
    async with visit() as here, here.session.request(method, here.url + token) as response:
        assert response.status == 404
        assert "non è valido" in await response.text()
    assert not here.log.kept


class BrokenLog(MemoryLog):
    async def append(self, *_: object) -> int:
        raise LogUnavailable("no broker")


async def test_a_log_that_is_away_is_admitted() -> None:
    broken = BrokenLog(VirtualClock(START), 4)
    async with visit(broken) as here, here.session.post(here.url + TOKEN) as response:
        assert response.status == 503
    assert not here.metrics.seen


async def test_a_huge_body_does_no_harm() -> None:
    async with visit() as here:
        async with here.session.post(here.url + TOKEN, data={"x": "y" * 100_000}) as response:
            assert response.status == 200
        assert len(here.log.events(PARTITION)) == 1
