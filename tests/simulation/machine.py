"""A whole Ritorno in one event loop: the real runtimes on a log in memory, mortal.

A `Lifetime` is one process. Whatever it does to the world outside (an append, a mail handed
over) is a step; at a chosen one it is killed, having written a part, or paused. From its death on
nothing it does has any effect. A paused life comes back after another has taken over: what it was
about to write then arrives late, and the next thing it does is to learn that it is fenced.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Any, NamedTuple, cast

from prometheus_client import CollectorRegistry

from agents.definitions.published import Definitions
from agents.mail.addresses import EnvelopeRecipient
from agents.mail.message.compose import ComposedMail
from agents.mail.replies import Dropped, RelayAccepted, RelayRefused, Result, Unknown
from agents.mail.settings import SigningKey
from agents.mail.suppression import AddressHashes
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from schemas.commands import SendCommand
from schemas.records import OutRecord, Record
from schemas.stored import NEVER
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, SEND_COMMANDS
from streams.clock import VirtualClock
from streams.log import LogUnavailable, OffsetRange, TopicDescription, TopicSpec
from streams.mail.mailer import MailerRuntime
from streams.mail.smtp import SmtpPool
from streams.mail.suppression_list import SuppressionList
from streams.operate.instruments import Instruments
from streams.operate.return_metrics import ReturnCounters
from streams.partitioner import partition_of
from streams.runtime.customers import CustomersRuntime
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.store import Store
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.transports.batch import Fenced, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from tests.keys import SIGNER
from tests.mail.doubles import AnyLog, CountingMetrics, OneWay
from tests.runtime.doubles import MemoryLog, Seen
from tests.simulation.shop import HOUR

HASHES = AddressHashes((SigningKey("k1", "a secret of some length"),))

PARTITIONS = 2
ALL = [
    TopicPartition(topic, number)
    for topic in (CUSTOMER_EVENTS, SEND_COMMANDS)
    for number in range(PARTITIONS)
]
MOODS: list[Result] = [
    *[RelayAccepted(250, "ok")] * 5,
    RelayRefused("rcpt", 451, "4.7.1 later"),
    RelayRefused("rcpt", 550, "5.7.1 not you"),
    Dropped("data", "gone"),
    Unknown("gone"),
]


class SkewedLog(MemoryLog):
    """Its broker's clock isn't ours, and another broker's is another one."""

    skew = 0

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        await asyncio.sleep(0)
        target = self.topics[topic][partition]
        now = self.clock.now() + self.skew
        for record in records:
            target.append(Record(topic, partition, len(target), now, *record))
        return len(target) - 1


class Lifetime:
    """One process's fate."""

    def __init__(
        self, chance: random.Random, ends_at: int | None, *, paused: bool, flaky: float
    ) -> None:
        self.chance = chance
        self.over = False
        self.fenced = False
        self.paused = paused
        self.flaky = flaky
        self.steps = 0
        self._ends_at = ends_at
        self._resumed = asyncio.Event()

    async def step(self) -> None:
        """Go on, or never again, or much later."""
        self.steps += 1
        if self.steps == self._ends_at:
            self.over = True
        await self.go_on()

    async def go_on(self) -> None:
        """Return at once, unless the process is over."""
        if self.over:
            await self.rest()

    async def rest(self) -> None:
        """Wait until it is resumed, which a dead one never is."""
        await self._resumed.wait()

    async def pause(self, seconds: float) -> None:
        """Instead of sleeping; a process that lost its partitions doesn't open them again."""
        if self.over or self.fenced:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)

    def prefix(self, size: int) -> int:
        """Return how much of an append is written before the process ends at the next step."""
        ending = not self.fenced and self.steps + 1 == self._ends_at and not self.paused
        return self.chance.randint(0, size) if ending else size

    def fails(self) -> bool:
        """Whether the broker gives no answer to this append."""
        return not self.fenced and self.chance.random() < self.flaky

    def resume(self) -> None:
        """Let a paused life go on: fenced, but first with what it was about to do."""
        self.over, self.fenced = False, True
        self._resumed.set()

    def check(self) -> None:
        """Raise Fenced when it has been paused for too long: it runs again only after that."""
        if self.over or self.fenced:
            raise Fenced("paused for longer than the session")


