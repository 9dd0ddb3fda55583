"""YAML files in which an operator says something: which shops there are (`connections.yaml`), who
may send (`ingest-keys.yaml`), what goes where (`webhooks.yaml`, `crm.yaml`), what foreign topics
mean (`mappings.yaml`).

All are read here, checked as a whole before anything of one is used, and all mistakes of one are
told at once, a line each, in the order in which they stand:

    FILE:LINE: FIELD: what is wrong (got VALUE); did you mean NAME?

What may be a secret is in no message: nothing of a field that is marked so (`MaybeSecret`) or
called so, nothing of a list or an object or of what stands in the place of one, nothing of a field
that there is none of, and of an address neither who signs in with what nor its query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypeAliasType

from schemas.failures import InputError
from schemas.problem_words import expected_words, problem_words, shown_value
from schemas.secret_reference import MaybeSecret, PlacedReference
from schemas.suggestions import did_you_mean
from schemas.yaml_text import Document, yaml_problem
from streams.replaced_file import open_regular

MAX_BYTES = 1_000_000
"""Of a file."""
SHOWN = 50
"""Mistakes that are told; more only hide the first ones."""

_SECRET = re.compile(r"secret|token|passw|hash|credential|(^|_)key$")
"""In the name of a field whose value is never shown: somebody may have written it there in place of
where it is."""
_SIGNED_IN = re.compile(r"//.*@|^[^\s/:]+:(?!//)\S+@(?=\S+$)", re.DOTALL)
_SIGNED_IN_WITHIN = re.compile(r"//\S*@")
_QUERY = re.compile(r"(://[^?#]*[?#]).*", re.DOTALL)
_CONTAINERS = ("model_type", "model_attributes_type", "dict_type", "list_type", "tuple_type")
"""Mistakes of a value where something is expected that has values of its own."""
_HINTED = re.compile(r"(.*?)(; (?:did you mean|there are|there is) .*)", re.DOTALL)
_FIELD = re.compile(r"([a-z_]+): (.+)", re.DOTALL)

Path_ = Sequence[str | int]
Model = TypeVar("Model", bound=BaseModel)


class OperatorFileError(InputError):
    """A file that can't be used. The text has a line for each mistake, and holds no secret."""


class FileIssue(NamedTuple):
    """Something in a file that can't be meant."""

    path: Path_
    """Where: `("webhooks", 0, "url")`."""
    problem: str


class OperatorFile(Generic[Model]):
    """A file that can be used: what it says, and where each part of it stands."""

    def __init__(self, path: Path, document: Document, content: Model) -> None:
        self.path = path
        self.content = content
        self._document = document

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all, not even that there is none of what it could have."""
        return self._document.content is None

    def location(self, *path: str | int) -> str:
        """Return `FILE:LINE` of a part."""
        return f"{self.path}:{self._document.line(path)}"

    def place(self, *path: str | int) -> str:
        """Return `FILE:LINE: FIELD` of a part."""
        there = _in_file(path, self._document.content, ends=False)
        return f"{self.location(*path)}: {_dotted(there)}"

    def refuse(self, issues: Iterable[FileIssue]) -> None:
        """Raise OperatorFileError if there are any."""
        _refuse(self.path, self._document, issues)


def read_operator_file(
    path: Path,
    model: type[Model],
    check: Callable[[Model], Iterable[FileIssue]] | None = None,
    *,
    again: bool = False,
) -> OperatorFile[Model]:
    """Read a file. `check` says what is right one by one and wrong together. `again`: what was read
    before is in use, so a file that says nothing at all is one that is being written. Raises
    OperatorFileError."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OperatorFileError(f"{path}: {error.strerror}") from None
    found = parse_operator_file(content, path, model, check)
    if again and found.is_empty:
        raise OperatorFileError(f"{path}: it says nothing; is it being written?")
    return found


