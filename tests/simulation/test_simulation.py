"""The pure simulation: whatever is killed, repeated, late or paused, the end is the same.

A failing seed prints itself: `pytest tests/simulation --sim-seed N` runs it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from agents.customer import actor
from agents.partition import customers, held_back
from agents.workflows import engine
from schemas.customer import decode_customer
from schemas.stored import head
from tests.simulation import waiting
from tests.simulation.invariants import check
from tests.simulation.lost_partition import Anew
from tests.simulation.scenario import Scenario
from tests.simulation.shop import FAILING, PLAIN
from tests.states.audit import audited

CHUNK = 10
SEEDS = 10
"""In CI. The night has NIGHT of them."""
NIGHT = 400
ANEW = 7
"""Of so many stories one is of a partition that begins anew."""


def tell(seed: int) -> Scenario:
    """Run one story and check it; a failure names the seed."""

    async def told() -> Scenario:
        scenario = (Anew if seed % ANEW == ANEW - 1 else Scenario)(seed)
        try:
            with defects(scenario.unreadable):
                process = await scenario.run()
            # By actors that have been mended.
            await check(scenario.environment, scenario.shop, process, rests=scenario.rests)
        finally:
            await _end_all()
        return scenario

    with structlog.testing.capture_logs(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_back, "MOST_EVENTS", waiting.MOST)
        try:
            return asyncio.run(told())
        except BaseException as error:
            error.add_note(f"seed {seed}: pytest tests/simulation --sim-seed {seed}")
            raise


@contextmanager
def defects(unreadable: Mapping[str, int]) -> Iterator[None]:
    """The actors fail at some events and timers, each time they come to them, and can't read what
    is kept of the `unreadable`."""
    asked, wake, decode = actor._HANDLERS["support.requested"], engine.wake, decode_customer

    def fail_at_some(someone: Any, event: Any, context: Any) -> Any:
        if event.data.order_id == FAILING:
            raise ZeroDivisionError
        return asked(someone, event, context)

    def wake_most(someone: Any, due: int, context: Any) -> None:
        if someone.key not in PLAIN and due % 16 == 5:
            raise ZeroDivisionError
        wake(someone, due, context)

    def read_most(key: str, stored: bytes) -> Any:
        if head(stored).applied < unreadable.get(key, -1):
            raise ValueError("Expected `int`, got `str`")
        return decode(key, stored)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(customers, "decode_customer", read_most)
        patch.setitem(actor._HANDLERS, "support.requested", fail_at_some)  # type: ignore[arg-type]  # a Mapping for everybody else
        patch.setattr(engine, "wake", wake_most)
        yield


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=5)


@pytest.mark.parametrize(
    "first",
    [
        *range(0, SEEDS, CHUNK),
        *(pytest.param(first, marks=pytest.mark.slow) for first in range(SEEDS, NIGHT, CHUNK)),
    ],
)
def test_the_end_is_the_same(first: int, only_seed: int | None) -> None:
    if only_seed is not None:
        if first:
            pytest.skip("only one seed was asked for")
        with audited():
            tell(only_seed)
        return
    with audited():
        scenarios = [tell(seed) for seed in range(first, first + CHUNK)]
    assert sum(scenario.deaths for scenario in scenarios) > CHUNK  # it is a hard life
    assert sum(scenario.set_aside() for scenario in scenarios) > CHUNK / 2
