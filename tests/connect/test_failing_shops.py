"""A shop that answers nonsense, and a log that fails: nothing is passed over, and nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from typing import Any

import pytest
from aiohttp import ClientSession

from schemas.dead_letters import DeadLetter, read_letter
from schemas.records import OutRecord
from streams.connect.backfill import BackfillProgress, backfill
from streams.connect.connector import ShopConnector, ShopNews, ShopPage, ShopUnavailable
from streams.connect.cursors import CursorFile
from streams.connect.facts import Subject, event_of, guest_key
from streams.connect.keyset import Place
from streams.connect.magento.connector import MagentoConnector
from streams.connect.magento.settings import MagentoConnection
from streams.connect.polled_connector import RowsPage
from streams.connect.shop_memory import ShopNotes
from streams.connect.walk import begin
from streams.log import LogUnavailable
from streams.topology import DEAD_LETTERS
from tests.connect.shapes import ANNA, shopify_order, shopify_refund, woo_customer, woo_order
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


@pytest.mark.parametrize("says", [*NONSENSE, '{"order": null}', "[]"])
async def test_an_answer_without_the_order_does_not_say_that_there_is_none(
    world: World, shopify: ShopifyStandin, says: str
) -> None:
    connector = world.shopify(shopify)
    url = await world.endpoint(connector)
    shopify.rows["orders"] = [shopify_order()]
    shopify.says = says
    async with ClientSession() as session:
        assert await shopify.send(session, url, "refunds/create", shopify_refund()) == 503
        assert await world.records() == []
        shopify.says = None
        assert await shopify.send(session, url, "refunds/create", shopify_refund()) == 200
        assert "refund:61:47.10" in await world.ids()
        gone = shopify_refund(id=62, order_id=1)
        assert await shopify.send(session, url, "refunds/create", gone) == 200  # 404 says so
    assert world.counts.deliveries["negozio", "ignored"] == 1


@pytest.mark.parametrize("says", NONSENSE)
async def test_nonsense_in_the_place_of_the_webhooks_makes_none(
    world: World, shopify: ShopifyStandin, woo: WooStandin, says: str
) -> None:
    callback = "https://ritorno.example.it/connect/negozio"
    shopify.says = woo.says = says
    for connector in (
        world.shopify(shopify, callback=callback),
        world.woo(woo, callback=callback),
    ):
        with pytest.raises(ShopUnavailable):
            await connector.setup()
    assert shopify.hooks == woo.hooks == []


async def test_an_order_that_fits_into_no_event_costs_no_other(
    world: World, woo: WooStandin
) -> None:
    orders = [woo_order(n, date_modified_gmt=f"2026-03-02T09:16:{n:02}") for n in range(1, 6)]
    line = orders[2]["line_items"][0]
    orders[2]["line_items"] = [
        {**line, "id": n, "product_id": n, "name": f"{n} " + "è" * 490} for n in range(1, 1_101)
    ]
    woo.rows["orders"] = orders
    connector = world.woo(woo)
    await world.polling(connector).poll(connector)
    taken = {f"order:{n}:completed" for n in (1, 2, 4, 5)}
    assert taken <= set(await world.ids()) and "order:3:completed" not in await world.ids()
    letters = [read_letter(each) for each in await world.records(DEAD_LETTERS)]
    assert {
        (each.reason, each.original.key) for each in letters if isinstance(each, DeadLetter)
    } == {("too_large", guest_key(ANNA).encode())}
    done = await backfill(connector, ["orders"], world.sink, data_dir=world.directory)
    assert (done[0].rows, done[0].is_done) == (5, True)


class SamePage:
    """A shop behind a cache that gives the first page to whoever asks for any."""

    asked = 0

    async def read(self, _from_where: object) -> RowsPage:
        self.asked += 1
        assert self.asked < 10, "it is read without end"
        rows = [{"entity_id": id_} for id_ in (1, 2)]
        seconds = [Place(f"2026-03-02 09:15:0{id_}", id_) for id_ in (1, 2)]
        return RowsPage(rows, seconds, has_more=True, total=250)

    async def news(self, *_: object, **__: object) -> ShopNews:
        return ShopNews()

    def notes(self, *_: object) -> ShopNotes:
        return ShopNotes()


async def test_a_page_that_comes_again_and_again_is_read_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGENTO_TOKEN", "t")
    fields = {"name": "negozio", "kind": "magento", "url": "https://negozio.example.it"}
    connection = MagentoConnection.model_validate({**fields, "token": "env:MAGENTO_TOKEN"})
    connector = MagentoConnector(connection, world.clock)
    shop = SamePage()
    pages = connector._all_by_id("orders", "", shop.read, shop, now=START)
    with pytest.raises(ShopUnavailable, match="GET orders: the next page is one that was read"):
        async for page in pages:
            assert page.cursor == "2"
    assert shop.asked == 2
    walk = begin("", since=START, now=START, zone=UTC)
    with pytest.raises(ShopUnavailable, match="is one that was read"):
        async for page in connector._changes("orders", walk, shop.read, shop, now=START):
            assert page.cursor
    assert shop.asked <= 5
    await connector.close()


class ManyPages:
    """Pages that are there at once, so that some wait."""

    def __init__(
        self, connector: ShopConnector, monkeypatch: pytest.MonkeyPatch, *, appended: int = 0
    ) -> None:
        self._all_wait_at = appended + 4
        self.given = 0
        self.began: list[str] = []
        """Cursors behind which it was asked to read."""
        self.fails = True
        """At the end, as a shop that is away."""
        self.wait = asyncio.Event()
        """Set once one is being appended behind the first `appended`, two wait, and one finds no
        room."""
        self.connector = connector
        monkeypatch.setattr(connector, "history", self.history)

    async def history(self, _resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        self.began.append(cursor)
        for number in range(int(cursor or -1) + 1, 20):
            self.given += 1
            if self.given == self._all_wait_at:
                self.wait.set()
            event = event_of(
                "order.completed", f"order:{number}:completed", source="shopify:n", time=START,
                subject=Subject("1"), data={"order_id": str(number), "total": "1.00"},
            )  # fmt: skip
            yield ShopPage(ShopNews([event]), str(number), 1)
        if self.fails:
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


@pytest.mark.parametrize("appended", [0, 3])
async def test_ctrl_c_while_pages_wait_keeps_what_was_appended_and_it_goes_on_there(
    world: World, shopify: ShopifyStandin, monkeypatch: pytest.MonkeyPatch, appended: int
) -> None:
    """What Ctrl-C does to a command: its task is cancelled (`asyncio.run`), wherever it waits."""
    pages = ManyPages(world.shopify(shopify), monkeypatch, appended=appended)
    held, released, append = asyncio.Event(), asyncio.Event(), world.log.append
    done = 0

    async def hold_the_next(topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        nonlocal done
        if done == appended:
            await pages.wait.wait()
            held.set()
            await released.wait()
        done += 1
        return await append(topic, partition, records)

    monkeypatch.setattr(world.log, "append", hold_the_next)
    running = asyncio.create_task(
        backfill(pages.connector, ["orders"], world.sink, data_dir=world.directory)
    )
    await held.wait()
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=10)
    assert ended
    assert running.cancelled()
    assert [each.get_name() for each in asyncio.all_tasks() if each.get_name() == "backfill"] == []
    assert pages.given < 20  # it has not read on for nobody

    released.set()  # what was on its way arrives, and was not noted
    pages.fails = False
    [again] = await backfill(pages.connector, ["orders"], world.sink, data_dir=world.directory)
    assert pages.began == ["", str(appended - 1) if appended else ""]
    assert (again.rows, again.events, again.is_done) == (20, 20 - appended, True)
    assert await world.ids() == sorted(f"order:{number}:completed" for number in range(20))


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
