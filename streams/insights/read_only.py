"""SQL of a person's own: one statement that reads, within bounds of time, rows and bytes.

Four fences: DuckDB itself parses the text, and it must be one SELECT; of functions that stand where
a table stands it may have those of `TABLE_FUNCTIONS` alone; it runs in a transaction that can't
write; and the database has no access to files, networks or extensions, and can't be given any
(`FactStore._connect`). COPY, ATTACH, PRAGMA, SET, INSTALL are no SELECT; `read_csv`, `glob`,
`FROM '/etc/passwd'` are refused by the last fence; the file of facts itself, snapshots and SQL
inside of texts (`query`) by the second.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID

import duckdb

from streams.insights.errors import QuestionError

MOST_ROWS = 10_000
MOST_BYTES = 4 * 1024 * 1024
"""Of one answer; more is cut, and that is said."""

MOST_SECONDS = 30.0
"""For which a question may run; then it is interrupted."""

MOST_LETTERS = 65_536
"""Of one statement."""

_WRAPPED = """SELECT CASE WHEN strlen("its row"::VARCHAR) <= {2} THEN COLUMNS("its row".*) END,
strlen("its row"::VARCHAR) <= {2}
FROM (SELECT * FROM (
{0}
) LIMIT {1}) AS "its row"
"""
"""A row that is too long becomes no value of Python's: it is measured in DuckDB's memory, which is
bounded (`RITORNO_INSIGHTS_MEMORY_MB`)."""
_TOO_DEEP = "it is nested too deeply"

TABLE_FUNCTIONS = frozenset({
    "range", "generate_series", "unnest", "duckdb_columns", "duckdb_tables", "duckdb_views",
    "pragma_table_info",
})  # fmt: skip
WRITING_FUNCTIONS = frozenset({"write_log", "nextval", "setseed"})
"""Of what stands where a value stands, what changes something, be it only DuckDB's own notes."""


class Rows(NamedTuple):
    """What a statement has found."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """Of what JSON knows."""
    is_cut: bool
    """Whether there is more."""


def select(
    cursor: duckdb.DuckDBPyConnection,
    statement: str,
    *,
    rows: int = MOST_ROWS,
    seconds: float = MOST_SECONDS,
) -> Rows:
    """Run one SELECT. Raises QuestionError, which says what was wrong with it."""
    wrapped = _WRAPPED.format(_one_select(cursor, statement), rows + 1, MOST_BYTES)
    try:
        _one_select(cursor, wrapped)
        with time_limit(cursor, seconds):
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                return _fetched(cursor.execute(wrapped), rows)
            finally:
                cursor.execute("ROLLBACK")
    except duckdb.Error as error:
        raise QuestionError(_first_line(error)) from None
    except RecursionError:
        raise QuestionError(_TOO_DEEP) from None


@contextmanager
def time_limit(cursor: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt what the cursor does after `seconds`, which is told as QuestionError."""
    is_late = threading.Event()

    def interrupt() -> None:
        is_late.set()
        cursor.interrupt()

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.Error:
        if is_late.is_set():
            raise QuestionError(f"it took longer than {seconds:g} s, and was ended") from None
        raise
    finally:
        timer.cancel()


def _one_select(cursor: duckdb.DuckDBPyConnection, text: str) -> str:
    if len(text) > MOST_LETTERS + 100:
        raise QuestionError(f"a statement of more than {MOST_LETTERS:,} letters")
    try:
        statements = cursor.extract_statements(text)
    except duckdb.Error as error:
        raise QuestionError(_first_line(error)) from None
    if len(statements) != 1:
        raise QuestionError(f"expected one statement (got {len(statements)})")
    [statement] = statements
    if statement.type != duckdb.StatementType.SELECT:
        kind = str(statement.type).rpartition(".")[2].upper()
        raise QuestionError(f"only SELECT is answered (got {kind})")
    if statement.named_parameters:
        raise QuestionError("a statement without parameters is expected")
    _check_functions(cursor, statement.query)
    return statement.query.strip().rstrip(";")


def _check_functions(cursor: duckdb.DuckDBPyConnection, text: str) -> None:
    """Look through the parsed statement for functions that it may not have."""
    found = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    try:
        tree = json.loads(found[0]) if found else {"error": True}
    except RecursionError:
        raise QuestionError(_TOO_DEEP) from None
    if tree.get("error"):
        raise QuestionError(str(tree.get("error_message", "it can't be parsed"))[:500])
    waiting: list[tuple[Any, bool]] = [(tree, False)]
    while waiting:
        node, is_table = waiting.pop()
        if isinstance(node, list):
            waiting += [(each, is_table) for each in node]
        elif isinstance(node, dict):
            name = str(node.get("function_name", "")).lower()
            if name and (name in WRITING_FUNCTIONS or (is_table and name not in TABLE_FUNCTIONS)):
                raise QuestionError(f"the function {name} is not allowed here")
            table = str(node.get("table_name", ""))
            if node.get("type") == "BASE_TABLE" and set(table) & set("/\\.:"):
                raise QuestionError(f"there is no table {table[:100]!r}")
            within = node.get("type") == "TABLE_FUNCTION"
            waiting += [(each, within and key == "function") for key, each in node.items()]


def _fetched(cursor: duckdb.DuckDBPyConnection, most: int) -> Rows:
    columns = [each[0] for each in cursor.description or ()][:-1]
    rows: list[Sequence[Any]] = []
    size = 0
    while (found := cursor.fetchone()) is not None:
        *values, fits = found
        plain = [plain_value(value) for value in values]
        size += len(json.dumps(plain, ensure_ascii=False).encode()) if fits else 0
        if not fits or size > MOST_BYTES or len(rows) == most:
            return Rows(columns, rows, True)
        rows.append(plain)
    return Rows(columns, rows, False)


def plain_value(value: Any) -> Any:  # noqa: PLR0911  # one line for each type
    """Return what JSON knows: amounts and times become texts, exact ones."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case Decimal():
            return f"{value:f}"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta() | UUID():
            return str(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(key): plain_value(each) for key, each in value.items()}
        case list() | tuple():
            return [plain_value(each) for each in value]
    return str(value)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:500]
