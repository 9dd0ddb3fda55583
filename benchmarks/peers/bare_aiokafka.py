"""A bare aiokafka loop: fetch, decode, count in a dict. No state that survives, no effects.

    python -m benchmarks.peers.bare_aiokafka HOST:PORT TOPIC EVENTS SECONDS

Prints one line of JSON, see `benchmarks/pace.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from aiokafka import AIOKafkaConsumer

from benchmarks.pace import Pace


async def run(server: str, topic: str, pace: Pace) -> None:
    """Read `topic` until the pace has seen enough."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=server, group_id="bench-bare", auto_offset_reset="earliest"
    )
    await consumer.start()
    counts: Counter[bytes] = Counter()
    try:
        while not pace.over:
            fetched = await consumer.getmany(timeout_ms=200)
            for records in fetched.values():
                for record in records:
                    json.loads(record.value or b"{}")
                    counts[record.key] += 1
            if fetched:
                pace.reached(counts.total())
    finally:
        await consumer.stop()


if __name__ == "__main__":
    server, topic, events, seconds = sys.argv[1:]
    pace = Pace(int(events), float(seconds))
    asyncio.run(run(server, topic, pace))
    print(pace.as_json(), flush=True)
