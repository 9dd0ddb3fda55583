"""Validation errors of a definition: where each is, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ValidationIssue(NamedTuple):
    """Something in a definition that can't be meant."""

    path: str
    """Where in its file: `steps.2.branch.0.if.orders.cout`."""
    problem: str


class InvalidDefinition(ValueError):
    """All that is wrong with a definition."""

    def __init__(self, found: Sequence[ValidationIssue]) -> None:
        super().__init__("; ".join(f"{path}: {problem}" for path, problem in found))
        self.found = found
