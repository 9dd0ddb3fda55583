"""Checking a definition against all others of a shop, before it is published."""

from __future__ import annotations

from collections.abc import Sequence

from agents.mistakes import Mistake, Mistakes
from agents.score import compile_scoring
from agents.segments import compile_segments
from agents.vocabulary import Vocabulary
from agents.workflows.program import compile_program
from schemas.definitions import AnyDefinition
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Segments
from schemas.definitions.workflow import Workflow


def mistakes_in(definition: AnyDefinition, vocabulary: Vocabulary) -> Sequence[Mistake]:
    """Return what is wrong with a definition, by what the shop's vocabulary has."""
    try:
        match definition:
            case Workflow():
                compile_program(definition, vocabulary)
            case Segments():
                compile_segments(definition, vocabulary)
            case Scoring():
                compile_scoring(definition, vocabulary)
            case _:
                pass
    except Mistakes as mistakes:
        return mistakes.found
    return ()
