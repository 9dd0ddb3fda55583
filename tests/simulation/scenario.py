"""One seed's scenario: weeks of a shop, with everything going wrong on the way, then a quiet
end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from schemas.definitions import DEFINITION, canonical
from schemas.definitions.shop import Coupons
from schemas.definitions.workflow import Workflow
from schemas.events import SET_ASIDE
from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS, SEND_COMMANDS
from schemas.yaml_text import Document
from streams.operate.dead_letters import resend
from streams.operate.retrying import try_again
from streams.partitioner import partition_of
from streams.runtime.definitions import publish, read_files
from streams.runtime.product_feed import publish as feed
from streams.topology import topics
from tests.keys import SIGNER
from tests.simulation import probe
from tests.simulation.machine import PARTITIONS, Environment, Lifetime, Process
from tests.simulation.shop import (
    DAY,
    HOUR,
    KNOWN,
    MINUTE,
    PLAIN,
    START,
    UNREADABLE,
    Shop,
    ShopEvent,
)

EVERYTHING = """
id: w99-everything
title: {it: Tutto}
versions: live
trigger: {on: product.viewed, times: 2, within: 10d, same: product_id}
entry: {once_per: product, again_after: 5d}
exit_if: {orders.count: {at_least: 9}}
goal: {on: order.completed, within: 7d}
steps:
  - {id: interest, tag: "interest:{event.product_id}", lasts: 12d}
  - {id: answer, wait: {event: cart.product_added, timeout: 20h}}
  - id: way
    branch:
      - {result: event, steps: [{id: rest, wait: {until: "10:00"}}]}
      - {if: {tags: {contains: "interest:moka"}}, steps: [{id: alert, notify: sales}]}
    else: [{id: hurry, send: browse-interest, kind: informative, expires: 2d}]
  - id: test
    experiment: code-or-words
    split:
      - name: code
        share: 40
        steps:
          - {id: code, coupon: browse-interest}
          - {id: with-code, wait: 3h, send: browse-interest, kind: promotional}
      - {name: words, share: 40, steps: [{id: call, call: w98-called, wait_for_end: true}]}
      - {name: none, share: 20, holdout: true}
  - {id: bought, wait: {condition: {orders.count: {at_least: 1}}, timeout: 6d}, tag: waited}
  - {id: last, wait: [{date: profile.birthday}, WAIT], send: browse-interest, kind: informative}
"""
CALLED = """
id: w98-called
title: {it: Chiamato}
trigger: {called: true}
entry: {once_per: event}
exit_on: [order.completed]
steps:
  - {id: words, wait: 1d, send: browse-interest, kind: informative}
  - {id: untag, wait: 2d, untag: "interest:*"}
"""


def definition(text: str) -> tuple[str, bytes]:
    """Return id and content of a definition as it is published."""
    read = DEFINITION.validate_python(Document(text).content)
    return read.id, canonical(read)


CHEAPER = """
id: w97-cheaper
title: {it: Prezzo}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: product, again_after: 1h}
steps:
  - {id: tag, tag: "cheaper:{run.product}", lasts: 3d}
  - {id: words, send: price-drop, kind: promotional, products: trigger, expires: 2d}
"""
AGAIN = """
id: w97-again
title: {it: Di nuovo}
trigger: {product: back_in_stock}
entry: {once_per: product}
steps:
  - {id: tag, wait: 2h, tag: "interest:{run.product}", lasts: 2d}
"""
POOL = [f"POOL-{number}" for number in range(30)]


def with_pool(content: bytes) -> tuple[str, bytes]:
    """Return the shop's coupons, one campaign with codes of its own."""
    coupons = DEFINITION.validate_json(content)
    assert isinstance(coupons, Coupons)
    pool = {"browse-interest": {"pool": POOL, "prefix": ""}}
    campaigns = [each.model_copy(update=pool.get(each.id, {})) for each in coupons.campaigns]
    return coupons.id, canonical(coupons.model_copy(update={"campaigns": campaigns}))


