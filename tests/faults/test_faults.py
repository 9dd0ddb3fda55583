"""Real processes on a real broker, hurt once in each way under load. The long run: `make soak`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.broker import KafkaBroker
from tests.faults.run import Run
from tests.faults.soak import soak

pytestmark = [pytest.mark.kafka, pytest.mark.processes]


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(["kill", "restart_broker"], id="worst"),
        pytest.param(list(Run.FAULTS), id="all", marks=pytest.mark.slow),
    ],
)
async def test_nothing_is_lost_and_nothing_is_twice(
    fresh_broker: KafkaBroker, faults: list[str]
) -> None:
    directory = Path(tempfile.mkdtemp(prefix="ritorno-faults-"))
    tally = await soak(fresh_broker, faults, seed=1, events=500, directory=directory)
    assert tally["commands"] > 0
    assert tally["marketing"] > 0
    assert tally["transactional"] > 0
    shutil.rmtree(directory)  # kept when it fails: the logs of all processes are in it
