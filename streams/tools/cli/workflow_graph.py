"""`ritorno workflows graph`: draw workflows, as Mermaid text or as SVG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.messages.plurals import several
from streams.messages.translations import Language
from streams.runtime.definitions import DefinitionError
from streams.tools.cli.console import (
    ITALIAN,
    OUTPUT,
    LanguageOption,
    UserError,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from schemas.definitions.workflow import Workflow
    from streams.runtime.definition_files import Reading

_ENDINGS = {"svg": ".svg", "mermaid": ".mmd"}


def draw(
    context: typer.Context,
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE_OR_ID...", help="Workflow files, or ids of those of DIR."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--workflows-dir", metavar="DIR", help="Default: RITORNO_WORKFLOWS_DIR."),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", help="mermaid or svg; by default as --out ends, or mermaid."),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(*OUTPUT, "-o", help="A file, or a directory for one file per workflow."),
    ] = None,
    language: LanguageOption = ITALIAN,
) -> None:
    """Draw workflows: what begins each, its steps with their waits, its ways and what ends it."""
    directory = directory or settings_of(context).workflows_dir
    workflows = _chosen(which or [], directory, everything=everything)
    form = _format(form, output)
    draw_one = _drawer(form, language)
    if output is None:
        if len(workflows) > 1:
            raise UserError(
                f"{several(len(workflows), 'workflow')}: say which directory with -o DIR"
            )
        typer.echo(draw_one(workflows[0]), nl=False)
        return
    into = output.is_dir() or len(workflows) > 1 or not output.suffix
    try:
        for workflow in workflows:
            file = output / f"{workflow.id}{_ENDINGS[form]}" if into else output
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(draw_one(workflow), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    say(f"{len(workflows)} drawn: {output}")


def _chosen(which: Sequence[str], directory: Path, *, everything: bool) -> list[Workflow]:
    if everything == bool(which):
        raise UserError("say which workflows, or --all for all of them")
    found: dict[str, Workflow] = {}
    for each in which or [str(directory)]:
        location = Path(each)
        if location.is_dir():
            found |= _all_of(location)
        else:
            workflow = _of_file(location) if location.suffix else _by_id(each, directory)
            found[workflow.id] = workflow
    return list(found.values())


def _all_of(directory: Path) -> dict[str, Workflow]:
    from schemas.definitions.workflow import Workflow  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    reading = _read(directory)
    _check(reading)
    definitions = reading.definitions.items()
    return {name: each for name, each in definitions if isinstance(each, Workflow)}


def _of_file(file: Path) -> Workflow:
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    reading = _read(file.parent)
    _check(reading, file)
    id_ = next((name for name, (path, _) in reading.files.items() if path == file), None)
    if id_ is None:
        raise UserError(f"{file}: workflow files end in .yaml")
    return _workflow(reading, id_, str(file))


def _by_id(id_: str, directory: Path) -> Workflow:
    reading = _read(directory)
    if id_ not in reading.definitions:
        _check(reading)  # it may be the one that can't be read
        near = get_close_matches(id_, reading.definitions, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{id_}: no workflow of {directory}{hint}")
    _check(reading, reading.files[id_][0])
    return _workflow(reading, id_, id_)


def _workflow(reading: Reading, id_: str, called: str) -> Workflow:
    from schemas.definitions.workflow import Workflow  # noqa: PLC0415  # as above

    definition = reading.definitions[id_]
    if not isinstance(definition, Workflow):
        raise UserError(f"{called}: definition {definition.definition}, not a workflow")
    return definition


def _read(directory: Path) -> Reading:
    from streams.runtime.definition_files import read_directory  # noqa: PLC0415  # as above

    return read_directory(directory)


def _check(reading: Reading, file: Path | None = None) -> None:
    """Say what is wrong, with one file or with any."""
    findings = [each for each in reading.findings if file in (None, each.file)]
    if findings:
        raise DefinitionError("\n".join(map(str, findings)))


def _format(given: str, output: Path | None) -> str:
    if given and given not in _ENDINGS:
        raise UserError(f"--format {given}: mermaid or svg")
    ends_as_svg = output is not None and output.suffix == ".svg"
    return given or ("svg" if ends_as_svg else "mermaid")


def _drawer(form: str, language: Language) -> Callable[[Workflow], str]:
    from streams.tools.workflow_files.drawing.mermaid import mermaid  # noqa: PLC0415  # when it runs
    from streams.tools.workflow_files.drawing.picture import picture  # noqa: PLC0415  # as above
    from streams.tools.workflow_files.drawing.svg import svg  # noqa: PLC0415  # as above

    write = svg if form == "svg" else mermaid
    return lambda workflow: write(picture(workflow, language))