def parse_operator_file(
    content: bytes,
    path: Path,
    model: type[Model],
    check: Callable[[Model], Iterable[FileIssue]] | None = None,
) -> OperatorFile[Model]:
    """The same of what is to stand in a file. Raises OperatorFileError."""
    if len(content) > MAX_BYTES:
        raise OperatorFileError(f"{path}: more than {MAX_BYTES:,} bytes")
    try:
        document = Document(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OperatorFileError(f"{path}:{line}: not UTF-8") from None
    except yaml.YAMLError as error:
        line, problem = yaml_problem(error)
        raise OperatorFileError(f"{path}:{line}: {problem}") from None
    issues = [FileIssue(each.path, each.problem) for each in document.repeated()]
    lines = [each.line for each in document.repeated()]
    try:
        found = model.model_validate(_without_empty(document.content))
    except ValidationError as error:
        issues += _issues(error, document.content, model)
        _refuse(path, document, issues, lines)
        raise AssertionError("a validation has failed without an error") from None
    if check is not None:
        issues += check(found)
    _refuse(path, document, issues, lines)
    file = OperatorFile(path, document, found)
    _note_places(found, (), file)
    return file


def twice(names: Iterable[str], entries: str, field: str = "name") -> Iterator[FileIssue]:
    """Yield the entries of a list that are called as one before them."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            yield FileIssue((entries, number, field), f"one before it has the same (got {name!r})")
        seen.add(name)


def _refuse(
    path: Path, document: Document, issues: Iterable[FileIssue], lines: Sequence[int] = ()
) -> None:
    """`lines`: of the first issues, where they are known."""
    told = []
    for number, each in enumerate(issues):
        line = lines[number] if number < len(lines) else document.line(each.path)
        field = _dotted(each.path)
        problem = _SIGNED_IN_WITHIN.sub("//…@", each.problem)
        told.append((line, f"{path}:{line}: {f'{field}: ' if field else ''}{problem}"))
    texts = list(dict.fromkeys(text for _, text in sorted(told, key=lambda each: each[0])))
    if texts:
        more = [f"… and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
        raise OperatorFileError("\n".join([*texts[:SHOWN], *more]))


def _dotted(path: Path_) -> str:
    return ".".join(map(str, path))


def _without_empty(content: Any) -> Any:
    """Return a file's content without lists below which nothing stands (any more)."""
    if content is None:
        return {}
    if isinstance(content, dict):
        return {name: value for name, value in content.items() if value is not None}
    return content


# What a validation says.


def _issues(error: ValidationError, content: Any, model: type[BaseModel]) -> Iterator[FileIssue]:
    for each in error.errors(include_url=False):
        given = _at(content, _in_file(each["loc"], content, ends=False))
        is_list = isinstance(given, list) and each["type"] == "too_short"
        if is_list and len(given) >= each["ctx"]["min_length"]:
            continue  # there are enough, and of each is told what is wrong
        yield _issue(each, content, model)


def _issue(error: ErrorDetails, content: Any, model: type[BaseModel]) -> FileIssue:
    kind, problem, hint = error["type"], problem_words(error), ""
    path = _in_file(error["loc"], content, ends=kind == "missing")
    if not path and kind in ("model_type", "model_attributes_type", "dict_type"):
        lists = " and ".join(f"{each}:" for each in model.model_fields)
        return FileIssue(path, f"expected {lists} with what belongs to it below")
    if kind == "extra_forbidden":
        names = _names(model, error["loc"][:-1])
        near = did_you_mean(str(path[-1]), names) or f"; there are {', '.join(sorted(names))}"
        return FileIssue(path, problem + near)
    if kind.startswith("union_tag"):
        path.append(error["ctx"]["discriminator"].strip("'"))
    # A check of several fields together names the one.
    of_field = _FIELD.fullmatch(problem) if kind == "value_error" else None
    if of_field is not None and of_field[1] in _names(model, error["loc"]):
        path.append(of_field[1])
        problem = of_field[2]
    if (hinted := _HINTED.fullmatch(problem)) is not None:
        problem, hint = hinted[1], hinted[2]
    given = _at(content, path)
    if isinstance(given, str):
        hint = hint or did_you_mean(given, expected_words(error))
    return FileIssue(path, problem + _shown(error, given, path, model) + hint)


def _shown(error: ErrorDetails, given: Any, path: Path_, model: type[BaseModel]) -> str:
    if given is None or error["type"] == "missing":
        return ""
    if _is_hidden(model, error["loc"], path):
        return "" if "never the secret" in problem_words(error) else " (not shown)"
    if isinstance(given, dict | list):  # what is in it may be a secret
        if not error["type"].endswith("_type"):
            return ""
        return " (got a list)" if isinstance(given, list) else " (got an object)"
    if error["type"] in _CONTAINERS:
        return " (not shown)"
    # Before it is cut, since what is cut off may be what tells a password.
    return f" (got {shown_value(_without_credentials(given))})"


def _without_credentials(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    signed_in = _SIGNED_IN.sub(lambda found: "//…@" if found[0][:2] == "//" else "…@", given)
    return _QUERY.sub(r"\1…", signed_in)


def _in_file(loc: Path_, content: Any, *, ends: bool) -> list[str | int]:
    """Return the parts of pydantic's path that lead somewhere in the file: it also names the
    alternatives that it has tried. `ends`: the last part is one that isn't there."""
    path: list[str | int] = []
    for number, part in enumerate(loc):
        below = _child(content, part)
        if below is not _NOTHING:
            content = below
        elif not (ends and number == len(loc) - 1):
            continue
        path.append(part)
    return path


def _at(content: Any, path: Path_) -> Any:
    for part in path:
        content = _child(content, part)
    return None if content is _NOTHING else content


def _child(content: Any, part: str | int) -> Any:
    if isinstance(content, dict):
        return content.get(part, _NOTHING)
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return content[part]
    return _NOTHING


_NOTHING = object()


# What the models say of a place.


def _names(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Return the fields that there are where pydantic's path leads."""
    annotations: list[Any] = [model]
    for part in loc:
        annotations = _below(annotations, part)
    models = [each for each in _alternatives(annotations) if _is_model(each)]
    return [name for each in models for name in each.model_fields]


def _is_hidden(model: type[BaseModel], loc: Sequence[str | int], path: Path_) -> bool:
    """Whether what stands there may be a secret."""
    if any(isinstance(part, str) and _SECRET.search(part) for part in path[-2:]):
        return True
    annotations: list[Any] = [model]
    for part in [*loc, *path[-1:]]:
        for each in _alternatives(annotations):
            if _is_model(each) and part in each.model_fields:
                field = each.model_fields[part]
                if any(isinstance(one, MaybeSecret) for one in field.metadata):
                    return True
        annotations = _below(annotations, part)
    return any(_is_marked(each) for each in annotations)


def _is_marked(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return any(isinstance(each, MaybeSecret) for each in get_args(annotation)[1:])
    return get_origin(annotation) in (Union, UnionType) and any(
        map(_is_marked, get_args(annotation))
    )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _below(annotations: Sequence[Any], part: str | int) -> list[Any]:
    """Return what may stand under a part of a path."""
    found: list[Any] = []
    alternatives = list(_alternatives(annotations))
    for each in alternatives:
        arguments = get_args(each)
        if _is_model(each):
            if part in each.model_fields:
                found.append(each.model_fields[part].annotation)
        elif get_origin(each) is dict and len(arguments) == 2:
            found.append(arguments[1])
        elif isinstance(part, int) and arguments:
            found.append(arguments[0])
    if found:
        return found
    # It names an alternative: the one that says so, or whichever.
    tagged = [each for each in alternatives if _is_model(each) and part in _tags(each)]
    return tagged or list(annotations)


def _tags(model: type[BaseModel]) -> Iterator[Any]:
    for field in model.model_fields.values():
        yield from get_args(field.annotation) if get_origin(field.annotation) is not None else ()


def _alternatives(annotations: Iterable[Any]) -> Iterator[Any]:
    """Yield the types of a union, without what is noted beside them."""
    for each in annotations:
        if isinstance(each, TypeAliasType):
            yield from _alternatives([each.__value__])
        elif get_origin(each) is Annotated:
            yield from _alternatives(get_args(each)[:1])
        elif get_origin(each) in (Union, UnionType):
            yield from _alternatives(get_args(each))
        else:
            yield each


# Where secrets are asked for.


def _note_places(value: Any, path: Path_, file: OperatorFile[Any]) -> None:
    """Have each reference to a secret know where it stands."""
    if isinstance(value, PlacedReference):
        value.place = file.place(*path)
    elif isinstance(value, BaseModel):
        for name in value.model_fields_set:
            _note_places(getattr(value, name), (*path, name), file)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            _note_places(each, (*path, number), file)
