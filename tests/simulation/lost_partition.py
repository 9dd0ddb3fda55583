"""A scenario of a partition that begins anew: its log and all that was kept of it are lost.

Its visitors have told customers of another partition who they are, and its customers have asked a
pool there for codes. From now on its log counts from 0 again. What is told by the new one must be
heard, although its offsets are lower; what the old one has told must not be heard again, although
it lies in the log once more, from somebody who was late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.records import OutRecord, Record
from schemas.topics import CUSTOMER_EVENTS
from streams.runtime.definitions import publish
from tests.keys import SIGNER
from tests.simulation.expected import customer_of
from tests.simulation.machine import Environment, Lifetime, Process
from tests.simulation.scenario import FILES, POOL, SPIN, Scenario, definition, spin
from tests.simulation.shop import MARGIN, Shop, ShopEvent, name_of

LOST = 0
"""The partition that is lost: that of the visitors and of the buyer."""
HEARER = "nina"
"""The customer whom they turn out to be, in the other partition, where the pool is, too."""
BROWSERS = ("w-6", "w-7", "w-8")
BUYER = "gino"
GIFT = "w22-gift"
GIVES = f"""
id: {GIFT}
title: {{it: Regalo}}
trigger: order.completed
entry: {{once_per: order}}
steps:
  - {{id: code, coupon: browse-interest}}
"""
LIVE = {"coupons": FILES["coupons"]} | dict([definition(GIVES)])


def _renamed(chapter: int) -> dict[str, bytes]:
    """Return what is live in a chapter: what is so already is not told to a partition again."""
    return LIVE | dict([definition(GIVES.replace("Regalo", f"Regalo {chapter}"))])


CHAPTER = 14
"""Steps between two losses."""


class Anew(Scenario):
    """Three chapters, of each of which the next one knows only what was told elsewhere."""

    async def run(self) -> Process:
        """Tell it to the end; return the last process, which has caught up."""
        await self.prepare(LIVE)
        self.shop.forgets = True
        for chapter in range(3):
            if chapter:
                await self._lose(chapter)
            process = self.start()
            for _ in range(CHAPTER):
                await self._step(process)
                await spin(SPIN)
                if process.life.over:
                    process = self.replace(process)
            process.life.over = True
        for browser in BROWSERS:
            await self._tell(browser, "customer.identified", {"customer_id": HEARER})
        return await self.end()

    async def _lose(self, chapter: int) -> None:
        """Come to rest, so that all that was told is in the log; and then lose the partition."""
        last = self.environment.process(
            keeps_disk=False, life=Lifetime(self.chance, None, paused=False, flaky=0)
        )
        await self.catch_up(last)
        self.wake_zombie()
        await self.catch_up(last)
        last.life.over = True
        await spin(SPIN)
        self.environment.begin_anew(LOST)
        await publish(self.environment.log, _renamed(chapter), SIGNER)

    async def _step(self, process: Process) -> None:
        chance, clock = self.chance, self.environment.clock
        clock.advance(clock.now() + chance.randrange(3 * MARGIN))
        for _ in range(chance.randint(0, 4)):
            who = chance.choice((*BROWSERS * 3, HEARER, BUYER, BUYER))
            again = self.shop.all[-1:] if chance.random() < 0.15 else []
            if again and self._is_of_this_chapter(again[0]):
                await self._append(again[0].record())
            elif who == BUYER:
                order = {"order_id": f"o{len(self.shop.all)}", "total": "5.00", "products": []}
                await self._tell(who, "order.completed", order)
            elif who != HEARER and chance.random() < 0.15:
                await self._tell(who, "customer.identified", {"customer_id": HEARER})
            else:
                await self._tell(who, "product.viewed", {"product_id": "moka"})
        if self.environment.past and chance.random() < 0.4:
            await self._tell_late()

    async def _tell(self, key: str, kind: str, data: Mapping[str, Any]) -> None:
        number, time = len(self.shop.all), self.environment.clock.now() - MARGIN
        self.shop.all.append(ShopEvent(key, kind, f"e{number}", time, data))
        await self._append(self.shop.all[-1].record())

    async def _tell_late(self) -> None:
        """Something that a lost log had told comes once more: its writer was paused for long."""
        lost = {f"{records[0].timestamp}/{LOST}/".encode() for _, records in self.environment.past}
        heard = self.environment.log.topics[CUSTOMER_EVENTS][1 - LOST]
        told = [
            each
            for each in heard
            if any((each.header("ritorno_origin") or b"").startswith(begin) for begin in lost)
        ]
        if told:
            each = self.chance.choice(told)
            late = OutRecord(each.key, each.value, each.headers)
            await self.environment.log.append(CUSTOMER_EVENTS, 1 - LOST, [late])

    def _is_of_this_chapter(self, event: ShopEvent) -> bool:
        here = self.environment.log.topics[CUSTOMER_EVENTS][LOST]
        return any(name_of(record) == (event.source, event.id) for record in here)


def check_anew(environment: Environment, shop: Shop, live: Mapping[bytes, bytes]) -> None:
    """What was told before each loss and after it was heard once."""
    if not environment.past:
        return
    chapters = [
        *(records for _, records in environment.past),
        environment.log.topics[CUSTOMER_EVENTS][LOST],
    ]
    seen = [each for each in shop.all if each.type == "product.viewed"]
    views = len({each.id for each in seen if each.key == HEARER})
    for records in chapters:
        for browser in BROWSERS:
            if any(_is(each, browser, "customer.identified") for each in records):
                views += len({name_of(r) for r in records if _is(r, browser, "product.viewed")})
    assert customer_of(live, HEARER).views == views, "views of who turned out to be somebody"
    orders = {event.id for event in shop.all if event.type == "order.completed"}
    codes = {
        each.value for records in chapters for each in records if _is(each, BUYER, "coupon.issued")
    }
    assert len(codes) == min(len(orders), len(POOL)), "a code for each order"


def _is(record: Record, key: str, kind: str) -> bool:
    return record.key == key.encode() and record.header("ce_type") == kind.encode()
