"""A log, one owner of its partition behind the real partition manager, and a replay to compare
with."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agents.definitions.published import Definitions
from agents.partition.partition import PartitionActors
from schemas.customer import Customer, decode_customer
from schemas.customer.named import RunInFlight, in_flight_in
from schemas.dead_letters import DeadLetter, read_letter
from schemas.definitions import DEFINITION, canonical
from schemas.events import SET_ASIDE
from schemas.instant import to_rfc3339
from schemas.products import Product
from schemas.records import OutRecord, Record
from schemas.stored import OWN_PREFIX, is_erased
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS, FACTS, SEND_COMMANDS
from schemas.yaml_text import Document
from streams.clock import VirtualClock
from streams.log import Log
from streams.runtime.control_numbers import reserve
from streams.runtime.customers import CustomersRuntime
from streams.runtime.definitions import DefinitionLoader, publish
from streams.runtime.log_identity import LogIdentity
from streams.runtime.product_feed import control_record as told_of
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.recovery import recover
from streams.runtime.state.store import StoreFactory
from streams.runtime.ticks import TICK, Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.tools.replay import replay_topic
from streams.tools.replayed_partition import Outcome
from streams.topology import WORKFLOWS, topics
from tests.keys import SIGNER
from tests.runtime.doubles import START, MemoryLog, Seen

TP = TopicPartition(CUSTOMER_EVENTS, 0)
FOREVER = 2**61
LIMIT = 20
FETCHED = 3
"""Records in a batch: what came before a failing one is in the same batch, and what comes after."""

REMINDER = """
id: w90-reminder
title: {it: Promemoria}
versions: live
trigger: {on: product.viewed}
entry: {once_per: event}
steps:
  - {id: later, wait: WAIT, tag: reminded}
"""
CHEAPER = """
id: w91-cheaper
title: {it: Meno caro}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: event}
steps:
  - {id: note, tag: cheaper}
