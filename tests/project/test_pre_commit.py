"""The pre-commit hooks run what `make check` runs, with the tools of .venv alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS: list[dict[str, Any]] = [hook for repo in FILE["repos"] for hook in repo["hooks"]]


def test_nothing_is_fetched() -> None:
    assert {repo["repo"] for repo in FILE["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_its_command_is_there(hook: dict[str, Any]) -> None:
    assert shutil.which(str(ROOT / hook["entry"].split()[0]))
