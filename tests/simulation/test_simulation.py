"""The pure simulation: whatever is killed, repeated, late or paused, the end is the same.

A failing seed prints itself: `pytest tests/simulation --sim-seed N` runs it alone.
"""

from __future__ import annotations

import asyncio

import pytest
import structlog

from tests.simulation.invariants import check
from tests.simulation.story import Story

CHUNK = 10
SEEDS = 210


def tell(seed: int) -> Story:
    """Run one story and check it; a failure names the seed."""

    async def told() -> Story:
        story = Story(seed)
        try:
            process = await story.run()
            await check(story.world, story.shop, process)
        finally:
            await _end_all()
        return story

    with structlog.testing.capture_logs():
        try:
            return asyncio.run(told())
        except BaseException as error:
            error.add_note(f"seed {seed}: pytest tests/simulation --sim-seed {seed}")
            raise


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=5)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_the_end_is_the_same(first: int, only_seed: int | None) -> None:
    if only_seed is not None:
        if first:
            pytest.skip("only one seed was asked for")
        tell(only_seed)
        return
    stories = [tell(seed) for seed in range(first, first + CHUNK)]
    assert sum(story.deaths for story in stories) > CHUNK  # it is a hard life
