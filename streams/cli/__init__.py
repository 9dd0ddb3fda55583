"""The command line. One module per group of commands; each has `register(app)`.

To add a group: write the module, add it to `_GROUPS`. Commands import what they need when they
run, so that `ritorno --help` is quick.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from schemas.stored import FutureFormat
from streams.cli import (
    bounces,
    customer,
    dead_letters,
    demo,
    dkim,
    doctor,
    experiments,
    explain,
    hits,
    import_orders,
    mail,
    privacy,
    products,
    publish,
    replay,
    schemas,
    suppressions,
    templates,
    topics,
    worker,
    workflows,
)
from streams.cli.console import FAILURE, USER_ERROR, CommandFailed, Options, UserError, say
from streams.definitions import DefinitionError
from streams.failures import WorkerFailed
from streams.log import LogError
from streams.monitoring.admin import AdminError
from streams.publisher import PublishInterrupted
from streams.settings.sources import SettingsError
from streams.state.store import StateError

_GROUPS = (
    demo, worker, topics, publish, products, import_orders, replay, explain, experiments, hits,
    customer, privacy, mail, workflows, templates, dead_letters, bounces, suppressions, schemas,
    dkim, doctor,
)  # fmt: skip

_USER_ERRORS = (UserError, SettingsError, DefinitionError)
_FAILURES = (
    CommandFailed, LogError, StateError, AdminError, PublishInterrupted, WorkerFailed,
    FutureFormat,
)  # fmt: skip


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ritorno {version('ritorno')}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """Return the command line with all groups of commands."""
    app = typer.Typer(
        name="ritorno",
        help="Customer automation for shops: events in, decided and explained mails out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for group in _GROUPS:
        group.register(app)
    return app


def _options(
    context: typer.Context,
    broker: Annotated[
        str | None, typer.Option(help="kafka://HOST:PORT[,HOST:PORT] or embedded://PATH.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="State and the embedded log; one directory per worker.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file; ritorno.toml when there is one.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Customer automation for shops: events in, decided and explained mails out.

    Every setting may also come from the environment (RITORNO_BROKER, RITORNO_SMTP_URL, …) or from
    the settings file.
    """
    context.obj = Options(broker=broker, data_dir=data_dir, config=config, log_level=log_level)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_arguments(arguments))


def run_arguments(arguments: list[str] | None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = build_app()(args=arguments, prog_name="ritorno", standalone_mode=False)
    except typer.TyperException as error:  # a mistake in the command line itself
        return _usage_error(error)
    except _USER_ERRORS as error:
        say(f"ritorno: {error}")
        return USER_ERROR
    except _FAILURES as error:
        say(f"ritorno: {error}")
        return FAILURE
    except BrokenPipeError:  # `ritorno … | head` is no error
        sys.stderr.close()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def _usage_error(error: typer.TyperException) -> int:
    format_message = getattr(error, "format_message", None)
    message = format_message() if format_message else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
        say(message)
        return USER_ERROR
    command = getattr(getattr(error, "ctx", None), "command_path", "ritorno")
    say(f"ritorno: {message} (see {command} --help)")
    return USER_ERROR
