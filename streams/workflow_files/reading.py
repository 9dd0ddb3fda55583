"""Read definition files and collect every mistake of every file, each with its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from agents.vocabulary import Vocabulary
from agents.workflows.program import Mistakes, compile_program
from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.workflow import Workflow
from schemas.wire import all_errors
from streams.yaml_text import Document


class Finding(NamedTuple):
    """One mistake, where it stands."""

    file: Path
    line: int
    path: str
    """Such as `steps.2.wait`; empty when it is about the file as a whole."""
    problem: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {place}{self.problem}"


@dataclass(slots=True)
class Reading:
    """What a directory holds."""

    definitions: dict[str, AnyDefinition] = field(default_factory=dict)
    """By id, without those that can't be used."""
    findings: list[Finding] = field(default_factory=list)


def read_directory(directory: Path) -> Reading:
    """Read all `*.yaml` of a directory. Mistakes are findings, never raised."""
    reading = Reading()
    files: dict[str, Path] = {}
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        problem = "there are no workflow files (*.yaml) in it"
        reading.findings.append(Finding(directory, 1, "", problem))
    for path in paths:
        definition = _read_file(path, reading.findings)
        if definition is None:
            continue
        if definition.id in files:
            problem = f"{definition.id} is already used by {files[definition.id].name}"
            reading.findings.append(Finding(path, 1, "id", problem))
            continue
        files[definition.id] = path
        reading.definitions[definition.id] = definition
    return reading


def _read_file(path: Path, findings: list[Finding]) -> AnyDefinition | None:
    try:
        document = Document(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        findings.append(Finding(path, _line_of(error), "", " ".join(str(error).split())))
        return None
    try:
        definition = DEFINITION.validate_python(document.content)
        if isinstance(definition, Workflow):
            compile_program(definition, Vocabulary())
    except ValidationError as error:
        for place, problem in all_errors(error):
            line = document.line(place)
            findings.append(Finding(path, line, ".".join(map(str, place)), problem))
        return None
    except Mistakes as mistakes:
        for where, problem in mistakes.found:
            findings.append(Finding(path, document.line(_parts(where)), where, problem))
        return None
    return definition


def _parts(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in path.split(".")]


def _line_of(error: Any) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1
