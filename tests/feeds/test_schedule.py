"""Feeds that are fetched again and again: by one worker, only what has changed, as it was when it
fails."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import generate_latest

from schemas.notation import DEFAULT_NOTATION
from schemas.time_units import HOUR_MS, MINUTE_MS
from streams.clock import VirtualClock
from streams.feeds.schedule import LOOK_MS, FeedSchedule
from streams.runtime.product_feed import read
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.feeds import FeedSource
from streams.settings.values import Address
from streams.topology import topics
from tests.feeds.reading import NOW, RSS
from tests.feeds.test_shop_feeds import MAGLIA
from tests.http.serving import serving
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog


class Shop:
    """A shop's web server, and who fetches its feed."""

    def __init__(self, directory: Path) -> None:
        self.log = MemoryLog()
        self.clock = VirtualClock(NOW)
        self.directory = directory
        self.is_ours = True
        self.content = RSS
        self.version = 1
        self.status = 200
        self.asked: list[tuple[str, int]] = []
        """Path and status of each answer."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        tag = f'"v{self.version}"'
        same = request.headers.get("If-None-Match") == tag
        status = 304 if same and self.status == 200 else self.status
        self.asked.append((request.path_qs, status))
        if status != 200:
            return web.Response(status=status, headers={"Retry-After": "1"})
        return web.Response(text=self.content, headers={"ETag": tag})

    def schedule(self, base: str, **fields: Any) -> FeedSchedule:
        feed = {"name": "negozio", "url": f"{base}/feed.xml?key=hunter2", "every": "1h", **fields}
        return FeedSchedule(
            [FeedSource.model_validate(feed)],
            log=self.log,
            clock=self.clock,
            signer=SIGNER,
            notation=DEFAULT_NOTATION,
            directory=self.directory / "feeds",
            is_ours=lambda: self.is_ours,
            loopback=True,
        )

    async def known(self) -> dict[str, str]:
        return {sku: str(each.price) for sku, each in (await read(self.log)).items()}


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    await made.log.create_topics(topics(2))
    return made


async def test_a_feed_is_fetched_when_it_is_due_and_only_when_it_has_changed(shop: Shop) -> None:
    async with serving(shop.answer) as base:
        schedule = shop.schedule(base)
        await schedule.fetch_due()
        await schedule.fetch_due()
        assert await shop.known() == {"MOKA-3": "47.10", "TAZZA": "8.50"}
        shop.clock.advance(NOW + HOUR_MS)
        await schedule.fetch_due()
        shop.content, shop.version = RSS.replace("8,50", "7,50"), 2
        shop.clock.advance(NOW + 2 * HOUR_MS)
        await schedule.fetch_due()
    assert [status for _, status in shop.asked] == [200, 304, 200]
    assert (await shop.known())["TAZZA"] == "7.50"
    counts = schedule.counts()["negozio"]
    assert (counts.products, counts.refused, counts.failures) == (2, 0, 0)
    assert counts.succeeded == (NOW + 2 * HOUR_MS) / 1000


async def test_another_worker_knows_the_version_no_more_and_its_own_after_a_restart(
    shop: Shop, tmp_path: Path
) -> None:
    async with serving(shop.answer) as base:
        await shop.schedule(base).fetch_due()
        await shop.schedule(base).fetch_due()
        await shop.schedule(base, currency="CHF").fetch_due()  # read otherwise, it says more
        shop.directory = tmp_path / "other"
        await shop.schedule(base, currency="CHF").fetch_due()
    assert [status for _, status in shop.asked] == [200, 304, 200, 200]


async def test_only_who_has_the_first_partition_fetches_and_tells_of_it(shop: Shop) -> None:
    async with serving(shop.answer) as base:
        schedule = shop.schedule(base)
        shop.is_ours = False
        await schedule.fetch_due()
        assert (shop.asked, schedule.counts()) == ([], {})


async def test_a_reduction_that_begins_has_the_same_version_read_again(shop: Shop) -> None:
    dates = "2026-03-02T11:00+0100/2026-03-02T13:00+0100"
    element = f"<g:sale_price_effective_date>{dates}</g:sale_price_effective_date>"
    shop.content = RSS.replace("<g:brand>", f"{element}<g:brand>")
    prices = []
    async with serving(shop.answer) as base:
        schedule = shop.schedule(base)
        for hours in range(5):
            shop.clock.advance(NOW + hours * HOUR_MS)
            await schedule.fetch_due()
            prices.append((await shop.known())["MOKA-3"])
    assert prices == ["49.90", "47.10", "47.10", "49.90", "49.90"]  # 10:15, 11:15, … in Rome
    assert [status for _, status in shop.asked] == [200, 200, 304, 200, 304]


async def test_a_feed_that_fails_stays_as_it_was_and_is_tried_again_more_and_more_rarely(
    shop: Shop,
) -> None:
    async with serving(shop.answer) as base:
        schedule = shop.schedule(base, whole=True)
        await schedule.fetch_due()
        shop.status = 503
        asked = []
        for minute in range(60, 140):
            shop.clock.advance(NOW + minute * MINUTE_MS)
            before = len(shop.asked)
            await schedule.fetch_due()
            asked += [minute] * (len(shop.asked) - before)
        assert asked == [60, 61, 63, 67, 75, 91, 123]
        assert schedule.counts()["negozio"].failures_in_a_row == 7
        shop.status = 200
        shop.clock.advance(NOW + 4 * HOUR_MS)
        await schedule.fetch_due()
        assert schedule.counts()["negozio"].failures_in_a_row == 0
    assert len(await shop.known()) == 2


async def test_a_whole_feed_that_has_lost_most_of_its_products_changes_nothing(
    shop: Shop,
) -> None:
    async with serving(shop.answer) as base:
        schedule = shop.schedule(base, whole=True)
        await schedule.fetch_due()
        start, end = RSS.index("<item>"), RSS.index("<item>", RSS.index("<item>") + 1)
        shop.content, shop.version = RSS[:start] + RSS[end:].replace("8,50", "1,00"), 2
        shop.clock.advance(NOW + HOUR_MS)
        await schedule.fetch_due()
    assert await shop.known() == {"MOKA-3": "47.10", "TAZZA": "8.50"}
    assert schedule.counts()["negozio"].failures_in_a_row == 1


async def test_shopifys_list_is_read_page_by_page_and_waits_when_it_is_told_to(shop: Shop) -> None:
    throttled = iter([True, False, False, False])
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        page = int(request.query["page"])
        if page == 2 and next(throttled):
            return web.Response(status=430, headers={"Retry-After": "0"})
        asked.append(page)
        count = 250 if page < 3 else 2
        products = [
            {**MAGLIA, "id": page * 1000 + n,
             "variants": [{"id": page * 1000 + n, "sku": f"{page}-{n}", "price": "5.00",
                           "available": True, "title": "Default Title"}]}
            for n in range(count)
        ]  # fmt: skip
        return web.json_response({"products": products}, dumps=json.dumps)

    async with serving(answer) as base:
        schedule = shop.schedule(base, url=f"{base}/products.json")
        await schedule.fetch_due()
    assert asked == [1, 2, 3]
    assert len(await shop.known()) == 502


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (gzip.compress(json.dumps({"products": [MAGLIA]}).encode() + b" " * (3 << 20)),
         {"url": "/products.json", "max_mb": 1}),
        (gzip.compress(b'{"products": []}')[:-9], {"url": "/products.json"}),
        (gzip.compress(RSS.encode())[:-9], {"url": "/feed.xml"}),
        (gzip.compress(RSS.encode())[:40], {"url": "/feed.xml.gz"}),
    ],
    ids=["a page that swells", "a torn page", "a torn feed", "hardly a feed"],
)  # fmt: skip
async def test_gzip_that_swells_or_is_torn_fails_only_its_own_feed(
    shop: Shop, content: bytes, fields: dict[str, Any]
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content)

    async with serving(answer) as base:
        schedule = shop.schedule(base, **{**fields, "url": base + fields["url"]})
        await schedule.fetch_due()
    assert schedule.counts()["negozio"].failures_in_a_row == 1
    assert await shop.known() == {}


async def test_what_nobody_has_thought_of_fails_only_its_own_feed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("streams.feeds.schedule.update_from", broken)
    async with serving(shop.answer) as base:
        schedule = shop.schedule(base)
        await schedule.fetch_due()
    assert schedule.counts()["negozio"].failures_in_a_row == 1


async def test_a_private_address_is_not_asked(shop: Shop, tmp_path: Path) -> None:
    async with serving(shop.answer) as base:
        schedule = FeedSchedule(
            [FeedSource(name="negozio", url=base)],
            log=shop.log,
            clock=shop.clock,
            signer=SIGNER,
            notation=DEFAULT_NOTATION,
            directory=tmp_path,
            is_ours=lambda: True,
        )
        await schedule.fetch_due()
    assert shop.asked == []
    assert schedule.counts()["negozio"].failures == 1


async def test_a_worker_fetches_them_and_shows_what_became_of_it(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, fetch_due = asyncio.Event(), FeedSchedule.fetch_due

    async def turn(schedule: FeedSchedule) -> None:
        await fetch_due(schedule)
        if schedule.counts():
            taken.set()
        else:  # the partition is not open yet
            later = shop.clock.now() + LOOK_MS
            asyncio.get_running_loop().call_soon(shop.clock.advance, later)

    monkeypatch.setattr(FeedSchedule, "fetch_due", turn)
    async with serving(shop.answer) as base:
        worker = Worker(
            Settings(
                broker=f"embedded://{tmp_path}/log", data_dir=tmp_path / "data", partitions=1,
                admin_bind=Address("127.0.0.1", 0), public_bind=Address("127.0.0.1", 0),
                store="memory", fetch_loopback=True,
                feeds=[{"name": "negozio", "url": f"{base}/feed.xml"}],  # type: ignore[arg-type]  # as a file has it
            ),
            clock=shop.clock,
        )  # fmt: skip
        try:
            await worker.start()
            async with asyncio.timeout(20):
                await taken.wait()
            shown = generate_latest(worker.metrics.registry).decode()
        finally:
            await worker.stop()
    assert 'ritorno_feed_failures_in_a_row{feed="negozio"} 0.0' in shown
    assert 'ritorno_feed_products{feed="negozio",result="read"} 2.0' in shown