FILES = read_files(Path(__file__).parents[2] / "workflows") | dict(
    map(definition, (EVERYTHING.replace("WAIT", "2d"), CALLED, CHEAPER, AGAIN, probe.TEXT))
)
FILES = FILES | dict([with_pool(FILES["coupons"])])
STEPS = 45
SPIN = 20
"""Turns of the event loop between two steps: enough for most of what can happen to happen."""


class Scenario:
    """A world, its shop, and the process that is at work."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.environment = Environment(self.chance, START)
        self.shop = Shop(self.chance)
        self.deaths = 0
        self.zombies = 0
        self.unreadable: dict[str, int] = {}
        """Customers of whom what is kept can't be read now, unless it goes as far as this offset:
        a release can read what it has written itself."""
        self.rests = True
        """Whether it has come to rest in the end."""
        self._zombie: Process | None = None
        self._ages = seed % 5 in (1, 3)
        self._bursts = seed % 5 == 0
        self._burst: list[ShopEvent] = []

    async def run(self) -> Process:
        """Tell it to the end; return the last process, which has caught up."""
        await self.prepare(FILES)
        process = self.start()
        for _ in range(STEPS):
            await self._step(process)
            await spin(SPIN)
            if process.life.over:
                process = self.replace(process)
        process.life.over = True
        return await self.end()

    async def prepare(self, files: Mapping[str, bytes]) -> None:
        """Make the topics, and definitions live."""
        await self.environment.log.create_topics(topics(PARTITIONS))
        await publish(self.environment.log, files, SIGNER)

    def set_aside(self) -> int:
        """Return at how many places the log says that something failed twice."""
        records = self.environment.log.records(CUSTOMER_EVENTS)
        return len({r.value for r in records if r.header("ce_type") == SET_ASIDE.encode()})

    async def _step(self, process: Process) -> None:
        """Let time pass and something happen."""
        environment, chance = self.environment, self.chance
        pause = chance.choice([1_000, 5_000, MINUTE, 20 * MINUTE, HOUR, 7 * HOUR, 30 * HOUR])
        environment.clock.advance(environment.clock.now() + chance.randrange(pause))
        if chance.random() < 0.2:
            environment.log.skew = chance.randint(-10, 10) * MINUTE
        for _ in range(chance.randint(0, 5)):
            await self._append(self.shop.event(environment.clock.now()).record())
        if chance.random() < 0.1:
            await self._append(chance.choice(UNREADABLE))
        if self._bursts and (self._burst or chance.random() < 0.1):
            await self._tell_a_burst()
        if chance.random() < 0.05:
            await self._publish_another_version()
        if self._ages:
            await self._age(process)
        for _ in range(chance.choice([0, 0, 0, 0, 1, 3])):
            await feed(environment.log, self.shop.feed(), SIGNER)

    async def _append(self, record: OutRecord) -> None:
        place = partition_of(record.key or b"", PARTITIONS)
        plain = (record.key or b"").decode("latin-1") in PLAIN
        if not plain and self.chance.random() < 0.05:
            place = 1 - place  # a producer with another partitioner; moving it changes the order
        await self.environment.log.append(CUSTOMER_EVENTS, place, [record])

    async def _tell_a_burst(self) -> None:
        """A file of one customer's events, and a while later the same file."""
        again, self._burst = self._burst, []
        if again:
            self._bursts = False
            self.shop.told_again(again)
        else:
            self._burst = self.shop.burst(self.environment.clock.now())
        for happening in again or self._burst:
            await self._append(happening.record())

    async def _age(self, process: Process) -> None:
        """Another release comes, which can't read what is kept of somebody; or one that can.

        It comes when the one before has written down all that it has decided: whoever can't read
        what has led to a decision can't take the same one again.
        """
        if self.chance.random() < 0.3 and await self._is_through(process):
            process.life.over = True
            someone = self.chance.choice(PLAIN * 2 + KNOWN)
            number = partition_of(someone.encode(), PARTITIONS)
            self.unreadable[someone] = len(self.environment.log.topics[CUSTOMER_EVENTS][number])
            self.shop.unreadable.add(someone)
            for happening in self.shop.rethought(someone, self.environment.clock.now()):
                await self._append(happening.record())
        for someone in sorted(self.shop.unreadable):
            if self.chance.random() < 0.06:
                self.unreadable.pop(someone, None)
            if self.chance.random() < 0.1:  # in vain, if it can't be read still
                await try_again(self.environment.log, someone, SIGNER, afresh=False)

    async def _is_through(self, process: Process) -> bool:
        """Whether the process gets through with all that there is, whatever happens to it then."""
        for _ in range(20):
            if process.life.over or process.caught_up:
                break
            await spin(SPIN)
        return process.caught_up and not process.life.over

    async def _mend(self, process: Process) -> None:
        """Have everybody tried again who is held back, and then what found no room."""
        # Numbers of commands go by the broker's clock, which may just have been put back.
        self.environment.clock.advance(self.environment.clock.now() + HOUR)
        for someone in sorted(self.shop.unreadable):
            await try_again(self.environment.log, someone, SIGNER, afresh=False)
        await self.catch_up(process)
        await resend(self.environment.log, lambda each: each.reason == "held_back", lambda: SIGNER)
        await self.catch_up(process)

    async def _publish_another_version(self) -> None:
        name = self.chance.choice([name for name in FILES if name.startswith("w")])
        if name == "w99-everything" or self.chance.random() < 0.3:
            wait = self.chance.choice(["1h", "2d", "9d"])
            await publish(
                self.environment.log,
                FILES | dict([definition(EVERYTHING.replace("WAIT", wait))]),
                SIGNER,
            )
            return
        content = DEFINITION.validate_json(FILES[name])
        assert isinstance(content, Workflow)
        number = self.chance.randint(1, 3)
        changed = content.model_copy(update={"title": {"en": f"version {number}"}})
        await publish(self.environment.log, FILES | {name: canonical(changed)}, SIGNER)

    def start(self, *, keeps_disk: bool = False) -> Process:
        life = Lifetime(
            self.chance,
            self.chance.randint(1, 120),
            paused=self.chance.random() < 0.3,
            flaky=self.chance.choice([0, 0, 0.02, 0.1]),
        )
        return self.environment.process(keeps_disk=keeps_disk, life=life)

    def replace(self, process: Process) -> Process:
        """Start another process; a paused one comes back when that one has its turn."""
        self.deaths += 1
        self.wake_zombie()
        if process.life.paused:
            self._zombie = process
            return self.start()
        return self.start(keeps_disk=self.chance.random() < 0.5)

    def wake_zombie(self) -> None:
        """Let a paused process come back, if there is one."""
        if self._zombie is not None:
            self._zombie.life.resume()
            self.zombies += 1
            self._zombie = None

    async def end(self) -> Process:
        """Let everything come to rest, undisturbed."""
        environment = self.environment
        environment.moody, environment.log.skew = False, 0
        self.unreadable.clear()
        last = environment.process(
            keeps_disk=False, life=Lifetime(self.chance, None, paused=False, flaky=0)
        )
        await self.catch_up(last)
        self.wake_zombie()
        await self._mend(last)
        for pause in [HOUR] * 3 + [12 * HOUR] * 28 + [DAY] * 3:
            if self.rests:
                environment.clock.advance(environment.clock.now() + pause)
                await self.catch_up(last)
        return last

    async def catch_up(self, process: Process) -> None:
        """Wait until nothing happens any more."""
        for _ in range(400):
            before = self._ends()
            await spin(SPIN)
            if process.caught_up and self._ends() == before:
                return
        self.rests = False

    def _ends(self) -> list[int]:
        log = self.environment.log.topics
        return [len(part) for topic in (CUSTOMER_EVENTS, SEND_COMMANDS) for part in log[topic]]


async def spin(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
