"""Following topics on a real Kafka broker, under a group's name and without being its member."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.clock import SystemClock
from streams.outbound.following import following_of
from streams.outbound.runtime import Outbound, OutboundFiles
from streams.runtime.logs.kafka import KafkaLog
from streams.topology import CUSTOMER_EVENTS, CUSTOMER_SIGNALS, topics
from tests.broker import KafkaBroker
from tests.keys import SIGNER
from tests.outbound.doubles import PARTITIONS, Noted, receiver, signal, tell, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

LIMIT = 60
TOPICS = (CUSTOMER_SIGNALS, CUSTOMER_EVENTS)


@pytest.fixture
async def log(fresh_broker: KafkaBroker) -> AsyncIterator[KafkaLog]:
    log = KafkaLog([fresh_broker.bootstrap])
    await log.start()
    await log.create_topics(topics(PARTITIONS))
    yield log
    await log.stop()


async def test_positions_are_the_groups_and_partitions_are_read_side_by_side(
    log: KafkaLog,
) -> None:
    group = following_of(log, "ritorno-webhook-side", TOPICS)
    async with asyncio.timeout(LIMIT):
        assert await group.position(CUSTOMER_SIGNALS, 0) is None
        assert await group.end(CUSTOMER_SIGNALS, 0) == 0
        waiting = [
            asyncio.create_task(_first(group.fetch(CUSTOMER_SIGNALS, number, 0)))
            for number in range(PARTITIONS)
        ]
        await log.append(CUSTOMER_SIGNALS, 1, [signal("b0"), signal("b1")])
        await log.append(CUSTOMER_SIGNALS, 0, [signal("a0")])
        assert await asyncio.gather(*waiting) == [["a0"], ["b0", "b1"]]
        assert await _first(group.fetch(CUSTOMER_SIGNALS, 1, 1)) == ["b1"]  # from anywhere
        await group.commit({(CUSTOMER_SIGNALS, 1): 1})
        await group.close()
        again = following_of(log, "ritorno-webhook-side", TOPICS)
        assert await again.position(CUSTOMER_SIGNALS, 1) == 1
        assert await again.position(CUSTOMER_SIGNALS, 0) is None
        other = following_of(log, "ritorno-webhook-other", TOPICS)
        assert await other.position(CUSTOMER_SIGNALS, 1) is None
        await again.close()
        await other.close()


async def _first(fetching: object) -> list[str]:
    records = await fetching  # type: ignore[misc]  # a coroutine of records
    return [json.loads(each.value)["id"] for each in records]


async def test_webhooks_go_on_where_they_were(
    log: KafkaLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SECRET", "uno")
    async with asyncio.timeout(LIMIT), receiver() as till:
        path = tmp_path / "webhooks.yaml"
        path.write_text(json.dumps({"webhooks": [webhook("till", till.url)]}))

        async def nobody(_customer: str) -> str:
            return ""

        def outbound() -> Outbound:
            return Outbound(
                log=log, group="ritorno", files=OutboundFiles(path, tmp_path / "crm.yaml"),
                data_dir=tmp_path, signer=SIGNER, clock=SystemClock(),
                owned=lambda: range(PARTITIONS), counts=Noted(), address_of=nobody,
            )  # fmt: skip

        first = outbound()
        first.start()
        group = following_of(log, "ritorno-webhook-till", TOPICS)
        places = [(topic, number) for topic in TOPICS for number in range(PARTITIONS)]

        async def follows() -> bool:
            return None not in [await group.position(*place) for place in places]

        await eventually(follows, "the webhook follows")
        await tell(log, [signal(f"s{n}", f"c{n % 5}") for n in range(20)])
        await till.until(20)
        await first.stop()
        await tell(log, [signal(f"s{n}", f"c{n % 5}") for n in range(20, 30)])
        second = outbound()
        second.start()
        await till.until(30)
        await second.stop()
        await group.close()
    assert sorted(till.ids(), key=lambda id_: int(id_[1:])) == [f"s{n}" for n in range(30)]
