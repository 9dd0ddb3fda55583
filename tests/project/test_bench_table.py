"""README's table and the sizes in docs/operations.md are what a run has found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import sizing
from benchmarks.results import read, result
from benchmarks.table import lines, put_into

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"


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


def test_the_sizes_to_plan_with_are_those_of_the_last_run() -> None:
    page = OPERATIONS.read_text(encoding="utf-8")
    assert put_into(page, "".join(f"{line}\n" for line in sizing.lines(read()))) == page, (
        "python -m benchmarks.sizing docs/operations.md"
    )


def test_a_size_goes_by_what_was_measured() -> None:
    twice = [replace(each, value=2 * each.value) for each in read()]
    both = zip(sizing.lines(read()), sizing.lines(twice), strict=True)
    assert all(one != other for one, other in both)
