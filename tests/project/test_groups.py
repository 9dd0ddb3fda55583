"""Tests that share what is dear stay together when several processes share the work."""

from __future__ import annotations

import pytest


def test_the_groups_of_tests_are_obeyed(request: pytest.FixtureRequest) -> None:
    """pytest-xdist tells a group by the test's name; with a pytest that it doesn't know, each
    process would start a broker of its own and play the demo anew."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("one process does it all, or groups weren't asked for")
    assert request.node.nodeid.endswith("@tests/project/test_groups.py")
