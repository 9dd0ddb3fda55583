"""`ritorno workflows test`: the tests that the files carry, on virtual time."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.durations import duration_text
from schemas.time_units import DAY_MS
from streams.messages.plurals import several
from streams.runtime.definition_files import read_directory
from streams.runtime.definitions import right
from streams.settings import Settings
from streams.tools.cli.console import (
    CommandFailed,
    JsonFlag,
    UserError,
    print_json,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from streams.tools.workflow_files.testing import WorkflowTestResult, WorkflowTestRunner


def test_files(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Default: RITORNO_WORKFLOWS_DIR.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this workflow; several times.")
    ] = None,
    story: Annotated[bool, typer.Option("--story", help="Tell all that was decided.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the tests that the workflow files of DIR carry; needs no broker and no time."""
    settings = settings_of(context)
    runner = _runner(directory or settings.workflows_dir, settings)
    unknown = [id_ for id_ in only or () if id_ not in runner.workflows]
    if unknown:
        raise UserError(f"--only {unknown[0]}: there is no such workflow in the directory")
    began = perf_counter()
    tests = failed = virtual_ms = 0
    for result in runner.try_out(only or list(runner.workflows)):
        tests += 1
        failed += bool(result.problems)
        virtual_ms += result.virtual_ms
        if as_json:
            print_json(_described(result))
        else:
            _tell(result, story=story or bool(result.problems))
    if failed:
        raise CommandFailed(f"{failed} of {several(tests, 'test')} failed")
    untested = [id_ for id_ in only or runner.workflows if not runner.workflows[id_].tests]
    if not as_json:
        if untested:
            stdout().print(f"without tests: {', '.join(untested)}", soft_wrap=True)
        took = f"{duration_text(virtual_ms // DAY_MS * DAY_MS)} in {perf_counter() - began:.1f} s"
        workflows = several(len(only or runner.workflows), "workflow")
        stdout().print(f"{several(tests, 'test')} of {workflows} passed: {took}")


def _runner(directory: Path, settings: Settings) -> WorkflowTestRunner:
    """Raises DefinitionError, UserError."""
    from agents.mail.message.compose import Composer  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from agents.mail.message.render import TemplateProblem  # noqa: PLC0415
    from agents.mail.settings import MailSettings, SigningKey  # noqa: PLC0415
    from streams.mail.templates import load_renderer  # noqa: PLC0415
    from streams.runtime.factories import shop_of  # noqa: PLC0415
    from streams.tools.workflow_files.testing import WorkflowTestRunner  # noqa: PLC0415

    reading = right(read_directory(directory))
    try:
        renderer = load_renderer(directory, settings.shop_locale)
    except TemplateProblem as error:
        raise UserError(str(error)) from None
    mail = MailSettings(
        shop=shop_of(settings),
        from_address=settings.mail_from_address,
        from_name=settings.mail_from_name,
        public_url=settings.public_url,
        signing_keys=(SigningKey("test", "nobody follows these links"),),
    )
    return WorkflowTestRunner(reading, Composer(mail, renderer).view)


def _described(result: WorkflowTestResult) -> dict[str, object]:
    return {
        "workflow": result.workflow,
        "test": result.name,
        "place": result.location,
        "passed": not result.problems,
        "mails": result.mails,
        "problems": result.problems,
        "story": result.timeline,
    }


def _tell(result: WorkflowTestResult, *, story: bool) -> None:
    verdict = "FAILED" if result.problems else "passed"
    lines = [f"{verdict}  {result.workflow}: {result.name} ({several(result.mails, 'mail')})"]
    lines += [f"  {problem}" for problem in result.problems]
    if story:
        lines += result.timeline
    stdout().print("\n".join(lines), markup=False, soft_wrap=True)
