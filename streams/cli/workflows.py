"""`ritorno workflows`: say what is wrong with the workflow files; make them live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.vocabulary import Vocabulary
from schemas.definitions import DEFINITION
from streams.cli.console import JsonFlag, open_log, print_json, run, settings_of, stdout
from streams.definitions import PublishReport, publish, read_files
from streams.workflow_files.reading import read_directory


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Workflow files.", no_args_is_help=True)
    group.command("publish")(publish_files)
    group.command("lint")(lint_files)
    group.command("fields")(list_fields)
    app.add_typer(group, name="workflows")


Directory = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="Default: RITORNO_WORKFLOWS_DIR.")
]


def publish_files(
    context: typer.Context, directory: Directory = None, as_json: JsonFlag = False
) -> None:
    """Publish the workflow files of DIR; new runs begin with exactly these from now on."""
    settings = settings_of(context)
    definitions = read_files(directory or settings.workflows_dir)

    async def publish_all() -> PublishReport:
        async with open_log(settings) as log:
            return await publish(log, definitions)

    report = run(publish_all())
    if as_json:
        added = [f"{name}@{version}" for name, version in report.added]
        print_json({"live": dict(report.live), "added": added, "changed": report.activated})
        return
    out = stdout()
    for name, version in report.live.items():
        news = "  (new version)" if (name, version) in report.added else ""
        out.print(f"{name:32} {version}{news}")
    if not report.activated:
        out.print("These were live already.")


def lint_files(
    context: typer.Context, directory: Directory = None, as_json: JsonFlag = False
) -> None:
    """Say all that is wrong with the workflow files of DIR, with lines; needs no broker."""
    directory = directory or settings_of(context).workflows_dir
    if not as_json:
        definitions = read_files(directory, everything=True)
        stdout().print(f"{len(definitions)} workflow files are right: {', '.join(definitions)}")
        return
    findings = read_directory(directory).findings
    for each in findings:
        print_json({"file": str(each.file), "line": each.line,
                    "path": each.path, "problem": each.problem})  # fmt: skip
    if findings:
        raise typer.Exit(2)


def list_fields(
    context: typer.Context, directory: Directory = None, as_json: JsonFlag = False
) -> None:
    """List the fields that conditions may ask for, with those that the files of DIR add."""
    contents = read_files(directory or settings_of(context).workflows_dir, everything=True)
    fields = Vocabulary([DEFINITION.validate_json(each) for each in contents.values()]).fields()
    if as_json:
        print_json({n: {"type": each.type, "about": each.about} for n, each in fields.items()})
        return
    out = stdout()
    for name, each in fields.items():
        out.print(f"{name:28} {each.type:8} {each.about}", markup=False)
