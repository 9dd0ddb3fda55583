"""`pytest tests/simulation --sim-seed N` runs one seed alone."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seed", type=int, default=None, help="run this seed of the simulation")


@pytest.fixture
def only_seed(request: pytest.FixtureRequest) -> int | None:
    """The seed asked for, None for all of them."""
    seed: int | None = request.config.getoption("--sim-seed", default=None)
    return seed
