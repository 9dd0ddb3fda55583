"""Pauses that double, up to the longest one, however long it goes on."""

from __future__ import annotations

from streams.runtime.backoff import Backoff


def test_pauses_double_up_to_the_longest_one() -> None:
    backoff = Backoff(0.5, 30.0)
    assert [backoff.after(failures) for failures in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(1_000_000) == 30.0