"""


class Harness:
    """One partition; `start` is a new owner, who knows only what log and changelog hold."""

    def __init__(self, log: Log, clock: VirtualClock, open_store: StoreFactory | None) -> None:
        self.log = log
        self.clock = clock
        self.seen = Seen()
        self._open_store = open_store
        self._number = 0

    async def start(self) -> None:
        """Another owner takes over; whoever was it before does nothing more."""
        self.life = life = _Life()
        self.partition_manager = PartitionManager(pause=life.pause)
        self.partition_manager.attach(_Source())
        definitions = Definitions()
        self.runtime = CustomersRuntime(
            log=self.log,
            partition_manager=self.partition_manager,
            open_store=self._open_store or (lambda _: MemoryStore()),
            actors=partial(PartitionActors, definitions=definitions, signer=SIGNER),
            loader=DefinitionLoader(self.log, definitions),
            ticks=Ticks(self.log, CUSTOMER_EVENTS, self.clock, 10**12),
            observer=self.seen,
            signer=SIGNER,
            time_guard=TimeGuard(self.log, self.clock, SIGNER),
            identity=LogIdentity(self.log, SIGNER),
        )
        self.partition_manager.own(CUSTOMER_EVENTS, self.runtime)
        self.partition_manager.assigned([TP])

    def kill(self) -> None:
        """The owner does nothing any more, from here on."""
        self.life.over = True

    async def stop(self) -> None:
        await self.partition_manager.stop()
        self.runtime.close()

    async def append(self, *records: OutRecord) -> int:
        return await self.log.append(CUSTOMER_EVENTS, 0, list(records))

    async def told(self, customer: str, type_: str = "page.viewed", **data: Any) -> int:
        """Append an event that happens now."""
        self._number += 1
        headers = {"ce_id": f"e{self._number}", "ce_type": type_, "ce_source": "/shop",
                   "ce_time": to_rfc3339(self.clock.now())}  # fmt: skip
        raw = tuple((name, value.encode()) for name, value in headers.items())
        return await self.append(OutRecord(customer.encode(), json.dumps(data).encode(), raw))

    async def pass_time(self, seconds: int) -> None:
        """Let time pass, and the partition notice."""
        self.clock.advance(self.clock.now() + seconds * 1000)
        await self.append(TICK)

    async def feed(self, price: str) -> None:
        """Tell the partition of the product `moka`."""
        await self.order(told_of([Product(sku="moka", name="Moka", price=price)]))

    async def order(self, control: OutRecord) -> None:
        """Append a control record as Ritorno writes it."""
        numbered = (await reserve(self.log, WORKFLOWS)).on(control)
        await self.append(SIGNER.sign(CUSTOMER_EVENTS, numbered))

    async def publish(self, *texts: str) -> None:
        files = (DEFINITION.validate_python(Document(text).content) for text in texts)
        await publish(self.log, {each.id: canonical(each) for each in files}, SIGNER)

    async def catch_up(self) -> None:
        """Deliver until the owner is through with all that is in the log."""
        async with asyncio.timeout(LIMIT):
            while True:
                await self.partition_manager.until(lambda: TP in self.partition_manager.wanted())
                want = self.partition_manager.wanted()[TP]
                end = (await self.log.offsets(CUSTOMER_EVENTS))[0].end
                if want.offset >= end:
                    return
                records = await self.read(CUSTOMER_EVENTS, want.offset)
                batch = self.partition_manager.deliver(TP, want, records[:FETCHED])
                if batch is not None:
                    await self.runtime.process(batch)

    async def read(self, topic: str, start: int = 0, partition: int = 0) -> list[Record]:
        end = (await self.log.offsets(topic))[partition].end
        found: list[Record] = []
        async for chunk in self.log.read(topic, partition, start, end):
            found += chunk
        return found

    # What came of it.

    def customer(self, name: str) -> Customer:
        stored = self.runtime.read_customer(name.encode(), 1)
        return Customer(key=name) if stored is None else decode_customer(name, stored)

    async def letters(self) -> list[DeadLetter]:
        found = [read_letter(record) for record in await self.read(DEAD_LETTERS)]
        return [each for each in found if isinstance(each, DeadLetter)]

    async def aside(self) -> list[dict[str, Any]]:
        """What control records name, each once."""
        values = {
            record.value: None
            for record in await self.read(CUSTOMER_EVENTS)
            if record.header("ce_type") == SET_ASIDE.encode()
        }
        return [json.loads(value or b"") for value in values]

    async def kept(self) -> dict[bytes, bytes]:
        """What the changelog holds."""
        store = MemoryStore()
        await recover(self.log, CUSTOMERS_CHANGELOG, 0, store)
        return dict(store.scan())

    def runs_kept(self) -> Counter[RunInFlight]:
        """The runs in flight, counted one by one where the owner keeps them."""
        runs: Counter[RunInFlight] = Counter()
        for open_ in self.runtime._open.values():
            for key, stored in open_.changelog.scan():
                if not key.startswith(OWN_PREFIX):
                    runs.update(in_flight_in(stored))
        return runs

    async def check_replay(self, *, but: Iterable[str] = ()) -> None:
        """A replay of the log by actors without the defect ends as live did, byte for byte."""
        outcome = await self.replayed()
        live = {key.decode(): stored for key, stored in (await self.kept()).items()
                if not key.startswith(OWN_PREFIX) and not is_erased(stored)}  # fmt: skip
        again = {k: v for k, v in outcome.customers.items() if not is_erased(v)}
        for name in but:
            live.pop(name, None), again.pop(name, None)
        assert again == live
        assert self.runtime.runs_in_flight() == self.runs_kept(), "what the metrics say"
        facts = {record.value for number in range(4)
                 for record in await self.read(FACTS, partition=number)}  # fmt: skip
        assert {line[-1].rstrip(b"\n") for line in outcome.decisions} == facts
        commands = {json.loads(record.value or b"")["id"]
                    for record in await self.read(SEND_COMMANDS)}  # fmt: skip
        assert {json.loads(line[-1])["id"] for line in outcome.commands} == commands
        told = {(each.reason, each.detail) for each in await self.letters()}
        assert {refusal[1:] for refusal in outcome.refusals} == told

    async def replayed(self) -> Outcome:
        definitions = Definitions()
        await DefinitionLoader(self.log, definitions).refresh()
        return await replay_topic(
            self.log, topic=CUSTOMER_EVENTS, until=FOREVER, definitions=definitions
        )


class _Source:
    session_timeout = 10.0

    def heartbeat_age(self) -> float:
        return 0.0

    def refusal(self) -> str:
        return ""

    async def first_offset(self, _: TopicPartition) -> int:
        return 0


class _Life:
    """Of one process."""

    over = False

    async def pause(self, _: float) -> None:
        """No time passes, unless it is over: then for ever."""
        if self.over:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)


async def memory_house() -> Harness:
    clock = VirtualClock(START)
    log = MemoryLog(clock)
    await log.create_topics(topics(1))
    return Harness(log, clock, None)


async def embedded_house(root: Path) -> Harness:
    from streams.runtime.logs.embedded import EmbeddedLog  # noqa: PLC0415  # for who needs it
    from streams.runtime.state.rocks import RocksStores  # noqa: PLC0415  # 20 MB that memory doesn't need

    clock = VirtualClock(START)
    log = EmbeddedLog(root / "log", clock=clock)
    await log.start()
    await log.create_topics(topics(1))
    return Harness(log, clock, RocksStores(root / "data"))


def by_reason(letters: Iterable[DeadLetter]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = {}
    for letter in letters:
        found.setdefault(letter.reason, []).append(letter.origin.offset)
    return found