class Copy(NamedTuple):
    """A mail that was handed over."""

    life: Lifetime
    result: Result
    was_told: bool
    """Whether the log said before that it was sent: that is told when it is kept. Nobody can know
    it who was paused between the last check and the relay, and is fenced by now."""

    @property
    def is_known(self) -> bool:
        """Whether the process that has handed it over has learned of it."""
        return isinstance(self.result, RelayAccepted) and not self.life.flaky


class MortalLog:
    """The log as one life sees it."""

    def __init__(self, log: SkewedLog, life: Lifetime) -> None:
        self._log = log
        self._life = life

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        return []

    async def describe(self, topic: str) -> TopicDescription | None:
        return await self._log.describe(topic)

    async def partitions(self, topic: str) -> int:
        return await self._log.partitions(topic)

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        await self._life.step()
        if self._life.fails():
            await self._log.append(topic, partition, self._part(records))
            raise LogUnavailable("no answer")
        written = records[: self._life.prefix(len(records))]
        last = await self._log.append(topic, partition, written)
        await self._life.step()
        return last

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        await self._life.go_on()
        return await self._log.offsets(topic)

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        # What a dead process reads it would write to the disk, which is another's by then.
        async for chunk in self._log.read(topic, partition, start, stop):
            await self._life.go_on()
            yield chunk

    def _part(self, records: Sequence[OutRecord]) -> Sequence[OutRecord]:
        return records[: self._life.chance.randint(0, len(records))]


class Group:
    """What a process knows of its membership in the group."""

    session_timeout = 10.0

    def __init__(self, life: Lifetime) -> None:
        self._life = life

    def heartbeat_age(self) -> float:
        return inf if self._life.over or self._life.fenced else 0.0

    def refusal(self) -> str:
        return ""

    async def first_offset(self, _: TopicPartition) -> int:
        return 0


class Process:
    """One worker with all partitions."""

    def __init__(
        self, environment: Environment, life: Lifetime, stores: Callable[[TopicPartition], Store]
    ) -> None:
        self.life = life
        self.environment = environment
        self.partition_manager = PartitionManager(pause=life.pause)
        self.partition_manager.attach(Group(life))
        self.seen = Seen()
        log = MortalLog(environment.log, life)
        definitions, identity = Definitions(), AnyLog()
        self.customers = CustomersRuntime(
            log=log,
            partition_manager=self.partition_manager,
            open_store=stores,
            actors=partial(
                PartitionActors,
                definitions=definitions,
                home=lambda key: partition_of(key, PARTITIONS),
                memory=CacheMemory(life.chance.choice([0, 20_000, 1 << 30])),
                signer=SIGNER,
                visits=environment.visits,
            ),
            loader=DefinitionLoader(log, definitions),
            ticks=Ticks(log, CUSTOMER_EVENTS, environment.clock, HOUR),
            observer=self.seen,
            signer=SIGNER,
            time_guard=TimeGuard(log, environment.clock, SIGNER, limit_ms=NEVER),
            identity=identity,
        )
        counters = ReturnCounters(Instruments(CollectorRegistry()))
        suppressions = self.suppressions = SuppressionList(log, HASHES, counters)
        self.mailer = MailerRuntime(
            log=log,
            partition_manager=self.partition_manager,
            open_store=stores,
            check=lambda _: life.check(),
            relays=[cast("SmtpPool", environment.pool(life))],
            compose=suppressions.guard(_compose),
            message_id=lambda id_: f"<{id_}@test>",
            suppress=suppressions.add,
            clock=environment.clock,
            metrics=CountingMetrics(),
            signer=SIGNER,
            log_time=self.customers.log_time,
            identity=identity,
            grace=0,
            pause=life.pause,
        )
        self.partition_manager.own(CUSTOMER_EVENTS, self.customers)
        self.partition_manager.own(SEND_COMMANDS, self.mailer)
        self.tasks = [asyncio.create_task(self._start())]

    async def _start(self) -> None:
        await self.suppressions.refresh()
        self.partition_manager.assigned(ALL)
        self.tasks += [asyncio.create_task(self._consume(tp)) for tp in ALL]

    async def _consume(self, tp: TopicPartition) -> None:
        runtime = self.customers if tp.topic == CUSTOMER_EVENTS else self.mailer
        while True:
            await self.life.go_on()
            await self.partition_manager.until(lambda: tp in self.partition_manager.wanted())
            want = self.partition_manager.wanted()[tp]
            unread = self.environment.log.topics[tp.topic][tp.partition][want.offset :]
            if unread:
                size = self.life.chance.randint(1, len(unread))
                batch = self.partition_manager.deliver(tp, want, unread[:size])
                if batch is not None:
                    await runtime.process(batch)
            await asyncio.sleep(0)

    @property
    def caught_up(self) -> bool:
        """Whether everything in the log has been processed, and what came of it written down.

        What is wanted next would not do: it says what was handed out, and not what was done.
        """
        wanted = self.partition_manager.wanted()
        return all(
            tp in wanted
            and (self.partition_manager.watermark(tp) or 0)
            == len(self.environment.log.topics[tp.topic][tp.partition])
            for tp in ALL
        )


