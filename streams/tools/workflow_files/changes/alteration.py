"""One difference between two versions of a definition, with its old and its new words."""

from __future__ import annotations

from typing import Literal, NamedTuple

AlterationKind = Literal["added", "removed", "moved", "changed"]


class Alteration(NamedTuple):
    """What is otherwise, in words."""

    kind: AlterationKind
    step: str
    """Id of the step; empty when it is about the definition as a whole."""
    path: str
    """What of it, as it is called in the file: `wait`, `caps.0.at_most`."""
    old: str = ""
    new: str = ""
