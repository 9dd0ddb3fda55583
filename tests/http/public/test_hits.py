"""Openings and clicks: where they lead, and what is noted in each mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from agents.customer.tracking import BURST_MS, TOO_FAST_MS
from agents.mail.message.tokens import Click, Content, HitSource, OpenToken
from schemas.commands import TrackingMode
from schemas.topics import CUSTOMER_EVENTS, FACTS
from schemas.tracking import MODES, Hit
from streams.clock import VirtualClock
from streams.http.public.hits import SUM_MS
from streams.log import LogUnavailable
from tests.http.public.visits import BROWSER, ITALIAN, PARTITIONS, SiteVisit, visit
from tests.mail.doubles import MemoryLog
from tests.mail.samples import DAY, START

TARGET = "https://shop.example/p1?a=1&b=2#top"
SENT = START - DAY
NAMES = ("w06", "s1", "cart-reminder", "marketing")


def source(mode: TrackingMode, mail: str = "aa", time: int = SENT) -> HitSource:
    if mode == "anonymous":
        return HitSource(mode, *NAMES)
    if mode == "pseudonymous":
        return HitSource(mode, *NAMES, time, mail, "bb")
    return HitSource(mode, *NAMES, time, mail, "bb", "u1", f"m-{mail}")


def click(mode: TrackingMode = "identified", link: int = 1, links: int = 5, **more: Any) -> Click:
    return Click(source(mode, **more), link, links, TARGET)


async def eventually(condition: Callable[[], object], here: SiteVisit) -> None:
    """Let the site work until the condition holds; each change is an append to the log."""
    async with asyncio.timeout(10), here.log.appended:
        await here.log.appended.wait_for(condition)


async def follow(here: SiteVisit, content: Content, **options: Any) -> int:
    """Follow a link or fetch the pixel, and let the time pass after which it is judged."""
    place = "c" if isinstance(content, Click) else "o"
    answer, _ = await here.get(here.url(place, content), **options)
    here.clock.advance(here.clock.now() + BURST_MS)
    return answer.status


async def noted(here: SiteVisit, count: int) -> None:
    """Wait for so many hits."""
    await eventually(lambda: sum(hit.count for hit in here.hits()) >= count, here)


@pytest.mark.parametrize("mode", MODES[1:])
async def test_a_click_leads_to_its_page_whoever_follows(mode: TrackingMode) -> None:
    async with visit(tracking="identified") as here:
        answer, body = await here.get(here.url("c", click(mode)))
        assert (answer.status, answer.headers["Location"], body) == (302, TARGET, "")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_the_pixel_is_a_picture_that_nobody_keeps() -> None:
    async with (
        visit(tracking="identified") as here,
        here.session.get(here.url("o", OpenToken(source("anonymous")))) as answer,
    ):
        body = await answer.read()
        assert (answer.status, answer.content_type) == (200, "image/gif")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert body.startswith(b"GIF89a")
        assert len(body) == 43


@pytest.mark.row("R05")
async def test_anonymous_hits_are_counted_and_that_is_all() -> None:
    async with visit(tracking="identified") as here:
        for _ in range(2):  # nobody knows whether it was the same person
            await follow(here, click("anonymous"))
            await follow(here, OpenToken(source("anonymous")))
        await noted(here, 4)
    hits = {hit.model_copy(update={"time": START, "count": 1}) for hit in here.hits()}
    assert hits == {
        Hit(
            time=START, kind=kind, mode="anonymous", verdict="human", why="browser", workflow="w06",
            step="s1", template="cart-reminder", mail_class="marketing", link=link,
        )
        for kind, link in (("click", 1), ("open", 0))
    }  # fmt: skip
    assert {topic for topic, _ in here.log.kept} == {FACTS}
    assert here.metrics.seen["hit", "click", "anonymous", "human"] == 2


async def test_a_picture_that_is_loaded_3000_times_is_a_sum_a_second() -> None:
    async with visit(tracking="identified") as here:
        pixel = here.url("o", OpenToken(source("anonymous")))
        link = here.url("c", click("anonymous"))
        for _ in range(2):
            for _ in range(30):
                await asyncio.gather(*(here.get(pixel) for _ in range(50)))
            for _ in range(5):
                await here.get(link)
            known = len(here.hits())
            here.clock.advance(here.clock.now() + SUM_MS)
            await eventually(lambda known=known: len(here.hits()) >= known + 2, here)
    assert [(hit.kind, hit.count, hit.time - START) for hit in here.hits()] == [
        ("open", 1_500, SUM_MS), ("click", 5, SUM_MS),
        ("open", 1_500, 2 * SUM_MS), ("click", 5, 2 * SUM_MS),
    ]  # fmt: skip
    assert here.metrics.seen["hit", "open", "anonymous", "human"] == 3_000


async def test_a_site_that_closes_notes_the_sums_that_wait() -> None:
    async with visit(tracking="identified") as here:
        for _ in range(3):
            await here.get(here.url("o", OpenToken(source("anonymous"))))
    assert [hit.count for hit in here.hits()] == [3]


async def test_kinds_of_hits_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.http.public.hits.MOST_SUMS", 2)
    with capture_logs() as logs:
        async with visit(tracking="identified") as here:
            for link in (1, 2, 3, 1):
                await here.get(here.url("c", click("anonymous", link)))
    assert sorted((hit.link, hit.count) for hit in here.hits()) == [(1, 2), (2, 1)]
    assert [line["kinds"] for line in logs] == [2]


@pytest.mark.row("R05")
async def test_pseudonymous_hits_name_nobody_and_count_once() -> None:
    async with visit(tracking="identified") as here:
        for _ in range(3):
            await follow(here, click("pseudonymous"))
        await follow(here, click("pseudonymous", link=2))
        await noted(here, 2)
    assert [(hit.link, hit.mail, hit.person) for hit in here.hits()] == [
        (1, "aa", "bb"), (2, "aa", "bb"),
    ]  # fmt: skip
    assert {topic for topic, _ in here.log.kept} == {FACTS}
    for records in here.log.kept.values():
        assert not [record for record in records if b"u1" in (record.value or b"")]


async def test_identified_hits_are_told_to_the_customers_actor() -> None:
    async with visit(tracking="identified") as here:
        await follow(here, click(link=2))
        await follow(here, OpenToken(source("identified")))
        await eventually(lambda: len(here.events()) >= 2, here)
    clicked, opened = here.events()
    assert (clicked.type, clicked.source, clicked.id) == (
        "mail.clicked", "/ritorno/public", "m-aa/mail.clicked/2/human",
    )  # fmt: skip
    assert clicked.data.model_dump(by_alias=True, exclude_none=True) == {
        "command_id": "m-aa", "workflow": "w06", "step": "s1", "template": "cart-reminder",
        "class": "marketing", "verdict": "human", "why": "browser", "link": 2, "url": TARGET,
    }  # fmt: skip
    assert (opened.type, opened.data.verdict) == ("mail.opened", "human")


async def test_neither_address_nor_program_is_kept() -> None:
    headers = BROWSER | {"X-Forwarded-For": "192.0.2.77", "User-Agent": "Remarkable/9"}
    async with visit(tracking="identified", keep_ip=True) as here:
        await follow(here, click(), headers=headers)
        await eventually(here.events, here)
    for records in here.log.kept.values():
        for record in records:
            everything = (record.value or b"") + b"".join(value for _, value in record.headers)
            assert b"192.0.2" not in everything
            assert b"Remarkable" not in everything


async def verdict(here: SiteVisit, content: Content, **options: Any) -> tuple[str, str]:
    before = len(here.hits())
    await follow(here, content, **options)
    await noted(here, before + 1)
    return here.hits()[-1].verdict, here.hits()[-1].why


async def test_machines_are_told_from_people() -> None:
    async with visit(tracking="identified") as here:
        assert await verdict(here, click(mail="1"), method="HEAD") == ("machine", "head_request")
        gmail = BROWSER | {"User-Agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}
        proxied = await verdict(here, OpenToken(source("identified", mail="2")), headers=gmail)
        assert proxied == ("unknown", "image_proxy")
        scanner = BROWSER | {"User-Agent": "Barracuda Sentinel (EE)"}
        scanned = await verdict(here, click("anonymous"), headers=scanner)
        assert scanned == ("machine", "scanner")
        early = click(mail="3", time=here.clock.now() - TOO_FAST_MS + 1)
        assert await verdict(here, early) == ("machine", "too_fast")
        assert await verdict(here, click("anonymous"), headers={}) == ("machine", "no_agent")
        assert await verdict(here, click(mail="4")) == ("human", "browser")


async def test_a_burst_of_links_is_a_machine_from_its_first_link_on() -> None:
    async with visit(tracking="identified") as here:
        for link in (1, 2, 3):
            await here.get(here.url("c", click(link=link, links=3)))
            here.clock.advance(here.clock.now() + 300)
        here.clock.advance(here.clock.now() + BURST_MS)
        await noted(here, 3)
        assert {(hit.verdict, hit.why) for hit in here.hits()} == {("machine", "all_links")}
        here.clock.advance(here.clock.now() + DAY)
        # The person comes later; what the scanner did is no reason to overlook it.
        assert await verdict(here, click(link=2, links=3)) == ("human", "browser")


async def test_two_people_are_no_burst() -> None:
    async with visit(tracking="identified") as here:
        for mail in "123":
            await here.get(here.url("c", click(mail=mail, link=int(mail), links=3)))
        here.clock.advance(here.clock.now() + BURST_MS)
        await noted(here, 3)
    assert {hit.verdict for hit in here.hits()} == {"human"}


async def test_hits_that_wait_are_noted_when_the_site_closes() -> None:
    async with visit(tracking="identified") as here:
        await here.get(here.url("c", click()))
        assert not here.hits()
    assert len(here.hits()) == 1
    assert len(here.events()) == 1


@pytest.mark.parametrize("token", MODES[1:])
@pytest.mark.parametrize("shop", MODES)
async def test_the_shop_may_have_lowered_the_mode_since(
    token: TrackingMode, shop: TrackingMode
) -> None:
    async with visit(tracking=shop) as here:
        answer, _ = await here.get(here.url("c", click(token)))
        assert answer.status == 302
    lowest = min(token, shop, key=MODES.index)
    assert [hit.mode for hit in here.hits()] == ([] if lowest == "off" else [lowest])
    for hit in here.hits():
        assert bool(hit.mail) == bool(hit.person) == (lowest in ("pseudonymous", "identified"))
    told = [topic for topic, _ in here.log.kept if topic == CUSTOMER_EVENTS]
    assert len(told) == (lowest == "identified")


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "javascript:alert(1)", "//evil.example", "https://shop.example@evil/",
     "https://shop.example\\@evil.example", "/p/x", "", "https://shop.example\r\nSet-Cookie: a=b"],
)  # fmt: skip
async def test_no_token_leads_where_the_shop_is_not(target: str) -> None:
    """Not even one that we have sealed: the key may have leaked, the shop's domain been sold."""
    content = Click(source("anonymous"), 1, 1, target)
    async with visit(tracking="identified") as here:
        answer, page = await here.get(here.url("c", content))
        assert answer.status == 410
        assert "Location" not in answer.headers
        assert ITALIAN["link_gone"] in page
        assert 'href="https://shop.example"' in page
    assert not here.log.kept


@pytest.mark.parametrize("query", ["?url=https://evil.example", "?target=//evil", "?lang=en&to=x"])
async def test_parameters_lead_nowhere(query: str) -> None:
    async with visit(tracking="identified") as here:
        answer, _ = await here.get(here.url("c", click("anonymous"), query))
        assert answer.headers["Location"] == TARGET


class BrokenLog(MemoryLog):
    async def append(self, *_: object) -> int:
        raise LogUnavailable("no broker")


async def test_nobody_waits_for_the_log() -> None:
    log = BrokenLog(VirtualClock(START), PARTITIONS)
    async with visit(log, tracking="identified") as here:
        assert await follow(here, click("anonymous")) == 302
        assert await follow(here, OpenToken(source("identified"))) == 200


async def test_a_flood_is_answered_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.http.public.hits.MOST_WAITING", 5)
    async with visit(tracking="identified") as here:
        for link in range(12):
            answer, _ = await here.get(here.url("c", click(link=link, mail=str(link))))
            assert answer.status == 302
        assert len(here.site._hits._waiting) == 5
