"""`mappings.yaml`: read and compiled, each mistake with file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from agents.mappings.mapping import SourceMapping, compile_source
from agents.rules.validation_errors import InvalidDefinition
from schemas.failures import InputError
from schemas.mappings import MappingPart, Mappings, Registry, Source
from schemas.suggestions import did_you_mean
from schemas.validation import all_errors
from schemas.yaml_text import MAX_CHARACTERS, Document
from streams.runtime.definition_files import FileFinding, parts
from streams.settings import Settings
from streams.topic_names import TopicNames
from streams.topology import topics

FILE = "mappings.yaml"
SHOWN = 50
"""Mistakes that are told; more only hide the first ones."""

_UNKNOWN_FIELD = "Extra inputs are not permitted"
_FIELDS = frozenset(name for part in MappingPart.__subclasses__() for name in part.model_fields)


class MappingsError(InputError):
    """A file of mappings that can't be used; the text has a line for each mistake."""


class MappingFile:
    """The file: its mappings compiled, and where each part stands."""

    def __init__(self, path: Path, document: Document, mappings: Sequence[SourceMapping]) -> None:
        self.path = path
        self._document = document
        self.mappings = mappings

    def location(self, *path: str | int) -> str:
        """Return `FILE:LINE` of a part."""
        return f"{self.path}:{self._document.line(path)}"


def mappings_file(settings: Settings) -> Path:
    """Return where the file is, or would be."""
    return settings.mappings or settings.workflows_dir / FILE


def read_mappings(settings: Settings) -> MappingFile | None:
    """Return the file that is set, None when there is none. Raises MappingsError."""
    path = mappings_file(settings)
    if not path.is_file():
        if settings.mappings is not None:
            raise MappingsError(f"RITORNO_MAPPINGS: there is no file {path}")
        return None
    file = read_file(path)
    problems = [*_unusable(file, settings)]
    if problems:
        raise MappingsError("\n".join(map(str, problems)))
    return file


def read_file(path: Path) -> MappingFile:
    """Return the mappings of a file, whatever is set. Raises MappingsError."""
    try:
        with path.open("rb") as opened:
            content = opened.read(4 * MAX_CHARACTERS + 1)
        document = Document(content.decode())
    except OSError as error:
        raise MappingsError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise MappingsError(
            str(FileFinding(path, line, "", " ".join(str(error).split())))
        ) from None
    findings = []
    try:
        file = Mappings.model_validate(document.content or {"mappings": []})
    except ValidationError as error:
        for where, problem in all_errors(error):
            findings.append(_finding(path, document, where, problem))
        raise _error(findings) from None
    mappings: list[SourceMapping] = []
    for number, source in enumerate(file.mappings):
        try:
            mappings.append(compile_source(_with_registry(source, file.registry)))
        except InvalidDefinition as invalid:
            for issue in invalid.found:
                where = ("mappings", number, *parts(issue.path))
                findings.append(_finding(path, document, where, issue.problem))
    findings += _together(path, document, file.mappings, file.registry)
    if findings:
        raise _error(findings)
    return MappingFile(path, document, mappings)


def _with_registry(source: Source, registry: Registry | None) -> Source:
    return source if source.registry else source.model_copy(update={"registry": registry})


def _error(findings: Sequence[FileFinding]) -> MappingsError:
    lines = list(dict.fromkeys(map(str, findings)))
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return MappingsError("\n".join([*lines[:SHOWN], *more]))


def _finding(
    path: Path, document: Document, where: Sequence[str | int], problem: str
) -> FileFinding:
    if problem.startswith(_UNKNOWN_FIELD):
        near = did_you_mean(str(where[-1]), _FIELDS)
        problem = f"no such field{near}"
    # pydantic's paths also name which alternative it has taken, `<list>`.
    shown = ".".join(part for part in map(str, where) if not part.startswith("<"))
    return FileFinding(path, document.line(where), shown, problem.removeprefix("Value error, "))


def _together(
    path: Path, document: Document, sources: Sequence[Source], registry: Registry | None
) -> Iterator[FileFinding]:
    """Yield what is right one by one and wrong together."""
    names: set[str] = set()
    read: dict[tuple[str | None, str], str] = {}
    for number, source in enumerate(sources):
        where: list[str | int] = ["mappings", number]
        if source.name in names:
            yield _finding(path, document, [*where, "name"], f"{source.name} is there twice")
        names.add(source.name)
        other = read.setdefault((source.broker, source.topic), source.name)
        if other != source.name:
            problem = f"{source.topic} is read by {other}, too; give that one more events"
            yield _finding(path, document, [*where, "topic"], problem)
        formats = {source.format, source.key_format} & {"avro", "protobuf"}
        if formats and source.registry is None and registry is None:
            problem = f"{', '.join(sorted(formats))} needs a registry: {{url: http://…}}"
            yield _finding(path, document, [*where, "format"], problem)


def _unusable(file: MappingFile, settings: Settings) -> Iterator[FileFinding]:
    """Yield what can't be used with what is set."""
    names = TopicNames(settings.topic_prefix)
    ours = {names.on_broker(spec.name) for spec in topics(1)}
    for number, mapping in enumerate(file.mappings):
        source = mapping.source
        line = file.location("mappings", number, "topic").rpartition(":")[2]
        where = f"mappings.{number}"
        if source.broker is None and not settings.on_kafka:
            problem = "missing: our own log is the embedded one, which nobody else writes to"
            yield FileFinding(file.path, int(line), f"{where}.broker", problem)
        elif source.broker is None and source.topic in ours:
            problem = f"{source.topic} is Ritorno's own"
            yield FileFinding(file.path, int(line), f"{where}.topic", problem)