class Environment:
    """What survives: the log, the relay, the clock, and the disk of one machine."""

    def __init__(self, chance: random.Random, start: int) -> None:
        self.chance = chance
        self.visits = chance.choice([1, 2, 3, 100])
        """The budget of a record: mostly less than there is to do at one."""
        self.clock = VirtualClock(start)
        self.log = SkewedLog(self.clock, chunk=7)
        self.handed_over: defaultdict[str, list[Copy]] = defaultdict(list)
        """By command id."""
        self.past: list[tuple[int, list[Record]]] = []
        """Partitions of the events that are lost: number and records of each."""
        self.moody = True
        self._disk: dict[TopicPartition, MemoryStore] = {}
        self._processes: list[Process] = []
        """Dead ones too: their tasks wait for ever, and asyncio would let them be collected."""

    def process(self, *, keeps_disk: bool, life: Lifetime) -> Process:
        """Start a process, on the machine whose disk is left or on another."""
        if not keeps_disk:
            self._disk = {}
        disk = self._disk
        process = Process(self, life, lambda tp: disk.setdefault(tp, MemoryStore()))
        self._processes.append(process)
        return process

    def begin_anew(self, number: int) -> None:
        """Lose a partition's log and all that is kept of it; nobody may own it."""
        events = self.log.topics[CUSTOMER_EVENTS][number]
        self.past.append((number, list(events)))
        events.clear()
        self.log.topics[CUSTOMERS_CHANGELOG][number].clear()
        self._disk = {}

    def partitions(self) -> Iterator[tuple[int, list[Record]]]:
        """Yield number and records of each partition that there was, those that are lost first."""
        yield from self.past
        yield from enumerate(self.log.topics[CUSTOMER_EVENTS])

    def events(self) -> Iterator[Record]:
        """Yield all that was ever in the log of the events."""
        for _, records in self.partitions():
            yield from records

    def is_sent(self, command_id: str) -> bool:
        """Whether the log says so."""
        id_ = f"{command_id}/sent".encode()
        return any(record.header("ce_id") == id_ for record in self.events())

    def pool(self, life: Lifetime) -> Any:
        """Return connections to the relay."""
        environment = self

        class Connection:
            smtputf8, mails, dotted = True, 0, False

            async def deliver(self, mail: ComposedMail) -> Result:
                self.dotted = False
                await life.step()
                result = (
                    environment.chance.choice(MOODS)
                    if environment.moody
                    else RelayAccepted(250, "ok")
                )
                if isinstance(result, RelayAccepted | Unknown):
                    self.dotted = True
                    was_told = environment.is_sent(mail.command_id) and not life.fenced
                    copy = Copy(life, result, was_told)
                    environment.handed_over[mail.command_id].append(copy)
                    await life.step()
                return result

        class Relay(OneWay):
            @asynccontextmanager
            async def connection(self, *_: str, **__: bool) -> AsyncIterator[Connection]:
                yield Connection()

        return Relay()


def _compose(command: SendCommand) -> ComposedMail:
    return ComposedMail(
        command.id, "a@test", EnvelopeRecipient("b@test", "", False), b"", f"<{command.id}@test>"
    )
