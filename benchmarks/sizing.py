"""The sizes in docs/operations.md, computed from the results of a run:
`python -m benchmarks.sizing [docs/operations.md]`.

Prints them; with a file named, they take the place of those that are there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.results import Result
from benchmarks.table import put_into
from streams.topology import KAFKA_PARTITIONS

MILLION = 1_000_000
COPIES = 3
"""Of each topic, on a cluster that may lose a broker."""

FRAMING = 20
"""Bytes that Kafka and the embedded log put around a record, about."""

YEAR_DAYS = 365
"""For which `customer-events` and `facts` are kept (`streams/topology.py`)."""

_WIDTH = 60


def lines(found: Sequence[Result]) -> Iterator[str]:
    """Yield what a million customers take, and a million events a day. Raises KeyError for what the
    run has not measured."""
    value = {each.name: each.value for each in found}
    event = value["written.event"] + FRAMING
    kept = value["written.kept_record"] + FRAMING
    fact = value["written.facts"]
    records = value["memory.kept_record"] * MILLION
    mails = value["backlog.memory_per_mail"] * MILLION
    # The cleaner begins when half of a changelog is old; what is younger than a day is left alone.
    changelog = 2 * (records + kept * MILLION)
    sizes = (
        ("workers' memory, a million customers", _size(value["memory.rocksdict"] * MILLION)),
        ("the same just after a start, at most", f"{value['million.memory']:,.0f} MB"),
        ("a million mails that wait for a relay", _size(mails)),
        ("workers' disk, a million customers", _size(records)),
        ("Kafka, customer-events, a million events a day, a year", _copies(event * YEAR_DAYS)),
        ("Kafka, facts, a million events a day, a year", _copies(fact * YEAR_DAYS)),
        ("Kafka, customers-changelog, both millions", _copies(changelog / MILLION)),
        ("a core decides, first workflows", _pace(value["cost.all"])),
        ("a core decides, whole catalogue", _pace(value["cost.all_with_every_workflow"])),
        (f"one of {KAFKA_PARTITIONS} partitions of a million customers recovers in",
         f"{MILLION / KAFKA_PARTITIONS / value['recovery.rocksdict']:.1f} s"),
        ("a core renders, builds and signs", f"{value['assembly.rsa_2048']:,.0f} mails/s"),
    )  # fmt: skip
    for label, size in sizes:
        yield f"{label:{_WIDTH}}{size}"


def _size(bytes_: float) -> str:
    return f"{bytes_ / 1e9:,.1f} GB"


def _copies(bytes_each: float) -> str:
    """Of a million: once, and as a cluster keeps it."""
    once = bytes_each * MILLION
    return f"{_size(once)}; {_size(COPIES * once)} in {COPIES} copies"


def _pace(microseconds: float) -> str:
    return f"{MILLION / microseconds:,.0f} events/s"


def main(arguments: Sequence[str]) -> int:
    """Print the sizes, or put them into the file that is named."""
    table = "".join(f"{line}\n" for line in lines(results.read()))
    if not arguments:
        print(table, end="")
        return 0
    page = Path(arguments[0])
    try:
        page.write_text(put_into(page.read_text(encoding="utf-8"), table), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"{page}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
