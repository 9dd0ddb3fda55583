"""`mappings.yaml`: read and compiled, each mistake with file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.mappings.mapping import SourceMapping, compile_source
from agents.rules.validation_errors import InvalidDefinition
from schemas.mappings import Mappings, Registry, Source
from streams.runtime.definition_files import parts
from streams.settings import Settings
from streams.settings.operator_file import (
    FileIssue,
    OperatorFile,
    OperatorFileError,
    read_operator_file,
    twice,
)
from streams.topic_names import TopicNames
from streams.topology import topics

FILE = "mappings.yaml"


class MappingFile:
    """The file: its mappings compiled, and where each part stands."""

    def __init__(self, file: OperatorFile[Mappings], mappings: Sequence[SourceMapping]) -> None:
        self._file = file
        self.mappings = mappings

    def location(self, *path: str | int) -> str:
        """Return `FILE:LINE` of a part."""
        return self._file.location(*path)

    def check(self, settings: Settings) -> None:
        """Raise OperatorFileError for what can't be used with what is set."""
        self._file.refuse(_unusable(self.mappings, settings))


def mappings_file(settings: Settings) -> Path:
    """Return where the file is, or would be."""
    return settings.mappings or settings.workflows_dir / FILE


def read_mappings(settings: Settings) -> MappingFile | None:
    """Return the file that is set, None when there is none. Raises OperatorFileError."""
    file = read_examples(settings)
    if file is not None:
        file.check(settings)
    return file


def read_examples(settings: Settings) -> MappingFile | None:
    """The same, whether or not its topics can be reached with what is set: for its examples nothing
    is read but the file."""
    path = mappings_file(settings)
    if not path.is_file():
        if settings.mappings is not None:
            raise OperatorFileError(f"RITORNO_MAPPINGS: there is no file {path}")
        return None
    return read_file(path)


def read_file(path: Path) -> MappingFile:
    """Return the mappings of a file, whatever is set. Raises OperatorFileError."""
    compiled: list[SourceMapping] = []

    def check(file: Mappings) -> Iterator[FileIssue]:
        for number, source in enumerate(file.mappings):
            try:
                compiled.append(compile_source(_with_registry(source, file.registry)))
            except InvalidDefinition as invalid:
                for issue in invalid.found:
                    yield FileIssue(("mappings", number, *parts(issue.path)), issue.problem)
        yield from _wrong_together(file)

    return MappingFile(read_operator_file(path, Mappings, check), compiled)


def _with_registry(source: Source, registry: Registry | None) -> Source:
    return source if source.registry else source.model_copy(update={"registry": registry})


def _wrong_together(file: Mappings) -> Iterator[FileIssue]:
    """Yield what is right one by one and wrong together."""
    yield from twice((each.name for each in file.mappings), "mappings")
    read: dict[tuple[str | None, str], str] = {}
    for number, source in enumerate(file.mappings):
        other = read.setdefault((source.broker, source.topic), source.name)
        if other != source.name:
            problem = f"{source.topic} is read by {other}, too; give that one more events"
            yield FileIssue(("mappings", number, "topic"), problem)
        formats = {source.format, source.key_format} & {"avro", "protobuf"}
        if formats and source.registry is None and file.registry is None:
            problem = f"{', '.join(sorted(formats))} needs a registry: {{url: http://…}}"
            yield FileIssue(("mappings", number, "format"), problem)


def _unusable(mappings: Sequence[SourceMapping], settings: Settings) -> Iterator[FileIssue]:
    names = TopicNames(settings.topic_prefix)
    ours = {names.on_broker(spec.name) for spec in topics(1)}
    for number, mapping in enumerate(mappings):
        source = mapping.source
        if source.broker is None and not settings.on_kafka:
            problem = "missing: our own log is the embedded one, which nobody else writes to"
            yield FileIssue(("mappings", number, "broker"), problem)
        elif source.broker is None and source.topic in ours:
            yield FileIssue(("mappings", number, "topic"), f"{source.topic} is Ritorno's own")
