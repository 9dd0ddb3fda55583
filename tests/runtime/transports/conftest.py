"""Both logs, and a topic on each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams.log import Log
from tests.runtime.transports.backends import EmbeddedBackend, KafkaBackend
from tests.runtime.transports.machine import (
    NAMES,
    Backend,
    make_topic,
)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def backend(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Backend]:
    if request.param == "kafka":
        chosen: Any = KafkaBackend(request.getfixturevalue("kafka_broker"), tmp_path)
    else:
        chosen = EmbeddedBackend(tmp_path)
    yield chosen
    await chosen.close()


@pytest.fixture
async def log(backend: Backend) -> Log:
    return await backend.open_log()


@pytest.fixture
def group() -> str:
    return f"group-{next(NAMES)}"


@pytest.fixture
async def topic(backend: Backend) -> str:
    return await make_topic(backend)
