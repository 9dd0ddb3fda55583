"""Runs and mails change only as their tables say, nobody else writes them, and the page is true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from agents.mail.queue import lifecycle as mails
from agents.workflows import lifecycle as runs
from schemas.customer import Customer
from schemas.customer.runs import Run
from tests.harness import START
from tests.states.__main__ import FILE, page
from tests.states.audit import NONE, NotInTheTable, audited, check_runs

ROOT = Path(__file__).parents[2]
RUN = set(Run.__struct_fields__)
MUTATORS = {
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "update",
}
OTHERS = {"self", "cart", "said", "coupon", "context", "partition", "workflow"}
"""Names of what has a field of the same name and is no run."""


def test_the_page_is_what_the_tables_say() -> None:
    assert FILE.read_text("utf-8") == page(), "make states"


@pytest.mark.parametrize("module", [runs, mails])
def test_each_change_has_a_row(module: ModuleType) -> None:
    public = {
        name
        for name, value in vars(module).items()
        if callable(value) and value.__module__ == module.__name__
        and name[0] != "_" and not isinstance(value, type) and name != "state"
    }  # fmt: skip
    assert {row.event for row in module.TRANSITIONS} == public


@pytest.mark.parametrize("module", [runs, mails])
def test_every_state_is_reached_and_left(module: ModuleType) -> None:
    rows = module.TRANSITIONS
    before = {state for row in rows for state in row.before if row.after} - {NONE}
    after = {state for row in rows for state in row.after} - {NONE}
    assert before <= after
    final = {"sent", "bounced", "failed", "rejected", "skipped"} if module is mails else set()
    assert after - before == final


def test_nobody_else_writes_a_run() -> None:
    found = []
    for room in ("agents", "streams", "schemas"):
        for file in sorted((ROOT / room).rglob("*.py")):
            if file != Path(runs.__file__):
                found += [f"{file.relative_to(ROOT)}: {it}" for it in _writes(file.read_text())]
    assert found == []


def test_a_write_of_each_kind_is_found() -> None:
    code = """
run.due = 1
one.run.held, x = 2, 3
run.results["a"] = "b"
run.step += 1
del run.anchors["a"]
mine.anchors.pop("a")
customer.runs.append(run)
customer.finished = []
for run.held_for in "ab": pass
cart.id = customer.entered["a"] = self.due = 7
"""
    assert len(list(_writes(code))) == 9


def _writes(code: str) -> Iterator[str]:
    """Yield what in some code writes a field of a run, or a customer's lists of them."""
    for node in ast.walk(ast.parse(code)):
        written: list[ast.expr] = []
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                written = targets
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                written = [target]
            case ast.For(target=target):
                written = [target]
            case ast.Call(func=ast.Attribute(value=target, attr=name)) if name in MUTATORS:
                written = [target]
        for each in written:
            parts = each.elts if isinstance(each, ast.Tuple) else [each]
            yield from (ast.unparse(part) for part in parts if _is_of_a_run(part))


def _is_of_a_run(target: ast.expr) -> bool:
    while isinstance(target, ast.Subscript):
        target = target.value
    if not isinstance(target, ast.Attribute):
        return False
    owner = ast.unparse(target.value)
    if owner == "customer":
        return target.attr in ("runs", "finished")
    return target.attr in RUN and owner not in OTHERS


def _run(**fields: object) -> Run:
    return Run("w/1", "w", "v", START, 0, START, **fields)  # type: ignore[arg-type]  # fields of Run


def test_a_transition_that_is_not_in_the_table_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(run: Run, place: int, now: int) -> None:
        run.step, run.entered = place, now

    monkeypatch.setattr(runs, "moved", forgetful)
    with pytest.raises(NotInTheTable, match="is held now"), audited():
        runs.moved(_run(held=1, held_for="mix"), 1, START)


def test_a_field_that_is_not_in_the_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def eager(run: Run, now: int) -> None:
        run.due, run.step = now, run.step + 1

    monkeypatch.setattr(runs, "answered", eager)
    with pytest.raises(NotInTheTable, match="has written"), audited():
        runs.answered(_run(held=1, held_for="calling"), 7)


def test_what_somebody_else_has_written_is_found() -> None:
    run = _run()
    with pytest.raises(NotInTheTable, match="somebody else"), audited():
        runs.scheduled(run, 7)
        run.results["a"] = "b"
        runs.scheduled(run, 8)


def test_a_run_that_is_put_off_for_no_time_is_found() -> None:
    with pytest.raises(NotInTheTable, match="since when"):
        check_runs(Customer(key="anna", runs=[_run(held_for="mix")]))
