"""Read definition files and collect every mistake of every file, each with its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from agents.checking import mistakes_in
from agents.mistakes import Mistake
from agents.vocabulary import Vocabulary
from agents.workflows.calls import circles
from schemas.checking import all_errors
from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.workflow import Workflow
from streams.workflow_files.naming import unknown_names
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
    files: dict[str, tuple[Path, Document]] = field(default_factory=dict)
    """Where each of the definitions was read."""

    def place(self, id_: str, path: Sequence[str | int]) -> str:
        """Return `FILE:LINE` of a part of a definition."""
        file, document = self.files[id_]
        return f"{file}:{document.line(path)}"


def read_directory(directory: Path) -> Reading:
    """Read all `*.yaml` of a directory. Mistakes are findings, never raised."""
    reading = Reading()
    files = reading.files
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        problem = "there are no workflow files (*.yaml) in it"
        reading.findings.append(Finding(directory, 1, "", problem))
    for path in paths:
        read = _read_file(path, reading.findings)
        if read is None:
            continue
        definition, document = read
        if definition.id in files:
            problem = f"{definition.id} is already used by {files[definition.id][0].name}"
            reading.findings.append(Finding(path, document.line(["id"]), "id", problem))
            continue
        files[definition.id] = (path, document)
        reading.definitions[definition.id] = definition
    whole = not reading.findings
    for id_, (path, document) in files.items():
        for where, problem in _mistakes(reading.definitions[id_], reading, whole=whole):
            reading.findings.append(Finding(path, document.line(_parts(where)), where, problem))
    return reading


def _read_file(path: Path, findings: list[Finding]) -> tuple[AnyDefinition, Document] | None:
    try:
        document = Document(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        findings.append(Finding(path, _line_of(error), "", " ".join(str(error).split())))
        return None
    try:
        return DEFINITION.validate_python(document.content), document
    except ValidationError as error:
        for place, problem in all_errors(error):
            shown = ".".join(map(str, place[1:]))  # the first part is the kind of definition
            findings.append(Finding(path, document.line(place), shown, problem))
        return None


def _mistakes(definition: AnyDefinition, reading: Reading, *, whole: bool) -> Sequence[Mistake]:
    """What names something wrongly; what the shop has of its own only if all could be read."""
    vocabulary = Vocabulary(reading.definitions.values() if whole else None)
    found = list(mistakes_in(definition, vocabulary))
    if whole and isinstance(definition, Workflow):
        found += unknown_names(definition, reading.definitions.values())
        found += circles(definition, reading.definitions.values())
    return found


def _parts(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in path.split(".")]


def _line_of(error: Any) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1
