"""On a real broker: a process that maps a foreign topic is killed with -9, again and again, and
each record is in our log once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.records import OutRecord
from schemas.wire import parse_record
from streams.log import Log, TopicSpec, scan
from streams.runtime.logs.kafka import KafkaLog
from streams.topic_names import TopicNames
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, topics
from tests.broker import KafkaBroker
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

KEYS = "test:a-key-of-the-tests-0123456789abcdef"
LIMIT = 60
PARTITIONS = 3

FILE = """
mappings:
  - name: viste
    topic: {topic}
    broker: kafka://{server}
    events:
      - type: product.viewed
        customer: value.cliente
        id: string(value.n)
        properties: {{product_id: value.sku}}
"""


@pytest.fixture
async def log(kafka_broker: KafkaBroker) -> AsyncIterator[KafkaLog]:
    log = KafkaLog([kafka_broker.bootstrap])
    await log.start()
    yield log
    await log.stop()


class Mapping:
    """`ritorno mappings run` as a process, with a shop and a foreign topic of its own."""

    def __init__(self, broker: KafkaBroker, directory: Path) -> None:
        self.prefix = f"negozio-{uuid.uuid4().hex[:8]}."
        self.topic = f"viste-{uuid.uuid4().hex[:8]}"
        file = directory / "mappings.yaml"
        file.write_text(FILE.format(topic=self.topic, server=broker.bootstrap))
        self._environment = os.environ | {
            "RITORNO_BROKER": f"kafka://{broker.bootstrap}",
            "RITORNO_TOPIC_PREFIX": self.prefix,
            "RITORNO_TOKEN_KEYS": KEYS,
            "RITORNO_MAPPINGS": str(file),
            "RITORNO_DATA_DIR": str(directory / "data"),
            "RITORNO_ADMIN_BIND": "127.0.0.1:0",
            "RITORNO_KAFKA_SESSION_SECONDS": "2",
        }
        self._output = directory / "output.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "ritorno"), "mappings", "run"],
                env=self._environment, stdout=output, stderr=output,
            )  # fmt: skip

    def end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(LIMIT)
            self.process = None

    def last_words(self) -> str:
        return self._output.read_text()[-3_000:]


@pytest.fixture
async def mapping(
    kafka_broker: KafkaBroker, log: KafkaLog, tmp_path: Path
) -> AsyncIterator[Mapping]:
    mapping = Mapping(kafka_broker, tmp_path)
    foreign = TopicSpec(name=mapping.topic, partitions=PARTITIONS)
    await log.create_topics([foreign])
    yield mapping
    mapping.end(signal.SIGKILL)


async def publish(log: Log, topic: str, first: int, count: int) -> None:
    for partition in range(PARTITIONS):
        records = [
            OutRecord(None, json.dumps({"cliente": f"c{n % 50}", "n": n, "sku": "MOKA-3"}).encode())
            for n in range(first, first + count)
            if n % PARTITIONS == partition
        ]
        await log.append(topic, partition, records)


async def written(ours: Log) -> Counter[str]:
    found: Counter[str] = Counter()
    async for record in scan(ours, CUSTOMER_EVENTS):
        found[parse_record(record).id] += 1
    return found


async def reached(ours: Log, mapping: Mapping, records: int) -> None:
    """Wait until so many are there; looking costs a request."""

    async def are_there() -> bool:
        assert mapping.process is None or mapping.process.poll() is None, mapping.last_words()
        spans = await ours.offsets(CUSTOMER_EVENTS)
        return sum(span.end for span in spans.values()) >= records

    await eventually(are_there, f"{records} records are mapped", seconds=LIMIT)


async def _kill_again_and_again(
    kafka_broker: KafkaBroker, log: KafkaLog, mapping: Mapping, kills: int, records: int
) -> None:
    ours = KafkaLog([kafka_broker.bootstrap], names=TopicNames(mapping.prefix))
    await ours.start()
    try:
        await ours.create_topics(topics(4))
        for kill in range(kills):
            await publish(log, mapping.topic, kill * records, records)
            mapping.start()
            # In the middle of what it does: some of it is there, and not all.
            await reached(ours, mapping, kill * records + records // 4)
            mapping.end(signal.SIGKILL)
        mapping.start()
        await reached(ours, mapping, kills * records)
        mapping.end(signal.SIGTERM)
        found = await written(ours)
        assert set(found) == {str(number) for number in range(kills * records)}
        assert {number: count for number, count in found.items() if count > 1} == {}
        assert sum(span.end for span in (await ours.offsets(DEAD_LETTERS)).values()) == 0
    finally:
        await ours.stop()


async def test_a_kill_neither_loses_nor_doubles(
    kafka_broker: KafkaBroker, log: KafkaLog, mapping: Mapping
) -> None:
    await _kill_again_and_again(kafka_broker, log, mapping, kills=1, records=6_000)


@pytest.mark.slow
async def test_five_kills_neither_lose_nor_double(
    kafka_broker: KafkaBroker, log: KafkaLog, mapping: Mapping
) -> None:
    await _kill_again_and_again(kafka_broker, log, mapping, kills=5, records=12_000)
