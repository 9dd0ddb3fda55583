"""What docs/architecture.md says of the life of an order: every name is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PRODUCT = ("agents", "streams", "schemas")

NAMED = re.compile(r"`([A-Z]\w+\.\w+|_?[a-z]\w*|_\w+|[A-Z][a-z]+[A-Z]\w+)`")
"""A function, a method with its class, or a class of two words, as the page marks it."""
LIFE = PAGE.partition("## The life of one order")[2].partition("\n## ")[0]
FOREIGN = frozenset({"facts", "sent", "entered", "body", "schemas", "agents", "streams"})
"""Topics, decisions and rooms that are marked alike."""


def defined() -> set[str]:
    """Return the names of all functions and classes of the product, methods with their class."""
    found: set[str] = set()
    for path in (path for room in PRODUCT for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {
                    f"{node.name}.{each.name}"
                    for each in node.body
                    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                }
    return found


def test_every_name_in_the_life_of_an_order_is_there() -> None:
    names = set(NAMED.findall(LIFE)) - FOREIGN
    assert len(names) > 100
    assert names - defined() == set()


def test_a_worker_loads_nothing_that_a_person_runs_and_no_test() -> None:
    """What it loads later, when it starts, the import contracts look at."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, streams.runtime.worker; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    loaded = done.stdout.split()
    assert "streams.runtime.customers" in loaded
    assert [name for name in loaded if name.startswith(("streams.tools", "tests"))] == []
