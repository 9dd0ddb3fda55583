"""One word, one thing: no two classes have one name, and names that meant several things stay away.

What is said instead stands in `docs/glossary.md`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("agents", "streams", "schemas")

RETIRED = {
    "book": "mail index",
    "committer": "outbox writer",
    "desk": "page context",
    "fate": "outcome of a run",
    "fates": "outcomes of runs",
    "flights": "runs in flight",
    "gate": "partition manager",
    "grave": "delete marker",
    "graves": "delete markers",
    "mistake": "issue, problem or error",
    "mistakes": "issues, problems or errors",
    "parked": "retained",
    "parking": "retained stores",
    "press": "MJML compiler",
    "prospect": "plan of a publication",
    "settle": "what it does: drop, record, migrate, update",
    "settled": "until idle, all done",
    "shelf": "placeholders",
    "standing": "derived state, partition health, sender statistics",
    "story": "timeline, scenario",
    "telling": "broadcast",
    "tellings": "broadcasts",
    "term": "fencing epoch",
    "traffic": "concurrency limits",
    "trouble": "defect tracker",
    "turn": "lease, permit, state change, iteration",
    "turns": "leases, permits, decisions, iterations",
    "turnstile": "relay dispatcher",
    "upkeep": "compaction, housekeeping",
    "vocabulary": "field registry",
    "watches": "time triggers",
    "way": "route, arm, channel, path",
    "ways": "routes, arms, channels, paths",
}
"""Words that meant several things, or what nobody knows, and what is said instead."""

KEPT = {
    ("schemas/customer/__init__.py", "watches"): "kept field, shown by `customer show`",
    ("schemas/retry.py", "watches"): "kept field of dead letters",
    ("agents/customer/actor.py", "watches"): "goes into that field",
    ("schemas/facts.py", "Fate"): "what became of a mail, as the published fact calls it",
    ("schemas/facts.py", "MailFate"): "the same",
    ("schemas/facts.py", "fate"): "the same",
    ("streams/tools/cli/workflow_tests.py", "story"): "the option --story",
}
"""Names that can be seen from outside, or stand for one that can."""


def defined(module: ast.Module) -> Iterator[str]:
    """Yield the names that a module gives to anything, itself included."""
    for node in ast.walk(module):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case _:
                pass


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@cache
def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for room in PRODUCT
        for path in sorted((ROOT / room).rglob("*.py"))
    }


def test_a_class_name_is_one_class() -> None:
    names = Counter(
        node.name
        for module in modules().values()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_retired_words_stay_away() -> None:
    met = {
        (path, name): [RETIRED[word] for word in words(name) & RETIRED.keys()]
        for path, module in modules().items()
        for name in {*defined(module), *path.removesuffix(".py").split("/")}
        if words(name) & RETIRED.keys()
    }
    assert {at: better for at, better in met.items() if at not in KEPT} == {}
    assert met.keys() >= KEPT.keys(), "a name that is kept no more needs no exception"


def test_words_of_a_name() -> None:
    assert words("_BatchTurn") == {"batch", "turn"}
    assert words("STANDING_DIGITS") == words("standingDigits") == {"standing", "digits"}
