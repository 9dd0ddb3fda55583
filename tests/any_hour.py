"""Workflow files for tests on the real clock, or about other things than the policy: with its quiet
hours and caps, what they see would depend on the hour at which they run."""

from __future__ import annotations

import shutil
from pathlib import Path

WORKFLOWS = Path(__file__).parents[1] / "workflows"


def without_policy(directory: Path) -> Path:
    """Copy the workflow files into a new `directory`, all but the policy; return it."""
    shutil.copytree(WORKFLOWS, directory, ignore=shutil.ignore_patterns("policy.yaml"))
    return directory
