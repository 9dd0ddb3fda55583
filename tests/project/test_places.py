"""What is to be added has few places, and each that is forgotten is named here."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from agents.customer import actor
from agents.workflows import steps
from schemas import outcomes
from schemas.definitions.steps import STEPS
from schemas.events import EVENT_TYPES, own, person, shopping

ROWS = (
    *shopping.EVENT_TYPES, *person.EVENT_TYPES, *outcomes.EVENT_TYPES, *own.EVENT_TYPES
)  # fmt: skip


def test_an_event_type_has_one_row() -> None:
    twice = [name for name, rows in Counter(each.name for each in ROWS).items() if rows > 1]
    assert twice == []
    assert [each.name for each in ROWS] == list(EVENT_TYPES)


def test_an_event_type_has_a_handler() -> None:
    links = (actor.link_actor, actor.orders_elsewhere, actor.statements_elsewhere)
    told = {name for each in links for name in each.HANDLERS}
    handled = actor._HANDLERS.keys() | told | actor.ERASES | {actor.REEVALUATED}
    assert EVENT_TYPES.keys() - handled == set(), (
        "add it to the HANDLERS of a module, or of the actor"
    )
    assert handled - EVENT_TYPES.keys() == set(), "add its row beside its model in schemas/events"
    tables = [
        actor._HANDLED_HERE,
        *(getattr(each, "HANDLERS", {}) for each in vars(actor).values()),
    ]
    assert sum(map(len, tables)) == len(actor._HANDLERS) + len(told), "two modules handle one type"


def test_a_verb_has_something_to_do() -> None:
    assert set(STEPS) - steps._VERBS.keys() == set(), (
        "add it to _VERBS in agents/workflows/steps.py"
    )
    assert steps._VERBS.keys() - set(STEPS) == set(), (
        "add it to Step in schemas/definitions/steps.py"
    )
    assert len({each.verb for each in STEPS}) == len(STEPS)


ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## …(.+)\n\nExample: «([^»]+)»", GUIDE, re.MULTILINE))
"""What is added → subject of the commit that the guide shows it on."""
NOT_COUNTED = ("tests/", "docs/", "deploy/grafana/dashboards/")
CATALOGUE = "streams/messages/locale/"


def git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.fixture(scope="module")
def commits() -> dict[str, str]:
    """Hash of each commit by its subject."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the history is not here")
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("the history is not here as a whole")
    lines = (line.partition(" ") for line in git("log", "--format=%H %s").splitlines())
    return {subject: hash_ for hash_, _, subject in lines}


def test_the_guide_has_an_example_of_each() -> None:
    assert len(EXAMPLES) == len(re.findall(r"^## …", GUIDE, re.MULTILINE)) == 6


@pytest.mark.parametrize("what", EXAMPLES)
def test_each_example_is_a_commit_that_touched_three_places_at_most(
    commits: dict[str, str], what: str
) -> None:
    subject = " ".join(EXAMPLES[what].split())
    assert subject in commits
    files = git("show", "--format=", "--name-only", commits[subject]).split()
    places = {
        CATALOGUE if file.startswith(CATALOGUE) else file
        for file in files
        if not file.startswith(NOT_COUNTED) and not file.endswith(".md")
    }
    assert 1 <= len(places) <= 3, sorted(places)
