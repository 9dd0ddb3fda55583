"""The frozen copies, laid out again as they were: a data directory, or the topics of a broker."""

from __future__ import annotations

import base64
import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.topology import topics

RELEASES = sorted(path for path in Path(__file__).parent.iterdir() if path.name[:8] == "release-")
PARTITIONS = 2
KEYS = "k1:a-secret-of-the-frozen-copies"
"""RITORNO_TOKEN_KEYS of the workers that were frozen."""


def known(release: Path, copy: str) -> dict[str, Any]:
    """Return what the release itself knew at the end; see `make.py`."""
    found: dict[str, Any] = json.loads((release / f"{copy}.known.json").read_text())
    return found


def unpack(release: Path, copy: str, directory: Path) -> Path:
    """Lay out a data directory; return it."""
    with tarfile.open(release / f"{copy}.tar.xz") as tar:
        tar.extractall(directory, filter="data")
    return directory / "data"


async def load(release: Path, bootstrap: str) -> None:
    """Make the topics as they were: each record at its offset, with its own time."""
    content = json.loads(lzma.decompress((release / "kafka.json.xz").read_bytes()))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    as_frozen = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    await admin.create_topics(
        [
            NewTopic(spec.name, spec.partitions, 1, topic_configs={**spec.config, **as_frozen})
            for spec in topics(PARTITIONS)
        ]
    )
    for topic, parts in content.items():
        for number, part in enumerate(parts):
            for offset, (timestamp, key, value, headers) in enumerate(part):
                sent = await producer.send_and_wait(
                    topic, _bytes(value), _bytes(key), number, timestamp,
                    [(name, _bytes(text)) for name, text in headers],
                )  # fmt: skip
                assert sent.offset == offset
    for spec in topics(PARTITIONS):
        config = {**spec.config, "message.timestamp.type": "LogAppendTime"}
        if "retention.ms" in config:
            config["retention.ms"] = "-1"  # a copy is older than any of them, sooner or later
        resource = ConfigResource(ConfigResourceType.TOPIC, spec.name, configs=config)
        await admin.alter_configs([resource])
    await producer.stop()
    await admin.close()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
