"""The file of facts: whole batches with their offsets, erasures, months that age, rewriting.

A batch is one transaction: the new facts, how far each partition of the topic is read, and the
marks by which repetitions are known. So a kill at any instant leaves the file as it was before a
batch or after it, and reading goes on exactly there.

**Repetitions.** A worker that crashes decides again what it has told, and one that was paused may
append late. Within one partition of `facts`, those that came of one partition of the customers'
log are in order of epoch and offset but for such repetitions: effects are appended whole and in
order per partition (`agents/partition/origins.py` rests on the same law). So for each such pair
the highest offset, and the places that were seen at it, tell every repetition, where an index over
the ids of fifty million facts would not fit the memory.

**Erasure.** The person's rows go in the transaction of the fact that tells it. A visitor's facts
lie in another partition than the customer's it has become, and may be read later: one that merges
into somebody who is gone goes as well. Deleted text stays in the file's free blocks, so the file is
written anew (`rewrite`), the old one removed.

**Age.** What the log holds no more is held here no more either: it is summed by month and group,
without persons (`age`). So the file made anew from the log and the sums says the same. An order
goes when the last of what was told of it goes, since an edit takes the place of what was before.

Methods block: call them from a thread. One thread at a time writes; questions and snapshots have a
cursor each.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb

from streams.insights import tables
from streams.insights.errors import InsightsError
from streams.insights.tables import Told
from streams.logging import get_logger

FILE = "facts.duckdb"
EXPORTS = "exports"
"""Directory of snapshots, the only one that SQL reaches, and only to write a snapshot."""

REWRITING = ".rewriting.duckdb"

ROWS_AT_ONCE = 20_000
"""Facts in one transaction: half a second's worth."""

_log = get_logger(__name__)

Place = tuple[int, int]
"""A partition of `facts` and one of the customers' log."""

T = TypeVar("T")


class Mark(NamedTuple):
    """How far one partition of the customers' log has been heard of in one of `facts`."""

    epoch: int
    offset: int
    places: frozenset[str]
    """Those at this offset; at one below all are there."""


BEFORE_ALL = Mark(-1, -1, frozenset())


class Fact(NamedTuple):
    """One fact as it came."""

    partition: int
    offset: int
    told: Told
    text: str
    """Its JSON, which DuckDB reads into the columns."""


class Written(NamedTuple):
    """What became of a batch."""

    facts: int
    repeated: int
    left_out: int
    """Of persons who are gone, or no JSON after all."""
    erased: int
    """Rows that were deleted."""


