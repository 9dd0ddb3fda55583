"""A shop that answers nonsense, and a log that fails: nothing is passed over, and nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams.connect.backfill import BackfillProgress, backfill
from streams.connect.connector import ShopConnector, ShopNews, ShopPage, ShopUnavailable
from streams.connect.cursors import CursorFile
from streams.connect.facts import Subject, event_of
from streams.log import LogUnavailable
from tests.connect.shapes import shopify_order, woo_customer, woo_order
from tests.connect.standins import ShopifyStandin, WooStandin
from tests.connect.world import World
from tests.harness import START

NONSENSE = [
    "<html>In manutenzione</html>",
    "<br />\n<b>Warning</b>: x in y.php\n[]",
    "",
    "{}",
    '""',
]


@pytest.mark.parametrize("says", NONSENSE)
async def test_nonsense_of_woocommerces_is_not_the_end(
    world: World, woo: WooStandin, says: str
) -> None:
    woo.rows["orders"] = [woo_order()]
    woo.says = says
    await is_tried_again(world, world.woo(woo))


@pytest.mark.parametrize("says", NONSENSE)
async def test_nonsense_of_shopifys_is_not_the_end(
    world: World, shopify: ShopifyStandin, says: str
) -> None:
    shopify.rows["orders"] = [shopify_order()]
    shopify.says = says
    await is_tried_again(world, world.shopify(shopify))


async def is_tried_again(world: World, connector: ShopConnector) -> None:
    for resource in connector.resources:
        with pytest.raises(ShopUnavailable):
            await backfill(connector, [resource], world.sink, data_dir=world.directory)
        with pytest.raises(ShopUnavailable):
            async for _ in connector.changed(resource, "", since=0, now=START):
                raise AssertionError("a page was made of it")
    assert CursorFile(world.directory, "negozio", "history").read() == {}


async def test_woocommerce_without_its_headers_is_read_to_its_end(
    world: World, woo: WooStandin
) -> None:
    woo.counts_pages = False
    woo.rows |= {
        "customers": [woo_customer(n) for n in range(1, 201)],
        "orders": [woo_order(6_000 + n, date_created_gmt=f"2026-03-01T09:{n // 60:02}:{n % 60:02}")
                   for n in range(230)],
    }  # fmt: skip
    connector = world.woo(woo)
    found = await backfill(connector, ["customers", "orders"], world.sink, data_dir=world.directory)
    assert found[0].rows == 200
    orders = {each.id for each in await world.events() if each.type == "order.completed"}
    assert len(orders) == 230


class ManyPages:
    """Pages that are there at once, so that some wait."""

    def __init__(self, connector: ShopConnector, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given = 0
        self.wait = asyncio.Event()
        """Set once one is being appended, two wait, and one finds no room."""
        self.connector = connector
        monkeypatch.setattr(connector, "history", self.history)

    async def history(self, _resource: str, _cursor: str) -> AsyncIterator[ShopPage]:
        for number in range(20):
            self.given += 1
            if self.given == 4:
                self.wait.set()
            event = event_of(
                "order.completed", f"order:{number}:completed", source="shopify:n", time=START,
                subject=Subject("1"), data={"order_id": str(number), "total": "1.00"},
            )  # fmt: skip
            yield ShopPage(ShopNews([event]), str(number), 1)
        raise ShopUnavailable("GET orders.json: 503")


async def test_a_log_that_fails_while_pages_wait_ends_the_back_fill(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = ManyPages(world.shopify(shopify), monkeypatch)

    async def append(*_: Any) -> int:
        await pages.wait.wait()
        raise LogUnavailable("the broker is away")

    monkeypatch.setattr(world.log, "append", append)
    async with asyncio.timeout(10):
        with pytest.raises(LogUnavailable):
            await backfill(pages.connector, ["orders"], world.sink, data_dir=world.directory)
    assert [each.get_name() for each in asyncio.all_tasks() if each.get_name() == "backfill"] == []


async def test_ctrl_c_ends_the_back_fill_while_pages_wait(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = ManyPages(world.shopify(shopify), monkeypatch)
    held, released = asyncio.Event(), asyncio.Event()

    async def append(*_: Any) -> int:
        await pages.wait.wait()
        held.set()
        await released.wait()
        raise LogUnavailable("the broker is away")

    monkeypatch.setattr(world.log, "append", append)
    running = asyncio.create_task(
        backfill(pages.connector, ["orders"], world.sink, data_dir=world.directory)
    )
    await held.wait()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=10)
    released.set()  # the intake goes on by itself
    assert done
    assert running.cancelled()


async def test_what_was_read_before_a_shop_failed_is_kept(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = ManyPages(world.shopify(shopify), monkeypatch)
    seen: list[BackfillProgress] = []
    with pytest.raises(ShopUnavailable, match="503"):
        await backfill(pages.connector, ["orders"], world.sink, data_dir=world.directory,
                       on_progress=seen.append)  # fmt: skip
    assert seen[-1].rows == 20
    assert not seen[-1].is_done


async def test_since_when_no_poll_has_succeeded_is_known(
    world: World, woo: WooStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an alert asks: also of a shop that has never answered."""
    waiting, turn, began = asyncio.Queue[int](), asyncio.Semaphore(0), world.clock.now()

    async def wait_until(instant: int) -> None:
        waiting.put_nowait(instant)
        await turn.acquire()
        world.clock.advance(max(instant, world.clock.now()))

    monkeypatch.setattr(world.clock, "wait_until", wait_until)
    woo.says = NONSENSE[0]
    running = asyncio.create_task(world.polling(world.woo(woo)).run())
    async with asyncio.timeout(20):
        await waiting.get()  # a moment, so that several shops aren't asked at once
        assert world.counts.every == {("negozio",): 300}
        assert world.counts.polled == {}  # somebody else may be the one who polls
        turn.release()
        again = await waiting.get()
        assert world.counts.polled == {("negozio",): began}
        woo.says = None
        turn.release()
        await waiting.get()
        assert world.counts.polled == {("negozio",): again}
    assert world.counts.failures == {("negozio",): 1}
    running.cancel()
    await asyncio.wait([running])
