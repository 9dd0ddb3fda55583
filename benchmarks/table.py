"""README's table, taken from the results of one run: `python -m benchmarks.table [README.md]`.

Prints it; with a file named, it takes the place of the one that is there. What was not measured in
that run is left out.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.results import Result

LINES = (
    ("whole worker on Kafka", "{kafka.worker_events}"),
    ("whole worker, embedded log", "{embedded.worker_events}"),
    ("the same while mails go out", "{mails.worker_events}"),
    ("mails rendered, claimed and sent", "{mails.delivered}"),
    ("mails rendered, built and signed, one core", "{assembly.rsa_2048}"),
    ("mails to a relay 20 ms away, 10 connections", "{distance.mails_20ms}"),
    ("the worker with 100,000 mails waiting for it", "{backlog.mails}"),
    ("what each of them takes", "{backlog.memory_per_mail} of memory a mail"),
    ("a receipt overtakes them", "{backlog.receipt_median}; at worst {backlog.receipt_worst}"),
    ("recovery, memory store", "{recovery.memory}"),
    ("recovery, rocksdict", "{recovery.rocksdict}"),
    ("kill -9 to the first event again", "{restart.first_event_after_kill}"),
    ("ready with an empty data directory", "{restart.ready_without_data_dir}"),
    ("another worker goes on where one was killed",
     "{takeover.first_event_after_kill}; {takeover.broker_notices} of them until the broker knows"),
    ("a million customers, empty data directory",
     "{million.ready_without_data_dir}; {million.memory}"),
    ("a million timers within ten minutes",
     "{timers.lateness_p99} late (p99); {timers.memory}"),
    ("one customer's decisions among a million, all read", "{explain.all}"),
    ("the same, its owner asked", "{explain.again}"),
    ("replay", "{replay.events}"),
    ("replay in two processes", "{replay.jobs.2}"),
    ("every workflow of the catalogue live", "{replay.every_workflow_live}"),
    ("processor an event, all but the log", "{cost.all}"),
    ("memory per customer, memory store", "{memory.memory}"),
    ("memory per customer, rocksdict", "{memory.rocksdict}"),
    ("kept record", "{memory.kept_record}"),
    ("visitors who never come back",
     "{visitors.before}; {visitors.after}; {visitors.removing} to remove them"),
    ("records looked through for such, each day",
     "{visitors.looking}; {visitors.longest_pause}"),
    ("a shop in which nothing happens, topics", "{idle.embedded}"),
    ("the same, a Kafka broker's disk", "{idle.kafka}"),
    ("calls by HTTP, one by one", "{ingest.single_calls}"),
    ("the same, processor", "{ingest.single_processor}"),
    ("an answer at half of that", "{ingest.p99_at_half} (p99)"),
    ("calls by HTTP, a hundred in a batch", "{ingest.batched_events}"),
    ("the same, processor", "{ingest.batched_processor}"),
    ("1,000 webhooks at once", "{connect.burst_p99}; {connect.burst_processor} each"),
    ("100,000 orders of a shop's history", "{connect.backfill}; {connect.backfill_processor}"),
    ("a sale of 1,000 prices, the longest answer", "{big_sale.longest_answer}"),
    ("until all of it is done", "{big_sale.done}"),
)  # fmt: skip
"""What a line is about, and what it says: numbers by the name of their result."""

_NAMED = re.compile(r"\{([\w.]+)\}")
_WIDTH = 52
_BEGIN = "(`benchmarks/results.json`):\n\n```\n"
_END = "```\n"


def lines(found: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of which all numbers are there."""
    by_name: defaultdict[str, list[Result]] = defaultdict(list)
    for each in found:
        by_name[each.name].append(each)
    for label, text in LINES:
        if all(name in by_name for name in _NAMED.findall(text)):
            yield f"{label:{_WIDTH}}{_filled(text, by_name)}".rstrip()


def put_into(page: str, table: str) -> str:
    """Return the page with this table in the place of its own. Raises ValueError without one."""
    if _BEGIN not in page:
        raise ValueError(f"there is no table: {_BEGIN!r} is missing")
    start = page.index(_BEGIN) + len(_BEGIN)
    return page[:start] + table + page[page.index(_END, start) :]


def _filled(text: str, by_name: Mapping[str, Sequence[Result]]) -> str:
    return _NAMED.sub(lambda match: _said(by_name[match[1]]), text)


def _said(rows: Sequence[Result]) -> str:
    """Return a number with its unit, and how it compares."""
    first = rows[0]
    said = f"{results.shown(first.value)} {first.unit}"
    peers = [
        f"{each.ratio:.2f} × {each.peer} ({results.shown(each.peer_value)})"
        for each in rows
        if each.peer and each.ratio is not None
    ]
    return ", ".join([said, *peers])


def main(arguments: Sequence[str]) -> int:
    """Print the table, or put it into the file that is named."""
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
