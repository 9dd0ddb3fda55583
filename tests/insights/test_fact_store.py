"""The file of facts: each once, nothing of who was erased, the same again from the log."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from schemas.records import Record
from streams.insights import tables
from streams.insights.errors import InsightsError
from streams.insights.store import FactStore
from tests.insights.stated import Stated, facts_of, hashed, opened, records, rows, take

SUM = "SELECT fact, count(*), sum(total), sum(amount) FROM facts GROUP BY 1 ORDER BY 1"


def shop(orders: int = 3) -> list[bytes]:
    """A few customers' orders, one of them partly refunded, with the mails before."""
    stated = Stated()
    told = []
    for number in range(orders):
        who, order = f"c{number % 7}", f"o{number}"
        told.append(stated("mail.fate", who, "2026-03-01", fate="sent", mail=f"m{number}",
                           workflow="w11-welcome", **{"class": "marketing"}))  # fmt: skip
        told.append(stated("order.placed", who, "2026-03-31T22:30:00Z", order=order, total="52.10",
                           items="2", number=1, currency="EUR", source="google",
                           segments=["vip"]))  # fmt: skip
    told.append(stated("order.refunded", "c0", "2026-05-02", order="o0", amount="2.10",
                       ordered="2026-03-31T22:30:00Z", currency="EUR"))  # fmt: skip
    return told


