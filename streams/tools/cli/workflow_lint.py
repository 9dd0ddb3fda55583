"""`ritorno workflows lint`: what is wrong with the files, and what is worth a look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.messages.plurals import several
from streams.runtime.definition_files import FileFinding, read_directory
from streams.runtime.definitions import right
from streams.tools.cli.console import JsonFlag, UserError, print_json, settings_of, stdout
from streams.tools.workflow_files.advising import Mails, advice


def lint_files(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Default: RITORNO_WORKFLOWS_DIR.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say all that is wrong with the workflow files of DIR, with lines; needs no broker.

    A warning is something that is worth a look; it is no failure and keeps nothing from being
    published.
    """
    directory = directory or settings_of(context).workflows_dir
    reading = read_directory(directory)
    try:
        mails = Mails.of(directory)
    except OSError as error:
        raise UserError(str(error)) from None
    warnings = sorted(advice(reading, mails))
    if as_json:
        for each in (*reading.findings, *warnings):
            print_json(_described(each))
        if reading.findings:
            raise typer.Exit(2)
        return
    for each in warnings:
        stdout().print(str(each), markup=False, soft_wrap=True)
    right(reading)
    names = ", ".join(reading.definitions)
    also = f" ({several(len(warnings), 'warning')})" if warnings else ""
    files, verb = len(reading.definitions), "is" if len(reading.definitions) == 1 else "are"
    stdout().print(f"{several(files, 'workflow file')} {verb} right{also}: {names}")


def _described(finding: FileFinding) -> dict[str, object]:
    return {
        "file": str(finding.file),
        "line": finding.line,
        "path": finding.path,
        "problem": finding.problem,
        "level": finding.level,
    }
