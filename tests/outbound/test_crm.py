"""A CRM is read and told, by a stand-in that pages, throttles, refuses and checks who asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import CUSTOMER_EVENTS
from streams.clock import Clock, SystemClock
from streams.http.ingest.intake import Intake
from streams.log import scan
from streams.operate.dead_letters import open_letters
from streams.outbound import crm_polling
from streams.outbound.crm_file import Crm, read_crm
from streams.outbound.crm_polling import CrmPolling
from streams.settings.operator_file import OperatorFileError
from tests.outbound.crm_stand_in import TOKEN, deal, described, stand_in
from tests.outbound.doubles import LIMIT, START, Shop, shop, signal, tell

MINUTE = 60_000


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    async with shop(tmp_path) as opened:
        opened.addresses = {each: f"{each}@example.it" for each in ("anna", "bruno", "carla")}
        yield opened


# Reading.


def polling(here: Shop, url: str, **more: str) -> CrmPolling:
    said = described(url)
    said["read"][0] |= more
    if "time" in more:
        said["read"][0]["properties"].append("closed")
    crm = Crm.model_validate(said)
    return CrmPolling(crm, crm.read[0], Intake(here.log), clock=here.clock,
                      data_dir=here.path.parent)  # fmt: skip


async def events(here: Shop) -> list[tuple[str, str, Any]]:
    """Return id, key and data of what was told."""
    found = [each async for each in scan(here.log, CUSTOMER_EVENTS)]
    return sorted(
        ((each.header("ce_id") or b"").decode(), (each.key or b"").decode(),
         json.loads(each.value or b"{}"))
        for each in found
    )  # fmt: skip


async def test_deals_come_in_by_pages_and_only_from_now_on(here: Shop) -> None:
    async with stand_in() as crm:
        crm.deals = [deal("1", "old", START - 10 * MINUTE)]
        poll = polling(here, crm.url)
        assert await poll.poll() == ("", None)  # the first one only says since when
        assert crm.searches == []
        here.pass_time(5 * MINUTE)
        now = here.clock.now()
        crm.deals += [deal(str(n), "won", now - n) for n in range(2, 7)]
        crm.deals += [deal("9", "won", now, customer=None)]
        assert await poll.poll() == ("", None)
        found = await events(here)
        assert [id_ for id_, _, _ in found] == [f"deals:{n}:won" for n in range(2, 7)]
        assert found[0] == ("deals:2:won", "anna", {"topic": "Vendita", "stage": "won"})
        assert [each.get("after") for each in crm.searches] == [None, "2", "4"]
        # after a restart it goes on behind that, and what is read twice has the same id
        again = polling(here, crm.url)
        crm.deals += [deal("2", "lost", now + 1)]
        await again.poll()
        ids = {id_ for id_, _, _ in await events(here)}
        assert ids == {"deals:2:lost", *(f"deals:{n}:won" for n in range(2, 7))}


async def test_what_fails_in_the_middle_is_read_again(here: Shop) -> None:
    async with stand_in() as crm:
        poll = polling(here, crm.url)
        await poll.poll()
        here.pass_time(5 * MINUTE)
        crm.deals = [deal(str(n), "won", here.clock.now() + n) for n in range(4)]
        await poll.poll()
        crm.deals += [deal("8", "won", here.clock.now() + 9)]
        crm.plan = [(429, "7")]
        assert await poll.poll() == ("it answers 429", 7)
        assert await poll.poll() == ("", None)
        assert len({id_ for id_, _, _ in await events(here)}) == 5


async def test_who_has_no_right_is_told_so(here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stand_in() as crm:
        poll = polling(here, crm.url)
        await poll.poll()
        monkeypatch.setenv("CRM_TOKEN", "another")
        assert await poll.poll() == ("it answers 401", None)
        monkeypatch.delenv("CRM_TOKEN")
        problem, _ = await poll.poll()
        assert "env:CRM_TOKEN" in problem


async def test_what_is_no_event_is_a_dead_letter(here: Shop) -> None:
    async with stand_in() as crm:
        poll = polling(here, crm.url)
        await poll.poll()
        here.pass_time(5 * MINUTE)
        good, bad = deal("1", "won", here.clock.now()), deal("2", "won", here.clock.now())
        bad["properties"]["ritorno_customer"] = "x" * 600
        crm.deals = [good, bad]
        await poll.poll()
        assert [id_ for id_, _, _ in await events(here)] == ["deals:1:won"]
        assert [each.reason async for each in open_letters(here.log)] == ["invalid_event"]


@pytest.mark.parametrize(
    "time", ["99999999999999999", "²", "9" * 5_000], ids=["too late", "no digit", "too long"]
)
async def test_a_time_that_is_none_costs_one_object_and_no_other(here: Shop, time: str) -> None:
    async with stand_in() as crm:
        poll = polling(here, crm.url, time="object.properties.closed")
        await poll.poll()
        here.pass_time(5 * MINUTE)
        now = here.clock.now()
        crm.deals = [deal(str(n), "won", now + n) for n in range(4)]
        for each in crm.deals:
            each["properties"]["closed"] = str(now)
        crm.deals[1]["properties"]["closed"] = time
        assert await poll.poll() == ("", None)
        assert [id_ for id_, _, _ in await events(here)] == [f"deals:{n}:won" for n in (0, 2, 3)]
        assert [each.reason async for each in open_letters(here.log)] == ["invalid_event"]


async def test_a_change_to_come_hides_none_before_it(here: Shop) -> None:
    async with stand_in() as crm:
        poll = polling(here, crm.url)
        await poll.poll()
        here.pass_time(5 * MINUTE)
        crm.deals = [deal("1", "won", 999_999_999_999_999)]
        await poll.poll()
        crm.deals += [deal("2", "won", here.clock.now())]
        await poll.poll()
        assert "deals:2:won" in [id_ for id_, _, _ in await events(here)]


@pytest.mark.parametrize("apart", [1, 0], ids=["within two minutes", "at one instant"])
async def test_more_than_one_poll_reads_is_gone_on_with(
    here: Shop, apart: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crm_polling, "MOST_PAGES", 3)
    async with stand_in() as crm:
        poll = polling(here, crm.url)
        await poll.poll()
        here.pass_time(5 * MINUTE)
        now = here.clock.now() - 100
        crm.deals = [deal(str(n), "won", now + apart * n) for n in range(20)]
        for _ in range(5):
            before = len(crm.searches)
            assert await polling(here, crm.url).poll() == ("", None)  # also after a restart
            assert len(crm.searches) - before <= 3
        assert {id_ for id_, _, _ in await events(here)} == {f"deals:{n}:won" for n in range(20)}


# Telling.


def begin(here: Shop, url: str, clock: Clock | None = None) -> None:
    here.crm.write_text(json.dumps({"crm": [described(url, read=[])]}))
    here.start(clock)


async def test_scores_segments_and_alerts_become_properties(here: Shop) -> None:
    async with stand_in() as crm:
        begin(here, crm.url, SystemClock())
        await here.begun("hub", kind="crm")
        await tell(here.log, [
            signal("s1", kind="score.changed", value=40.0, band="warm"),
            signal("s2", kind="score.changed", value=81.5, band="hot"),
            signal("s3", "bruno", segment="vip", change="left"),
            signal("s4", "bruno", segment="other"),
            signal("s5", "carla", kind="sales.alert", message={"it": "Richiama!", "en": "Call"}),
            signal("s6", "nobody", kind="score.changed", value=1.0, band="cold"),
        ])  # fmt: skip
        await here.counts.until("hub", "delivered", 4)
        await here.counts.until("hub", "nobody", 1)
        assert crm.contacts == {
            "anna@example.it": {"ritorno_score": 81.5, "ritorno_band": "hot"},
            "bruno@example.it": {"ritorno_vip": False},
            "carla@example.it": {"ritorno_alert": "Richiama!"},
        }


async def test_it_waits_as_long_as_the_crm_asks(here: Shop) -> None:
    async with stand_in() as crm:
        crm.plan = [(429, "600"), (503, "")]
        begin(here, crm.url)
        await here.begun("hub", kind="crm")
        await tell(here.log, [signal("s1", kind="score.changed", value=40.0, band="warm")])
        await here.counts.until("hub", "failed", 1)
        here.pass_time(9 * MINUTE)
        assert len(crm.batches) == 1
        here.pass_time(2 * MINUTE)
        await here.counts.until("hub", "failed", 2)
        here.pass_time(2 * MINUTE)
        await here.counts.until("hub", "delivered", 1)
        assert crm.batches[0] == crm.batches[2]  # the same once more changes nothing there


async def test_one_that_is_refused_costs_no_other(here: Shop) -> None:
    here.addresses["bruno"] = "bruno@nowhere"
    async with stand_in() as crm:
        clock = SystemClock()
        begin(here, crm.url, clock)
        await here.begun("hub", kind="crm")
        await here.stop()
        told = [signal(f"s{n}", who, kind="score.changed", value=float(n), band="warm")
                for n, who in enumerate(["anna", "bruno", "carla"] * 3)]  # fmt: skip
        await tell(here.log, told)
        here.start(clock)
        await here.counts.until("hub", "refused", 3)
        await here.counts.until("hub", "delivered", 6)
        assert crm.contacts["carla@example.it"]["ritorno_score"] == 8
        async with asyncio.timeout(LIMIT):
            while True:
                version = here.log.version
                letters = [each async for each in open_letters(here.log)]
                if len(letters) == 3:
                    break
                await here.log.wait_beyond(version)
        assert {(each.reason, each.detail) for each in letters} == {
            ("crm_failed", "hub: it answers 400")
        }


# The file.


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"url": "http://x.example.it", "private": False}, "https"),
        ({"token": "pat-geheim"}, "env:NAME"),
        ({"writes": {}}, "writes"),
        ({"read": [{"name": "d", "path": "/x", "changed": "c", "properties": ["a"],
                    "event": "order.completed", "fact": ["object.id"], "customer": "object.c",
                    "time": "object.t"}]}, "custom.NAME"),
        ({"write": {"path": "/x", "map": [{"types": ["score.changed"],
                                          "properties": {"a": "value"}}]}}, "no such name: value"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    path = tmp_path / "crm.yaml"
    path.write_text(json.dumps({"crm": [{**described("https://crm.example.it"), **change}]}))
    with pytest.raises(OperatorFileError, match=expected) as told:
        read_crm(path)
    assert "geheim" not in str(told.value)
