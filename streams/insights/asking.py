"""Answers what is asked of the store, in the process that has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import duckdb

from schemas.instant import to_rfc3339
from streams.insights import questions, read_only
from streams.insights.errors import InsightsError, QuestionError
from streams.insights.questions.inquiry import Inquiry, Scope
from streams.insights.store import FactStore
from streams.logging import get_logger

_log = get_logger(__name__)

SECONDS = 30.0
"""For which a question may run."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Terms(NamedTuple):
    """What every answer says of itself."""

    zone: str
    """Whose days are counted."""


def answer(
    store: FactStore, terms: Terms, name: str, arguments: Mapping[str, Any], now: int
) -> Mapping[str, Any]:
    """Answer `sql`, `snapshot`, `snapshots` (where they are) or a question of
    `questions.QUESTIONS`. Raises QuestionError, InsightsError."""
    about = {
        "fresh": to_rfc3339(store.latest) if store.latest else None,
        "zone": terms.zone,
        "amounts": "vat+shipping",
    }
    if name == "sql":
        return {**about, **_sql(store, arguments)}
    if name == "snapshot":
        return {**about, **_snapshot(store, arguments, now)}
    if name == "snapshots":
        return {**about, "paths": store.snapshots()}
    if name not in questions.QUESTIONS:
        known = ", ".join(sorted(questions.QUESTIONS))
        raise QuestionError(f"no question {name[:40]!r}; there are {known}")
    scope = Scope.read(arguments)
    try:
        with store.cursor() as cursor, read_only.time_limit(cursor, SECONDS):
            ask = Inquiry(cursor, scope)
            figures = [ask.marked(each) for each in questions.QUESTIONS[name](ask)]
    except duckdb.Error as error:  # no memory, no disk; or a defect of ours
        _log.exception("a question failed", question=name)
        first_line = (str(error).splitlines() or [""])[0][:300]
        raise InsightsError(f"{name} can't be answered: {first_line}") from None
    return {**about, "figures": [each.data() for each in figures]}


def _sql(store: FactStore, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    statement, most = arguments.get("statement"), arguments.get("rows", read_only.MOST_ROWS)
    if not isinstance(statement, str):
        raise QuestionError("statement: expected a text")
    if not isinstance(most, int) or not 0 < most <= read_only.MOST_ROWS:
        raise QuestionError(f"rows: expected 1 to {read_only.MOST_ROWS} (got {str(most)[:20]})")
    with store.cursor() as cursor:
        return read_only.select(cursor, statement, rows=most)._asdict()


def _snapshot(store: FactStore, arguments: Mapping[str, Any], now: int) -> Mapping[str, Any]:
    name = arguments.get("name", "facts")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise QuestionError(f"name: expected a-z, 0-9 and hyphens (got {str(name)[:40]!r})")
    return {"path": str(store.snapshot(name, now))}