def test_a_fact_becomes_a_row_with_exact_amounts_and_the_shops_day(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert take(store, records(shop(1))).facts == 3
    [order] = rows(store, "SELECT day, total, items, number, person, order_id, segments, source "
                          "FROM facts WHERE fact = 'order.placed'")  # fmt: skip
    # 22:30 UTC is past midnight in Rome, where summer time has begun.
    assert str(order[0]) == "2026-04-01"
    assert order[1:4] == (Decimal("52.1000"), Decimal("2.0000"), 1)
    assert order[4:] == (hashed("c0"), hashed("o0"), ["vip"], "google")
    [refund] = rows(store, "SELECT day, amount FROM facts WHERE fact = 'order.refunded'")
    assert str(refund[0]) == "2026-04-01", "a refund counts on the day of the order"
    store.close()


def test_what_is_told_again_counts_once_wherever_a_batch_ends(tmp_path: Path) -> None:
    told = shop(40)
    expected = opened(tmp_path / "once")
    take(expected, records(told))
    chance = random.Random(7)
    for attempt in range(4):
        # A crash tells again from some earlier fact on; a paused worker appends late what it had.
        log: list[bytes] = []
        position = 0
        while position < len(told):
            step = chance.randint(1, 30)
            log += told[position : position + step]
            position += step
            if chance.random() < 0.6:
                position = max(0, position - chance.randint(1, 25))
        store = opened(tmp_path / str(attempt))
        found = records(log)
        while found:
            size = chance.randint(1, 40)
            take(store, found[:size])
            found = found[size:]
        assert rows(store, SUM) == rows(expected, SUM)
        store.close()
    expected.close()


def test_facts_of_one_record_are_told_apart_by_their_place(tmp_path: Path) -> None:
    def fact(place: str) -> bytes:
        return Stated()("run.entered", "c", "2026-03-01").replace(b".0.c-0", f".0.{place}".encode())

    store = opened(tmp_path)
    assert take(store, records([fact("a-0"), fact("b-0")])).facts == 2
    again = take(store, records([fact("a-0"), fact("b-0"), fact("a-1")]))
    assert (again.facts, again.repeated) == (1, 2)
    store.close()
    store = opened(tmp_path)
    assert take(store, records([fact("b-0"), fact("a-1")])).repeated == 2, "known after a restart"
    store.close()


def test_positions_come_back_with_the_rows(tmp_path: Path) -> None:
    store = opened(tmp_path)
    take(store, records(shop(5)))
    store.close()
    store = opened(tmp_path)
    assert store.positions == {0: 11}
    assert store.latest == records(shop(5))[-1].timestamp
    store.close()


KILLED = """
import os, sys
from pathlib import Path
from tests.insights.stated import opened, records, take
from tests.insights.test_fact_store import shop
store = opened(Path(sys.argv[1]))
found = records(shop(400))
start = store.positions.get(0, 0)
print(start, flush=True)
for at in range(start, len(found), 20):
    take(store, found[at : at + 20])
    print(at, flush=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_kill_at_any_instant_loses_nothing_and_doubles_nothing(
    tmp_path: Path, kills: int
) -> None:
    whole = opened(tmp_path / "whole")
    take(whole, records(shop(400)))
    chance = random.Random(kills)
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(chance.randint(1, max(2, 40 // kills + 2))):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
    store = opened(tmp_path / "killed")
    found = records(shop(400))
    take(store, found[store.positions.get(0, 0) :])
    assert rows(store, SUM) == rows(whole, SUM)
    store.close()
    whole.close()


def test_an_erased_person_leaves_no_row_and_no_byte(tmp_path: Path) -> None:
    stated = Stated()
    told = [
        stated("list.joined", "visitor", "2026-03-01", list="only-visitors-list"),
        stated("person.merged", "visitor", "2026-03-01", into="anna"),
        *[
            stated("order.placed", "anna", "2026-03-02", order=f"a{n}", total="1", items="1",
                   number=n, currency="EUR", source="only-annas-source", history=True)
            for n in range(1, 30)
        ],
        stated("order.placed", "bruno", "2026-03-02", order="b", total="2", items="1", number=1,
               currency="EUR", source="google"),
    ]  # fmt: skip
    store = opened(tmp_path)
    take(store, records(told))
    traces = [b"only-annas-source", b"only-visitors-list"]
    store.rewrite()  # all of it lies in the file itself now
    assert all(trace in store.path.read_bytes() for trace in traces)

    told.append(stated("person.erased", "anna", "2026-03-03"))
    erased = take(store, records(told)[-1:])
    assert erased.erased == 30
    assert rows(store, "SELECT DISTINCT source FROM facts") == [("google",)]
    assert any(trace in store.path.read_bytes() for trace in traces), "deleted text stays"
    assert store.wants_rewrite
    store.rewrite()
    assert not store.wants_rewrite
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(trace in path.read_bytes() for path in files for trace in traces)

    # What another partition still has of the visitor is not taken in again, now or after a restart.
    late = records([told[0].replace(b".0.0.", b".3.0.")], partition=1)
    assert take(store, late).left_out == 1
    store.close()
    store = opened(tmp_path)
    later = records([told[0].replace(b".0.0.", b".4.0.")], partition=1)
    assert take(store, later).left_out == 1
    assert rows(store, "SELECT count(*) FROM facts") == [(1,)]
    store.close()


def test_a_person_who_comes_back_under_a_new_pseudonym_counts(tmp_path: Path) -> None:
    stated = Stated()
    store = opened(tmp_path)
    take(store, records([
        stated("run.entered", "old", "2026-03-01"),
        stated("person.erased", "old", "2026-03-02"),
        stated("run.entered", "new", "2026-03-03"),
    ]))  # fmt: skip
    assert rows(store, "SELECT person FROM facts") == [(hashed("new"),)]
    store.close()


def test_a_visitor_who_is_read_after_the_customers_erasure_is_erased_as_well(
    tmp_path: Path,
) -> None:
    """The topic's partitions are read one after the other, and the two lie in different ones."""
    customers, visitors = Stated(0), Stated(1)
    store = opened(tmp_path)
    take(store, records([customers("person.erased", "anna", "2026-03-03")]))
    told = [
        visitors("run.entered", "earlier", "2026-03-01"),
        visitors("person.merged", "earlier", "2026-03-01", into="visitor"),
        visitors("run.entered", "visitor", "2026-03-02"),
        visitors("run.entered", "other", "2026-03-02"),
        visitors("person.merged", "visitor", "2026-03-02", into="anna"),
    ]
    assert take(store, records(told, partition=1)).erased == 2
    assert rows(store, "SELECT person FROM facts") == [(hashed("other"),)]
    assert rows(store, "SELECT * FROM merges") == []
    assert store.wants_rewrite
    late = [visitors("run.entered", "visitor", "2026-03-02")]
    assert take(store, records(late, partition=1)).left_out == 1
    store.close()


def test_a_rewriting_that_was_killed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = Stated()
    store = opened(tmp_path)
    take(store, records([
        stated("run.entered", "anna", "2026-03-01"), stated("person.erased", "anna", "2026-03-02"),
    ]))  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.rewrite()
    assert store.wants_rewrite
    store.close()
    store = opened(tmp_path)
    assert store.wants_rewrite, "as the file itself says"
    store.rewrite()
    store.close()
    store = opened(tmp_path)
    assert not store.wants_rewrite
    assert not list(store.exports.iterdir())
    store.close()


def test_a_snapshot_stands_beside_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = records(shop(5))
    store = opened(tmp_path)
    take(store, found[:6])
    written = []

    def merge(*_: object) -> list[str]:
        written.append(store.snapshot("beside", 0))
        return []

    monkeypatch.setattr("streams.insights.store._merge", merge)
    take(store, found[6:])
    assert store.snapshots() == [str(written[0])]
    with duckdb.connect() as reading:
        count = "SELECT count(*) FROM read_parquet(?)"
        assert reading.execute(count, [str(written[0])]).fetchall() == [(6,)]
    assert rows(store, "SELECT count(*) FROM facts") == [(11,)]
    store.close()


def contents(store: FactStore) -> list[object]:
    totals = rows(store, SUM)
    sums = rows(store, "SELECT month, fact, workflow, currency, sum(facts), sum(amount) FROM sums "
                       "GROUP BY ALL ORDER BY ALL")  # fmt: skip
    return [totals, sums]


def test_months_that_the_log_lets_go_of_become_sums_and_a_rebuild_says_the_same(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    found = records(shop(20))[2:]
    take(store, found)
    assert store.age({0: 0}) == 0
    assert store.age({0: 21}) == 19
    aged = contents(store)
    [[orders]] = [[row for row in aged[1] if row[1] == "order.placed"]]  # type: ignore[attr-defined]
    assert orders[4:] == (9, Decimal("468.9000"))
    assert "person" not in {name for name, *_ in rows(store, "DESCRIBE sums")}
    assert store.age({0: 21}) == 0, "once"

    store.begin_anew({0: 21})
    assert rows(store, SUM) == []
    take(store, found[19:])
    assert contents(store) == aged
    store.close()


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert not store.know_topic("a")
    take(store, records(shop(5)))
    before = rows(store, SUM)
    assert not store.know_topic("a")
    assert store.know_topic("b")
    assert store.positions == {}
    assert take(store, records(shop(5))).repeated == 11, "a copy holds the same facts"
    assert rows(store, SUM) == before
    store.close()


def test_the_shops_day_follows_its_zone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    store = opened(tmp_path)
    take(store, records(shop(1)))
    store.close()
    store = opened(tmp_path, zone="America/New_York")
    days = {str(day) for (day,) in rows(store, "SELECT day FROM facts WHERE fact LIKE 'order%'")}
    assert days == {"2026-03-31"}
    store.close()


def test_what_is_no_fact_is_left_out_and_stops_nothing(tmp_path: Path) -> None:
    good, stated = shop(1), Stated(3)
    strange = stated("run.entered", "c", "2026-03-01").replace(b"run.entered", b"run.teleported")
    odd = stated("order.placed", "c", "2026-03-01", order="x", total="1", items="1", number=1)
    odd = odd.replace(b'"total":"1"', b'"total":{"a":[]}')
    [torn] = facts_of(records([stated("run.entered", "c", "2026-03-01")]))
    store = opened(tmp_path)
    facts = [*facts_of(records([*good, strange, odd])), torn._replace(text="{torn")]
    written = store.write(facts, {0: 6})
    assert (written.facts, written.left_out) == (5, 1)
    assert rows(store, "SELECT count(*) FROM facts WHERE fact = 'run.teleported'") == [(1,)]
    store.close()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b'{"fact": "run.entered", "time": "x", "id": "1.2.3", "person": "a"}', "EPOCH.PARTITION"),
        (b'{"fact": "run.entered", "time": "x", "id": "1.2.-3.0", "person": "a"}', "EPOCH"),
        ('{"fact": "x", "time": "", "id": "1.2.².0", "person": "a"}'.encode(), "EPOCH"),
        (b'{"fact": "run.entered", "time": "x", "id": "1.2.3.0"}', "person"),
        (b'{"fact": "person.merged", "time": "x", "id": "1.2.3.0", "person": "a"}', "into"),
        (b'{"a": "' + b"x" * 70_000 + b'"}', "at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_fact_is_said(value: bytes, problem: str) -> None:
    with pytest.raises(tables.NotAFact, match=problem):
        tables.read_told(value)


def test_what_is_nested_without_end_is_no_fact() -> None:
    head = b'{"fact": "x", "time": "", "id": "1.2.3.0", "person": "a", "b": '
    with pytest.raises(tables.NotAFact):
        tables.read_told(head + b"[" * 60_000)


def test_decisions_lie_in_the_same_topic_and_are_none() -> None:
    decision = Record("facts", 0, 0, 0, b"w", b'{"decision": "sent"}', ())
    assert tables.read_fact(decision) is None


def test_a_counted_hit_is_kept_without_a_person(tmp_path: Path) -> None:
    value = (b'{"fact":"mail.hit","time":"2026-03-01T10:00:00Z","kind":"open","mode":"anonymous",'
             b'"verdict":"human","why":"browser","workflow":"w11-welcome","step":"thanks",'
             b'"template":"thanks","mail_class":"marketing","link":0,"mail":"","person":"",'
             b'"count":3}')  # fmt: skip
    store = opened(tmp_path)
    take(store, [Record("facts", 0, n, 0, b"w", value, ()) for n in range(2)])
    found = rows(store, "SELECT hit, verdict, sum(hits), max(person) FROM hits GROUP BY ALL")
    assert found == [("open", "human", 6, None)]
    store.close()


def test_a_file_that_another_process_has_says_whom_to_ask(tmp_path: Path) -> None:
    store = opened(tmp_path)
    script = ("import sys; from pathlib import Path; from tests.insights.stated import opened; "
              "opened(Path(sys.argv[1]))")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True, text=True,
        cwd=Path(__file__).parents[2], env={**os.environ},
    )  # fmt: skip
    assert "RITORNO_INSIGHTS_BIND" in done.stderr
    store.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "facts.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(InsightsError, match=r"facts\.duckdb"):
        opened(tmp_path)
