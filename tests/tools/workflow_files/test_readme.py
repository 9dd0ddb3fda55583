"""The guide for whoever writes workflows: its examples are right."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree, ignore_patterns

from agents.mail.message.render import Rendered
from schemas.commands import SendCommand
from schemas.definitions.steps import VERBS
from schemas.definitions.triggers import _KINDS, DERIVED
from streams.runtime.definition_files import read_directory
from streams.tools.workflow_files.testing import WorkflowTestRunner

WORKFLOWS = Path(__file__).parents[3] / "workflows"
TEXT = (WORKFLOWS / "README.md").read_text(encoding="utf-8")


def test_the_examples_are_right_beside_the_shipped_files(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 6
    copytree(WORKFLOWS, tmp_path / "w", ignore=ignore_patterns("templates"))
    for number, example in enumerate(examples):
        (tmp_path / "w" / f"example-{number}.yaml").write_text(example, encoding="utf-8")
    reading = read_directory(tmp_path / "w")
    assert reading.findings == []
    assert sum(name.startswith("example-") for name in reading.definitions) == 5
    runner = WorkflowTestRunner(reading, _not_rendered)
    results = list(runner.try_out(["example-quiz"]))
    assert [result.problems for result in results] == [[], [], []]


def _not_rendered(command: SendCommand) -> Rendered:
    raise AssertionError(command.template)


def test_every_verb_trigger_and_conclusion_is_named() -> None:
    words = set(re.findall(r"[a-z_.]+", TEXT))
    assert set(VERBS) <= words
    assert set(_KINDS) <= words
    assert words >= DERIVED.keys()
