"""The facts' store: how fast facts go in, and how long a question takes among many."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.instant import to_rfc3339
from schemas.time_units import DAY_MS
from streams.insights import asking
from streams.insights.store import ROWS_AT_ONCE, Fact, FactStore
from streams.insights.tables import TABLES, read_told

BATCHES = 10
"""Of ROWS_AT_ONCE facts each, read from JSON as they come."""

ROWS = 20_000_000
"""Among which questions are asked: of ten, one is an order, the others mails."""

BEGAN = 1_740_787_200_000
PERSONS = 400_000
WORKFLOWS = 20
QUESTIONS = ("kpi", "cohorts", "attribution")
MARCH = {"first": "2025-03-01", "last": "2025-03-31"}


def measure(directory: Path, say: Say) -> list[Result]:
    """Fill a store as a shop does, then with many rows, then ask."""
    store = FactStore(directory / "insights", threads=2, memory_mb=4096, zone="Europe/Rome")
    store.open()
    try:
        say(f"taking in {BATCHES * ROWS_AT_ONCE:,} facts")
        rows = [_taken(store, directory)]
        say(f"filling up to {ROWS:,} facts")
        _fill(store)
        for name in QUESTIONS:
            for span, arguments in (("year", {}), ("month", MARCH)):
                say(f"asking {name}, {span}")
                began = time.perf_counter()
                asking.answer(store, asking.Terms(zone="Europe/Rome"), name, arguments, 0)
                rows.append(result(f"insights.{name}.{span}", time.perf_counter() - began, "s"))
        size = sum(path.stat().st_size for path in store.directory.iterdir() if path.is_file())
        return [*rows, result("insights.size", size / ROWS, "bytes/fact")]
    finally:
        store.close()


def _taken(store: FactStore, _directory: Path) -> Result:
    spent = 0.0
    for number in range(BATCHES):
        values = list(_facts(number * ROWS_AT_ONCE))
        began = time.perf_counter()
        facts = [
            Fact(0, number * ROWS_AT_ONCE + offset, read_told(value), value.decode())
            for offset, value in enumerate(values)
        ]
        store.write(facts, {0: (number + 1) * ROWS_AT_ONCE}, BEGAN)
        spent += time.perf_counter() - began
    return result("insights.taken", BATCHES * ROWS_AT_ONCE / spent, "facts/s")


def _facts(start: int) -> Iterator[bytes]:
    for number in range(start, start + ROWS_AT_ONCE):
        when = to_rfc3339(BEGAN + number * 1_000)
        fact = {
            "id": f"{BEGAN}.0.{number}.x-0", "time": when, "happened": when,
            "person": f"{number * 7919 % PERSONS:016x}", "source": "google", "cohort": "2025-03",
            "history": False, "workflow": f"w{number % WORKFLOWS:02}", "version": "0123456789ab",
            "step": "reminder", "run": f"{number:016x}", "variant": "", "template": "reminder",
            "currency": "",
        }  # fmt: skip
        if number % 10:
            fact |= {"fact": "mail.fate", "fate": "sent", "mail": f"{number:016x}", "by": "",
                     "class": "marketing", "first": True, "reason": ""}  # fmt: skip
        else:
            fact |= {"fact": "order.placed", "order": f"{number:016x}", "total": "52.10",
                     "items": "2", "number": 1, "currency": "EUR", "segments": ["vip"]}  # fmt: skip
        yield json.dumps(fact, separators=(",", ":")).encode()


def _fill(store: FactStore) -> None:
    """Repeat what is there over a year, with other persons, orders and mails."""
    times = ROWS // (BATCHES * ROWS_AT_ONCE) - 1
    step = 365 * DAY_MS // max(1, times)
    with store.cursor() as cursor:
        for table, columns in TABLES.items():
            moved = ", ".join(
                f"{each.name} + to_milliseconds(n * {step})" if each.type == "TIMESTAMP"
                else f"(time + to_milliseconds(n * {step}))::DATE" if each.name == "day"
                else f"({each.name} + n * 1000003)::UBIGINT" if each.name == "person"
                else f"({each.name} + n * 10000000019)::UBIGINT" if each.type == "UBIGINT"
                else each.name
                for each in columns
            )  # fmt: skip
            cursor.execute(
                f"INSERT INTO {table} SELECT {moved} FROM {table}, range(1, {times + 1}) AS r(n)"
            )
