"""The catalogue: its rows, which workflow files make each of them true, and which tests show it.

A workflow shows its row by its id (`w06-…`); the three rows that are steps of a longer conversation
by the ids of the steps. A rule is shown by the tests marked with it: `pytest.mark.row("R02")`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from streams.runtime.definition_files import read_directory

TESTS = Path(__file__).parents[1]
WORKFLOWS = TESTS.parent / "workflows"

CONVERSATIONS = {
    "W01": "Order confirmation",
    "W02": "Order status",
    "W03": "Product guide",
    "W04": "Review request",
    "W05": "Post-purchase chain",
    "W06": "Abandoned cart A",
    "W07": "Abandoned cart B",
    "W08": "First-time abandoner",
    "W09": "Seasonal cart series",
    "W10": "Cause-aware cart",
    "W11": "Welcome A",
    "W12": "Welcome B",
    "W13": "Buyer to subscriber",
    "W14": "Newsletter coupon",
    "W15": "Browse interest",
    "W16": "Cross-sell",
    "W17": "Up-sell",
    "W18": "New version",
    "W19": "Replenishment",
    "W20": "Win-back",
    "W21": "Win-back to sunset",
    "W22": "After the first purchase",
    "W23": "Points and tiers",
    "W24": "VIP by spend",
    "W25": "Birthday, anniversary",
    "W26": "Milestone",
    "W27": "Lead nurturing",
    "W28": "Sales drip on score",
    "W29": "Sales alert",
    "W30": "Support autoresponder",
    "W31": "Launch, back in stock, price",
    "W32": "Survey",
    "W33": "Engagement tags",
    "W34": "Double opt-in",
    "W35": "After a call or a stage",
}
RULES = {
    "R01": "At most 30 % promotional",
    "R02": "Frequency caps, fewer for who ignores",
    "R03": "Quiet hours in the customer's zone",
    "R04": "Consent, preferences, erasure",
    "R05": "Tracking only by consent",
    "R06": "Euro and Italian formats",
    "R07": "A/B tests with a stated winner",
    "R08": "No incentive by rating",
    "R09": "Gentle cart mails",
}


class Shown(NamedTuple):
    """A workflow that makes a row true, and its tests that show it."""

    workflow: Workflow
    tests: Sequence[str]
    """Their names."""


def conversations() -> dict[str, list[Shown]]:
    """Return the workflows of each row."""
    rows: dict[str, list[Shown]] = {row: [] for row in CONVERSATIONS}
    for workflow in read_directory(WORKFLOWS).definitions.values():
        if not isinstance(workflow, Workflow):
            continue
        all_tests = [test.name for test in workflow.tests]
        rows[workflow.id[:3].upper()].append(Shown(workflow, all_tests))
        for step in workflow.all_steps():
            row = step.id[:3].upper()
            if row in rows and isinstance(step, SendStep) and row != workflow.id[:3].upper():
                rows[row].append(Shown(workflow, list(_naming(workflow, step))))
    return rows


def rules() -> dict[str, list[str]]:
    """Return the tests of each rule: `file: what it says`."""
    rows: dict[str, list[str]] = {row: [] for row in RULES}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, marks in _marked(ast.parse(path.read_text("utf-8"))):
            for row in marks:
                rows[row].append(f"{path.relative_to(TESTS)}: {name}")
    return rows


def _naming(workflow: Workflow, step: SendStep) -> Iterator[str]:
    return (
        test.name
        for test in workflow.tests
        if any(each.send == step.send or each.step == step.id for each in test.expect)
    )


def _marked(module: ast.Module) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the tests of a module that carry the mark, and its arguments."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [
                argument.value
                for each in node.decorator_list
                if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.row"
                for argument in each.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            ]
            if marks:
                yield re.sub(r"_", " ", node.name.removeprefix("test_")), marks
