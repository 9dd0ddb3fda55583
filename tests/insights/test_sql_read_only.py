"""SQL of a person's own only reads, within bounds: the attacks that were thought of."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from streams.insights import read_only
from streams.insights.errors import QuestionError
from streams.insights.read_only import Rows, plain_value, select
from streams.insights.store import FactStore
from tests.insights.stated import opened, records, take
from tests.insights.test_fact_store import shop


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactStore]:
    store = opened(tmp_path_factory.mktemp("facts"))
    take(store, records(shop(10)))
    store.snapshot("all", 0)
    yield store
    store.close()


def ask(store: FactStore, statement: str, rows: int = 100, seconds: float = 20.0) -> Rows:
    statement = statement.replace("{file}", str(store.path)).replace("{dir}", str(store.exports))
    with store.cursor() as cursor:
        return select(cursor, statement, rows=rows, seconds=seconds)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO mails SELECT * FROM mails",
        "UPDATE purchases SET total = 0",
        "DELETE FROM purchases",
        "DROP TABLE purchases",
        "CREATE TABLE mine (a INTEGER)",
        "CREATE TEMP TABLE mine AS SELECT 1",
        "COPY facts TO '{dir}/stolen.csv'",
        "COPY purchases FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/x.parquet'",
        "EXPORT DATABASE '{dir}/x'",
        "ATTACH '/tmp/other.duckdb' AS other",
        "ATTACH '{dir}/other.duckdb' AS other",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "PREPARE x AS SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE purchases",
        "SELECT 1) UNION (SELECT 2",
        "SELECT 1) LIMIT 1; DROP TABLE purchases; SELECT * FROM (SELECT 1",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_parquet('{dir}/all.parquet')",
        "SELECT * FROM '{dir}/all.parquet'",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT (SELECT count(*) FROM read_text('/etc/passwd'))",
        "SELECT * FROM facts, LATERAL (SELECT * FROM glob('/*'))",
        "WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('facts')",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "FROM checkpoint()",
        "FROM sniff_csv('/etc/passwd')",
        "SELECT write_log('x')",
        "SELECT getenv('HOME')",
        "SELECT * FROM 'https://example.org/x.parquet'",
        "SELECT $1",
        "SELECT * FROM __file__",
        "SELECT 1 /* open",
        "SELEKT 1",
        "",
        "SELECT '" + "x" * 70_000 + "'",
        "(" * 20_000,
        "SELECT " + "+".join(["1"] * 900),
    ],
    ids=lambda statement: statement[:60],
)
def test_what_does_more_than_read_is_refused(store: FactStore, statement: str) -> None:
    before = sorted(path.name for path in store.directory.rglob("*"))
    with pytest.raises(QuestionError):
        ask(store, statement)
    assert sorted(path.name for path in store.directory.rglob("*")) == before
    assert ask(store, "SELECT count(*) FROM facts").rows == [[21]]


def test_variables_of_the_program_are_not_tables(store: FactStore) -> None:
    secrets = [{"key": "hunter2"}]
    with pytest.raises(QuestionError, match="secrets"):
        ask(store, "SELECT * FROM secrets")
    assert secrets


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM facts;",
        "SELECT workflow, count(*) FROM mails GROUP BY ALL -- a remark",
        "WITH a AS (SELECT 1 AS n) SELECT * FROM a",
        "FROM purchases SELECT sum(total)",
        "VALUES (1), (2)",
        "SHOW TABLES",
        "DESCRIBE facts",
        "SELECT unnest(segments) FROM facts",
        "SELECT * FROM range(3)",
    ],
)
def test_reading_is_answered(store: FactStore, statement: str) -> None:
    assert ask(store, statement).rows


def test_an_answer_has_an_end_in_rows_bytes_and_time(
    store: FactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = ask(store, "SELECT * FROM range(1000)", rows=7)
    assert (len(cut.rows), cut.is_cut) == (7, True)
    assert not ask(store, "SELECT * FROM range(7)", rows=7).is_cut
    monkeypatch.setattr(read_only, "MOST_BYTES", 1_000)
    cut = ask(store, "SELECT repeat('x', 400) FROM range(10)")
    assert (len(cut.rows), cut.is_cut) == (2, True)
    assert ask(store, "SELECT list(x) FROM range(300) t(x)") == (["list(x)"], [], True)
    assert not ask(store, "SELECT list(x) FROM range(100) t(x)").is_cut
    with pytest.raises(QuestionError, match=r"longer than 0\.2 s"):
        ask(store, "SELECT count(*) FROM range(1000000) a, range(1000000) b", seconds=0.2)
    assert ask(store, "SELECT 1").rows == [[1]], "the next one is answered"


def test_values_become_what_json_knows(store: FactStore) -> None:
    row = ask(store, "SELECT 1.10::DECIMAL(9,2), DATE '2026-03-01', {'a': [1.5]}, NULL, 'x'::BLOB, "
                     "'nan'::FLOAT").rows  # fmt: skip
    assert row == [["1.10", "2026-03-01", {"a": ["1.5"]}, None, "78", None]]
    assert plain_value(Decimal("1E+3")) == "1000"
