"""README's table is what a run has found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results import result
from benchmarks.table import lines, put_into

README = Path(__file__).parents[2] / "README.md"


def test_a_line_says_number_unit_and_peers() -> None:
    found = [
        result("kafka.worker_events", 20_000, "events/s", "stock Faust", 4_000),
        result("kafka.worker_events", 20_000, "events/s", "a bare loop", 100_000),
        result("backlog.receipt_median", 0.11, "s"),
    ]
    (line,) = lines(found)
    assert line.split(None, 4) == ["whole", "worker", "on", "Kafka", line[52:]]
    assert line[52:] == (
        "20,000 events/s, 5.00 × stock Faust (4,000), 0.20 × a bare loop (100,000)"
    )


def test_the_table_takes_the_place_of_the_one_before() -> None:
    page = README.read_text(encoding="utf-8")
    other = put_into(page, "one line\n")
    assert "\n```\none line\n```\n" in other
    assert len(other) < len(page)
    assert put_into(other, "one line\n") == other


def test_a_page_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no table"):
        put_into("no table", "one line\n")
