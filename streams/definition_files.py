"""Definition files: what a directory of YAML files says, and all that is wrong with it.

A mistake is told as `FILE:LINE: field: what is wrong`. Besides each file's own form, what files
name of each other is looked at: fields, segments, campaigns, scores, workflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from agents.conditions import ConditionMistake, compile_condition
from agents.vocabulary import Vocabulary
from agents.workflows.program import Mistakes, compile_program
from schemas.definitions import DEFINITION, AnyDefinition, canonical
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Coupons, Segments
from schemas.definitions.steps import CallStep, CouponStep, ScoreStep
from schemas.definitions.triggers import OnScore, OnSegment
from schemas.definitions.workflow import Workflow
from streams.yaml_text import Document

ENGAGEMENT = "engagement"


class DefinitionError(Exception):
    """Files that can't be used; a line for each mistake: `FILE:LINE: field: what is wrong`."""


class _Mistake(NamedTuple):
    path: Path
    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.path}:{self.line}: {field}{self.problem}"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    document: Document
    definition: AnyDefinition

    def mistake(self, field: str, problem: str) -> _Mistake:
        parts = [int(part) if part.isdigit() else part for part in field.split(".")]
        return _Mistake(self.path, self.document.line(parts), field, problem)


def read_files(directory: Path, *, everything: bool = False) -> dict[str, bytes]:
    """Read the definition files of a directory: id → canonical content.

    Without `everything` the recipes that are not enabled are left out; they have to be right all
    the same. Raises DefinitionError.
    """
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        raise DefinitionError(f"{directory}: there are no workflow files (*.yaml) in it")
    files: list[_File] = []
    mistakes: list[_Mistake] = []
    for path in paths:
        try:
            files.append(_read(path))
        except _Unreadable as error:
            mistakes += error.mistakes
    mistakes += _same_ids(files)
    mistakes += _wrong_names(files)
    if mistakes:
        raise DefinitionError("\n".join(map(str, mistakes)))
    return {
        file.definition.id: canonical(file.definition)
        for file in files
        if everything or not isinstance(file.definition, Workflow) or file.definition.enabled
    }


class _Unreadable(Exception):
    def __init__(self, mistakes: list[_Mistake]) -> None:
        super().__init__()
        self.mistakes = mistakes


def _read(path: Path) -> _File:
    try:
        document = Document(path.read_text(encoding="utf-8"))
        return _File(path, document, DEFINITION.validate_python(document.content))
    except ValidationError as error:
        raise _Unreadable(list(_of_the_form(path, document, error))) from None
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise _Unreadable([_Mistake(path, line, "", error.problem or str(error))]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _Unreadable([_Mistake(path, 1, "", str(error))]) from None


def _of_the_form(path: Path, document: Document, error: ValidationError) -> Iterator[_Mistake]:
    for each in error.errors(include_url=False, include_context=False):
        value = repr(each["input"])
        shown = value if len(value) <= 64 else value[:64] + "…"
        field = ".".join(map(str, each["loc"][1:]))
        problem = f"{each['msg'].removeprefix('Value error, ')} (got {shown})"
        yield _Mistake(path, document.line(each["loc"]), field, problem)


def _same_ids(files: Iterable[_File]) -> Iterator[_Mistake]:
    seen: dict[str, Path] = {}
    for file in files:
        id_ = file.definition.id
        if id_ in seen:
            yield file.mistake("id", f"{id_} is already used by {seen[id_].name}")
        seen.setdefault(id_, file.path)


def _wrong_names(files: list[_File]) -> Iterator[_Mistake]:
    vocabulary = Vocabulary([file.definition for file in files])
    known = _known_names(files)
    for file in files:
        match file.definition:
            case Workflow() as workflow:
                try:
                    compile_program(workflow, vocabulary)
                except Mistakes as error:
                    for field, problem in error.found:
                        yield file.mistake(field, problem)
                yield from _unknown_names(file, workflow, known)
            case Segments() as segments:
                for number, segment in enumerate(segments.segments):
                    try:
                        compile_condition(segment.condition, vocabulary)
                    except ConditionMistake as error:
                        yield file.mistake(f"segments.{number}.if.{error.path}", str(error))
            case Scoring() as scoring:
                for number, rule in enumerate(scoring.rules):
                    try:
                        if rule.where is not None:
                            compile_condition(rule.where, vocabulary, about=rule.on)
                    except ConditionMistake as error:
                        yield file.mistake(f"rules.{number}.where.{error.path}", str(error))


def _known_names(files: Iterable[_File]) -> Mapping[str, set[str]]:
    known: dict[str, set[str]] = {
        "segment": set(), "campaign": set(), "score": {ENGAGEMENT}, "workflow": set()
    }  # fmt: skip
    for file in files:
        match file.definition:
            case Segments(segments=segments):
                known["segment"] |= {segment.id for segment in segments}
            case Coupons(campaigns=campaigns):
                known["campaign"] |= {campaign.id for campaign in campaigns}
            case Scoring(id=id_):
                known["score"].add(id_)
            case Workflow(id=id_):
                known["workflow"].add(id_)
    return known


def _unknown_names(
    file: _File, workflow: Workflow, known: Mapping[str, set[str]]
) -> Iterator[_Mistake]:
    named: list[tuple[str, str, str]] = []
    match workflow.trigger:
        case OnSegment(segment=name):
            named.append(("trigger.segment", "segment", name))
        case OnScore(score=name):
            named.append(("trigger.score", "score", name))
    for step in workflow.all_steps():
        match step:
            case CouponStep(coupon=name):
                named.append((f"steps: {step.id}.coupon", "campaign", name))
            case ScoreStep(score=name):
                named.append((f"steps: {step.id}.score", "score", name))
            case CallStep(call=name):
                named.append((f"steps: {step.id}.call", "workflow", name))
    for field, kind, name in named:
        if name not in known[kind]:
            near = get_close_matches(name, known[kind], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield file.mistake(field, f"there is no {kind} {name}{hint}")
