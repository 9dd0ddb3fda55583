"""Read definition files and collect every mistake of every file, each with its line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import ValidationError

from agents.definitions.call_cycles import circles
from agents.definitions.validation import issues_in
from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import ValidationIssue
from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.workflow import Workflow
from schemas.validation import all_errors
from schemas.yaml_text import Document, yaml_problem
from streams.runtime.definition_names import unknown_names

Level = Literal["error", "warning", "note"]

NAMES = {
    "workflow": "workflows",
    "segments": "segments",
    "coupons": "campaigns",
    "scoring": "scores",
    "fields": "custom fields",
    "events": "events of the shop's own",
    "loyalty": "tiers",
}
"""What definitions of a kind have that others name."""


class FileFinding(NamedTuple):
    """One mistake, where it stands."""

    file: Path
    line: int
    path: str
    """Such as `steps.2.wait`; empty when it is about the file as a whole."""
    problem: str
    level: Level = "error"
    """note: what an error keeps from being looked at."""

    def __str__(self) -> str:
        level = "" if self.level == "error" else f"{self.level}: "
        location = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {level}{location}{self.problem}"


@dataclass(slots=True)
class Reading:
    """What a directory holds."""

    definitions: dict[str, AnyDefinition] = field(default_factory=dict)
    """By id, without those that can't be used."""
    findings: list[FileFinding] = field(default_factory=list)
    files: dict[str, tuple[Path, Document]] = field(default_factory=dict)
    """Where each of the definitions was read."""
    unread: dict[Path, frozenset[str]] = field(default_factory=dict)
    """Files that could not be read, and of which kinds what they define may be."""

    def location(self, id_: str, path: Sequence[str | int]) -> str:
        """Return `FILE:LINE` of a part of a definition."""
        file, document = self.files[id_]
        return f"{file}:{document.line(path)}"


def read_directory(directory: Path) -> Reading:
    """Read all `*.yaml` of a directory. Mistakes are findings, never raised."""
    reading = Reading()
    files = reading.files
    paths = sorted(path for path in directory.glob("*.yaml") if path.name not in NO_DEFINITIONS)
    if not paths:
        problem = "there are no workflow files (*.yaml) in it"
        reading.findings.append(FileFinding(directory, 1, "", problem))
    for path in paths:
        read = _read_file(path, reading)
        if read is None:
            continue
        definition, document = read
        if definition.id in files:
            problem = f"{definition.id} is already used by {files[definition.id][0].name}"
            reading.findings.append(FileFinding(path, document.line(["id"]), "id", problem))
            continue
        files[definition.id] = (path, document)
        reading.definitions[definition.id] = definition
    unread = frozenset().union(*reading.unread.values())
    registry = FieldRegistry(reading.definitions.values(), unread=unread)
    for id_, (path, document) in files.items():
        for where, problem in _issues(reading.definitions[id_], reading, registry, unread):
            reading.findings.append(FileFinding(path, document.line(parts(where)), where, problem))
    reading.findings += _unchecked(reading)
    return reading


NO_DEFINITIONS = frozenset({"connections.yaml", "crm.yaml", "mappings.yaml", "webhooks.yaml"})
"""What may lie beside the workflows: which other systems there are, which no version knows of."""


def _read_file(path: Path, reading: Reading) -> tuple[AnyDefinition, Document] | None:
    try:
        document = Document(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reading.findings.append(_unreadable(path, error))
        reading.unread[path] = frozenset(NAMES)
        return None
    for each in document.repeated():
        shown = ".".join(map(str, each.path))
        reading.findings.append(FileFinding(path, each.line, shown, each.problem))
    try:
        return DEFINITION.validate_python(document.content), document
    except ValidationError as error:
        for location, problem in all_errors(error):
            shown = ".".join(map(str, location[1:]))  # the first part is the kind of definition
            reading.findings.append(FileFinding(path, document.line(location), shown, problem))
        reading.unread[path] = _kinds(document.content)
        return None


def _kinds(content: Any) -> frozenset[str]:
    """Return of which kind a definition is that isn't right: any, if it doesn't say so."""
    kind = str(content.get("definition") or "workflow") if isinstance(content, dict) else ""
    return frozenset([kind] if kind in NAMES or kind in ("policy", "rates") else NAMES)


def _issues(
    definition: AnyDefinition, reading: Reading, registry: FieldRegistry, unread: Collection[str]
) -> Sequence[ValidationIssue]:
    """What names something wrongly, as far as what it may name could be read."""
    found = list(issues_in(definition, registry))
    if isinstance(definition, Workflow):
        found += unknown_names(definition, reading.definitions.values(), unread)
        found += circles(definition, reading.definitions.values())
    return found


def _unchecked(reading: Reading) -> Iterator[FileFinding]:
    """Yield what could not be looked at, since a file could not be read."""
    for path, kinds in reading.unread.items():
        names = ", ".join(name for kind, name in NAMES.items() if kind in kinds)
        if names:
            problem = f"names of {names} were not checked, because this file could not be read"
            yield FileFinding(path, 1, "", problem, "note")


def parts(path: str) -> list[str | int]:
    """Return the parts of a path, as `Document.line` takes them."""
    return [int(part) if part.isdigit() else part for part in path.split(".")]


def _unreadable(path: Path, error: OSError | UnicodeDecodeError | yaml.YAMLError) -> FileFinding:
    if isinstance(error, yaml.YAMLError):
        line, problem = yaml_problem(error)
        return FileFinding(path, line, "", problem)
    if isinstance(error, UnicodeDecodeError):
        return FileFinding(path, 1, "", "not UTF-8")
    return FileFinding(path, 1, "", error.strerror or str(error))
