"""What workflow files name of each other: segments, campaigns, scores, workflows.

(The fields that a file names: `agents/definitions/field_names.py`.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import get_args

from agents.rules.validation_errors import ValidationIssue
from schemas.decisions import REASONS, DecisionKind
from schemas.definitions import AnyDefinition
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Coupons, Segments
from schemas.definitions.steps import steps_with_paths
from schemas.definitions.triggers import OnScore, OnSegment
from schemas.definitions.workflow import Workflow
from schemas.suggestions import did_you_mean

DEFINED_BY = {
    "segment": "segments",
    "campaign": "coupons",
    "score": "scoring",
    "workflow": "workflow",
}
"""What is named: by definitions of which kind; decisions and reasons are ours."""


def unknown_names(
    workflow: Workflow, definitions: Iterable[AnyDefinition], unread: Collection[str] = ()
) -> Iterator[ValidationIssue]:
    """Yield what a workflow names that none of the definitions is.

    `unread`: kinds of definitions of which some could not be read, so that nobody can tell.
    """
    known = _known(definitions)
    for path, kind, name in _named(workflow):
        if name not in known[kind] and DEFINED_BY.get(kind) not in unread:
            hint = did_you_mean(name, known[kind])
            yield ValidationIssue(path, f"there is no {kind} {name}{hint}")


def _known(definitions: Iterable[AnyDefinition]) -> Mapping[str, set[str]]:
    known: dict[str, set[str]] = {
        "segment": set(), "campaign": set(), "score": set(), "workflow": set(),
        "decision": set(get_args(DecisionKind)), "reason": set(REASONS),
    }  # fmt: skip
    for definition in definitions:
        match definition:
            case Segments(segments=segments):
                known["segment"] |= {segment.id for segment in segments}
            case Coupons(campaigns=campaigns):
                known["campaign"] |= {campaign.id for campaign in campaigns}
            case Scoring(id=id_):
                known["score"].add(id_)
            case Workflow(id=id_):
                known["workflow"].add(id_)
    return known


def _named(workflow: Workflow) -> Iterator[tuple[str, str, str]]:
    """Yield (path in the file, what it is, name)."""
    match workflow.trigger:
        case OnSegment(segment=name):
            yield "trigger.segment", "segment", name
        case OnScore(score=name):
            yield "trigger.score", "score", name
    for path, step in steps_with_paths(workflow.steps):
        for other in step.others():
            yield f"{path}.{other.path}", other.kind, other.name
    for number, test in enumerate(workflow.tests):
        for position, name in enumerate(test.workflows):
            yield f"tests.{number}.workflows.{position}", "workflow", name
        for position, expected in enumerate(test.expect):
            path = f"tests.{number}.expect.{position}"
            if expected.decision:
                yield f"{path}.decision", "decision", expected.decision
            if expected.reason:
                yield f"{path}.reason", "reason", expected.reason