class FactStore:
    """One open file."""

    def __init__(self, directory: Path, *, threads: int, memory_mb: int, zone: str) -> None:
        """`zone`: whose days are counted. Nothing is touched before `open`."""
        self.directory = directory
        self.path = directory / FILE
        self.exports = directory / EXPORTS
        self.zone = zone
        self._threads = threads
        self._memory_mb = memory_mb
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._marks: dict[Place, Mark] = {}
        self._has_gone = False
        """Whether anybody was ever erased."""
        self._lending = threading.Lock()
        self._exporting = threading.Lock()
        self.positions: dict[int, int] = {}
        """The next offset to be read, by partition of `facts`."""
        self.latest = 0
        """Append time (ms) of the newest fact that is in."""
        self.wants_rewrite = False
        """Whether deleted rows are still somewhere in the file."""

    def open(self) -> None:
        """Open the file, or make one. Raises InsightsError."""
        try:
            self.exports.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in (*self.exports.glob(f"{REWRITING}*"), *self.exports.glob("tmp_*.parquet")):
                left.unlink()  # of a rewriting or a snapshot that was killed
            self._connect()
            self._prepare()
        except OSError as error:
            raise InsightsError(f"{self.directory} can't be written: {error.strerror}") from None
        except duckdb.Error as error:
            self.close()
            raise self._explained(error) from None
        except InsightsError:
            self.close()
            raise
        self._load()

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # Feeding.

    def write(self, facts: Sequence[Fact], positions: Mapping[int, int], time: int = 0) -> Written:
        """Keep a batch, and that the partitions are read up to `positions`; `time` (ms) is the
        append time of its newest record. All of it or nothing. Raises InsightsError."""
        try:
            return self._write(facts, positions, time, careful=False)
        except duckdb.InvalidInputException:
            # A fact that begins like one and is no JSON: it alone is left out.
            return self._guarded(lambda: self._write(facts, positions, time, careful=True))
        except duckdb.Error as error:
            raise self._explained(error) from None

    def _write(
        self, facts: Sequence[Fact], positions: Mapping[int, int], time: int, *, careful: bool
    ) -> Written:
        marks, news = self._new(facts)
        latest = max(self.latest, time)
        kept = erased = 0
        with self._transaction() as sql:
            for batch in _up_to_erasures(news):
                kept += self._insert(sql, batch, careful=careful)
                gone = _merge(sql, [each.told for each in batch if each.told.into])
                gone += [each.told.person for each in batch if each.told.erases]
                erased += _erase(sql, gone)
                self._has_gone = self._has_gone or bool(gone)
            _replace(sql, "positions", ("topic_partition",), [
                (number, offset) for number, offset in positions.items()
            ])  # fmt: skip
            _replace(sql, "marks", ("topic_partition", "log_partition"), [
                (*place, mark.epoch, mark.offset, sorted(mark.places))
                for place, mark in marks.items()
            ])  # fmt: skip
            _remember(sql, {"latest": str(latest), **({"rewrite": "1"} if erased else {})})
        self._marks |= marks
        self.positions = {**self.positions, **positions}
        self.latest = latest
        self.wants_rewrite = self.wants_rewrite or erased > 0
        return Written(kept, len(facts) - len(news), len(news) - kept, erased)

    def _new(self, facts: Sequence[Fact]) -> tuple[dict[Place, Mark], list[Fact]]:
        """Return the marks that move, and the facts that were not there before."""
        marks: dict[Place, Mark] = {}
        news = []
        for fact in facts:
            told = fact.told
            if told.has_origin:
                place = fact.partition, told.partition
                mark = marks.get(place) or self._marks.get(place) or BEFORE_ALL
                at, before = (told.epoch, told.offset), (mark.epoch, mark.offset)
                if at < before or (at == before and told.place in mark.places):
                    continue
                same = mark.places if at == before else frozenset()
                marks[place] = Mark(*at, same | {told.place})
            news.append(fact)
        return marks, news

    def _insert(
        self, sql: duckdb.DuckDBPyConnection, facts: Sequence[Fact], *, careful: bool
    ) -> int:
        kept = 0
        by_table: defaultdict[str, list[Fact]] = defaultdict(list)
        for fact in facts:
            if fact.told.kind in (tables.MERGED, tables.ERASED):
                kept += 1
            else:
                by_table[tables.table_of(fact.told.kind)].append(fact)
        for table, rows in by_table.items():
            lists = [
                [each.text for each in rows],
                [each.partition for each in rows],
                [each.offset for each in rows],
            ]
            statement = tables.insert(
                table, self.zone, leaves_out_gone=self._has_gone, careful=careful
            )
            kept += _count(sql, statement, lists)
        return kept

    # Looking after the file.

    def age(self, starts: Mapping[int, int]) -> int:
        """Sum what the topic holds no more, by the first offset that it still has, and return how
        many facts that were. Raises InsightsError."""
        return self._guarded(lambda: self._age(starts))

    def _age(self, starts: Mapping[int, int], *, whole_orders: bool = True) -> int:
        old = " OR ".join(
            f"(topic_partition = {int(number)} AND topic_offset < {int(start)})"
            for number, start in starts.items()
            if start > 0
        )
        if not old:
            return 0
        count = 0
        with self._transaction() as sql:
            for table in tables.TABLES:
                # Zone maps find that there is none without reading the table.
                if not sql.execute(f"SELECT 1 FROM {table} WHERE {old} LIMIT 1").fetchone():
                    continue
                goes = old
                if table == "purchases":
                    goes = tables.orders_that_go(old) if whole_orders else old
                    sql.execute(tables.insert_order_sums(goes))
                columns = ", ".join((*tables.GROUPS, "facts", "amount"))
                sums = f"{tables.sums_of(table)} WHERE {goes} GROUP BY ALL"
                sql.execute(f"INSERT INTO sums ({columns}) {sums}")
                count += _count(sql, f"DELETE FROM {table} WHERE {goes}")
            if count:
                _remember(sql, {"rewrite": "1"})
        self.wants_rewrite = self.wants_rewrite or count > 0
        return count

    def know_topic(self, id_: str) -> bool:
        """Note which topic is read, by the broker's id; return whether it is another one than
        before, made anew or of another broker: its offsets are others, and it is read from its
        beginning. What it holds of the former one has the same marks. Raises InsightsError."""

        def note() -> bool:
            with self._transaction() as sql:
                is_other = _state(sql).get("topic", id_) != id_
                if is_other:
                    sql.execute("DELETE FROM positions")
                _remember(sql, {"topic": id_})
            if is_other:
                self.positions = {}
            return is_other

        return self._guarded(note)

    def begin_anew(self, starts: Mapping[int, int]) -> None:
        """Forget all that the log still holds, to read it again; what it holds no more is summed.
        Raises InsightsError."""
        self._guarded(lambda: self._begin_anew(starts))

    def _begin_anew(self, starts: Mapping[int, int]) -> None:
        # What is left of an order in the log is read again, and taken off its sum.
        self._age(starts, whole_orders=False)
        with self._transaction() as sql:
            for table in (*tables.TABLES, "merges", "gone", "positions", "marks"):
                sql.execute(f"DELETE FROM {table}")
            _remember(sql, {"latest": "0", "rewrite": "1"})
        self._load()

    def rewrite(self) -> None:
        """Write the file anew, without what was deleted. Nobody may ask meanwhile. Raises
        InsightsError."""
        fresh = self.exports / REWRITING
        try:
            fresh.unlink(missing_ok=True)
            sql = self._sql()
            sql.execute("CHECKPOINT")
            sql.execute(f"ATTACH '{_quoted(fresh)}' AS fresh")
            try:
                sql.execute(f"COPY FROM DATABASE {_quoted_name(self.path.stem)} TO fresh")
                # In the fresh file alone: after a kill before the old one is replaced, that one
                # still says that it holds deleted text.
                sql.execute("DELETE FROM fresh.state WHERE name = 'rewrite'")
                sql.execute("CHECKPOINT fresh")
            finally:
                sql.execute("DETACH fresh")
            self.close()
            try:
                fresh.replace(self.path)
                self.path.with_name(self.path.name + ".wal").unlink(missing_ok=True)
            finally:
                self._connect()
            self._load()
        except duckdb.Error as error:
            raise self._explained(error) from None
        except OSError as error:
            raise InsightsError(f"{self.path} can't be written anew: {error.strerror}") from None
        _log.info("the file of facts was written anew", bytes=self.path.stat().st_size)

    def snapshot(self, name: str, time: int) -> Path:
        """Write all facts as Parquet into a file of that name, and return where. Raises
        InsightsError."""
        path = self.exports / f"{name}.parquet"

        def write() -> None:
            # Not within the writer's transaction. Noted first: a kill leaves no file unknown.
            with self._exporting, self.cursor() as sql:
                sql.execute("BEGIN TRANSACTION")
                sql.execute("DELETE FROM exports WHERE path = ?", [str(path)])
                sql.execute(
                    "INSERT INTO exports VALUES (?, make_timestamp(?))", [str(path), time * 1000]
                )
                sql.execute("COMMIT")
                sql.execute(f"COPY (SELECT * FROM facts) TO '{_quoted(path)}' (FORMAT parquet)")

        self._guarded(write)
        return path

    def snapshots(self) -> list[str]:
        """Return which snapshots were written and may hold persons who were erased since. Raises
        InsightsError."""

        def read() -> list[str]:
            with self.cursor() as sql:
                found = sql.execute("SELECT path FROM exports ORDER BY path").fetchall()
            return [path for (path,) in found if Path(path).exists()]

        return self._guarded(read)

    # Asking.

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor of its own to who asks, on any thread. Raises InsightsError."""
        with self._lending:
            cursor = self._sql().cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    # Within.

    def _sql(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            raise InsightsError("the store of facts isn't open")
        return self._connection

    def _connect(self) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": str(self._threads),
            "memory_limit": f"{self._memory_mb}MB",
            "temp_directory": str(self.directory / "spilled"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self._connection = connection = duckdb.connect(str(self.path), config=settings)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET python_enable_replacements = false")
        connection.execute(f"SET allowed_directories = ['{_quoted(self.exports)}/']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")

    def _prepare(self) -> None:
        with self._transaction() as sql:
            for statement in tables.ddl():
                sql.execute(statement)
            known = _state(sql)
            if known.get("format", tables.FORMAT) != tables.FORMAT:
                raise InsightsError(
                    f"{self.path} was written by another release; remove it, and it is read again "
                    "from the log"
                )
            if known.get("zone", self.zone) != self.zone:
                for table, columns in tables.TABLES.items():
                    has = {each.name for each in columns}
                    when = "coalesce(ordered, happened, time)" if "ordered" in has else (
                        "coalesce(happened, time)")  # fmt: skip
                    sql.execute(f"UPDATE {table} SET day = {tables.day_of(when, self.zone)}")
            _remember(sql, {"format": tables.FORMAT, "zone": self.zone})

    def _load(self) -> None:
        sql = self._sql()
        self.positions = dict(sql.execute("SELECT * FROM positions").fetchall())
        self._marks = {
            (number, source): Mark(epoch, offset, frozenset(places))
            for number, source, epoch, offset, places in sql.execute(
                "SELECT * FROM marks"
            ).fetchall()
        }
        self._has_gone = sql.execute("SELECT 1 FROM gone LIMIT 1").fetchone() is not None
        state = _state(sql)
        self.latest = int(state.get("latest", 0))
        self.wants_rewrite = bool(state.get("rewrite"))

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        sql = self._sql()
        sql.execute("BEGIN TRANSACTION")
        try:
            yield sql
        except BaseException:
            sql.execute("ROLLBACK")
            raise
        sql.execute("COMMIT")

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except duckdb.Error as error:
            raise self._explained(error) from None

    def _explained(self, error: duckdb.Error) -> InsightsError:
        text = (str(error).splitlines() or [""])[0][:300]
        if "lock" in text.lower():
            return InsightsError(
                f"another process has {self.path}: ask it instead (RITORNO_INSIGHTS_BIND)"
            )
        return InsightsError(f"{self.path}: {text}")


def _up_to_erasures(facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
    """Yield facts in runs each of which ends behind an erasure, or at the end: what comes after
    one is of somebody else."""
    start = 0
    for number, fact in enumerate(facts):
        if fact.told.erases:
            yield facts[start : number + 1]
            start = number + 1
    if start < len(facts):
        yield facts[start:]


def _merge(sql: duckdb.DuckDBPyConnection, merges: Sequence[Told]) -> list[str]:
    """Note who goes on as whom, so that each pseudonym leads to the last one at once. Return those
    who go on as somebody who is gone."""
    if not merges:
        return []
    found = sql.execute(
        "SELECT person FROM (SELECT unnest($1::VARCHAR[]) AS person, unnest($2::VARCHAR[]) AS name)"
        f" SEMI JOIN gone ON gone.digest = {tables.digest_of('name')}",
        [[told.person for told in merges], [told.into for told in merges]],
    ).fetchall()
    gone = [person for (person,) in found]
    without = set(gone)
    for told in merges:
        if told.person in without:
            continue
        values = [told.person, told.into]
        old, new = tables.number_of("$1"), tables.number_of("$2")
        sql.execute(f"DELETE FROM merges WHERE person = {tables.number_of('$1')}", values[:1])
        sql.execute(f"UPDATE merges SET into_person = {new} WHERE into_person = {old}", values)
        sql.execute(f"INSERT INTO merges SELECT {old}, {new}", values)
    return gone


def _erase(sql: duckdb.DuckDBPyConnection, persons: Sequence[str]) -> int:
    """Delete all of these persons, under whichever pseudonym; return how many rows."""
    if not persons:
        return 0
    sql.execute(
        "CREATE TEMP TABLE erased AS SELECT unnest($1::VARCHAR[]) AS name, 0::UBIGINT AS person",
        [list(persons)],
    )
    sql.execute(f"UPDATE erased SET person = {tables.number_of('name')}")
    sql.execute(
        "INSERT INTO erased SELECT printf('%016x', person), person FROM merges "
        "WHERE into_person IN (SELECT person FROM erased)"
    )
    sql.execute(f"INSERT INTO gone SELECT {tables.digest_of('name')} FROM erased")
    count = sum(
        _count(sql, f"DELETE FROM {table} WHERE person IN (SELECT person FROM erased)")
        for table in tables.TABLES
    )
    sql.execute("DELETE FROM merges WHERE person IN (SELECT person FROM erased)")
    sql.execute("DROP TABLE erased")
    return count


def _replace(
    sql: duckdb.DuckDBPyConnection, table: str, keys: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Put rows in the place of those with the same keys, which stand first."""
    if not rows:
        return
    condition = " AND ".join(f"{key} = ?" for key in keys)
    for row in rows:
        sql.execute(f"DELETE FROM {table} WHERE {condition}", list(row[: len(keys)]))
        sql.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", list(row))


def _remember(sql: duckdb.DuckDBPyConnection, values: Mapping[str, str]) -> None:
    _replace(sql, "state", ("name",), list(values.items()))


def _state(sql: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(sql.execute("SELECT name, value FROM state").fetchall())


def _count(sql: duckdb.DuckDBPyConnection, statement: str, values: Any = None) -> int:
    """Run a statement that changes rows and return how many."""
    found = sql.execute(statement, values).fetchone()
    return int(found[0]) if found else 0


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")


def _quoted_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
