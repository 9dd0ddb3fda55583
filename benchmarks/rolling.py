"""A rolling update of two workers on real Kafka: for how long each partition pauses.

100,000 customers are known, and orders come in all the time, one after another in each partition.
The first worker is told to stop (SIGTERM), started again, then the other one. Measured is, for each
order, from its append to that of the confirmation's command, and to that of the news that the relay
has taken the mail: by the broker's clock alone. A partition's pause is the longest of its orders.

The same once more with two processes each (`ritorno worker --processes 2`).
"""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager, suppress
from itertools import chain

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.machine import Inbox, Machine, Worker
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import Workload, fill
from schemas.records import OutRecord, Record
from streams.clock import SystemClock
from streams.partitioner import partition_of
from streams.runtime.logs.kafka import record_of
from streams.topology import CUSTOMER_EVENTS, KAFKA_PARTITIONS, SEND_COMMANDS

CUSTOMERS = 100_000
EVERY = 0.2
"""Seconds between two orders of one partition: so much a pause may be longer than what is told."""
STEADY = 3.0
"""Seconds before, between and behind the faults, in which nothing happens but orders."""
LONGEST_SECONDS = 180
PROCESSES = 2

COMMAND, MAIL = "command", "mail"


class _Answers:
    """When orders were asked and answered, by customer, each of whom orders once."""

    def __init__(self) -> None:
        self.asked: dict[bytes, int] = {}
        self._answered: dict[str, dict[bytes, int]] = {COMMAND: {}, MAIL: {}}

    def take(self, record: Record) -> None:
        """Note what a record says; an answer may be read before what it answers."""
        key = record.key or b""
        kind = record.header("ce_type")
        if record.topic == SEND_COMMANDS:
            self._answered[COMMAND].setdefault(key, record.timestamp)
        elif kind == b"order.completed":
            self.asked.setdefault(key, record.timestamp)
        elif kind == b"mail.sent":
            self._answered[MAIL].setdefault(key, record.timestamp)

    def have(self, asked: Collection[bytes]) -> bool:
        """Whether all of these customers' orders are answered, in both ways."""
        return all(each.keys() >= set(asked) for each in self._answered.values())

    def longest(self, what: str, since: int) -> dict[int, float]:
        """Return the longest wait in seconds of those asked `since` then, by partition."""
        found: defaultdict[int, float] = defaultdict(float)
        answered = self._answered[what]
        for key, asked in self.asked.items():
            if asked >= since and key in answered:
                number = partition_of(key, KAFKA_PARTITIONS)
                found[number] = max(found[number], (answered[key] - asked) / 1_000)
        return found


async def measure(here: Machine, say: Say) -> list[Result]:
    """Update two workers one after the other, then the same of two processes each."""
    now = SystemClock().now()
    workload = Workload(seed=SEED, now=now, customers=CUSTOMERS)
    say(f"{CUSTOMERS:,} customers")
    await fill(here.log, chain(workload.addresses(), workload.views()))
    inbox = Inbox()
    inbox.start()
    orders = _Orders(workload)
    try:
        found = await _updated(here, inbox, orders, "worker", say)
        found += await _updated(here, inbox, orders, "processes", say)
    finally:
        inbox.stop()
    return found


class _Orders:
    """Customers who have not ordered yet, by partition."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)
        for number in range(CUSTOMERS):
            key = f"c{number:06}".encode()
            self._waiting[partition_of(key, KAFKA_PARTITIONS)].append(number)

    def next(self) -> dict[int, OutRecord]:
        """Return an order for each partition, of a customer who has none yet."""
        return {
            number: self._workload.order(waiting.pop()) for number, waiting in self._waiting.items()
        }


async def _updated(
    here: Machine, inbox: Inbox, orders: _Orders, name: str, say: Say
) -> list[Result]:
    relay = {"RITORNO_SMTP_URL": f"smtp://127.0.0.1:{inbox.port}"}
    with here.worker(f"{name}-a", **relay) as first, here.worker(f"{name}-b", **relay) as second:
        if name == "processes":
            for each in (first, second):
                each.command = [*each.command, "--processes", str(PROCESSES)]
        say(f"{name}: two are started, and take what is there")
        first.start()
        second.start()
        await asyncio.gather(first.ready(), second.ready())
        async with _followed(here) as answers, _sent(here, orders):
            await asyncio.sleep(STEADY)
            await _answered(answers)
            found = []
            for worker in (first, second):
                found.append(await _told(answers, _stopped(worker), f"{worker.name} stops", say))
                found.append(await _told(answers, _started(worker), f"{worker.name} starts", say))
        for worker in (first, second):
            worker.signal(signal.SIGTERM)
        for worker in (first, second):
            await asyncio.to_thread(worker.wait)
    return [
        result(f"rolling.{name}.{what}", max(each[what] for each in found), "s at worst")
        for what in (COMMAND, MAIL)
    ]


async def _told(answers: _Answers, doing: Awaitable[None], what: str, say: Say) -> dict[str, float]:
    """Do something, and return the longest waits until all is answered that was asked meanwhile."""
    since = SystemClock().now()
    await doing
    await asyncio.sleep(STEADY)
    await _answered(answers)
    longest = {each: answers.longest(each, since) for each in (COMMAND, MAIL)}
    for each, waits in longest.items():
        shown = ", ".join(f"{waits[number]:.2f}" for number in sorted(waits))
        say(f"{what}: s to the {each} by partition: {shown}")
    return {each: max(waits.values()) for each, waits in longest.items()}


async def _stopped(worker: Worker) -> None:
    worker.signal(signal.SIGTERM)
    if code := await asyncio.to_thread(worker.wait):
        raise RuntimeError(f"{worker.name} has ended with {code}:\n{worker.last_words()}")


async def _started(worker: Worker) -> None:
    worker.start()
    await worker.ready()


async def _answered(answers: _Answers) -> None:
    """Wait until all is answered that has been asked by now."""
    asked = set(answers.asked)
    async with asyncio.timeout(LONGEST_SECONDS):
        while not answers.have(asked):  # noqa: ASYNC110  # of other processes
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _sent(here: Machine, orders: _Orders) -> AsyncIterator[None]:
    """Orders come in all the time."""

    async def send() -> None:
        while True:
            for number, record in orders.next().items():
                await here.log.append(CUSTOMER_EVENTS, number, [record])
            await asyncio.sleep(EVERY)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


@asynccontextmanager
async def _followed(here: Machine) -> AsyncIterator[_Answers]:
    """Follow what is asked and answered meanwhile."""
    answers = _Answers()
    consumer = AIOKafkaConsumer(bootstrap_servers=here.server, fetch_max_wait_ms=20)
    await consumer.start()
    consumer.assign(
        [
            TopicPartition(topic, number)
            for topic in (CUSTOMER_EVENTS, SEND_COMMANDS)
            for number in range(KAFKA_PARTITIONS)
        ]
    )
    await consumer.seek_to_end()

    async def follow() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    answers.take(record_of(record, record.topic))

    following = asyncio.create_task(follow())
    try:
        yield answers
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await consumer.stop()
