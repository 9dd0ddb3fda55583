"""The command line; `commands.py` lists the commands.

A command and what it needs is imported when it is called, and what it may need when it does: each
starts within a moment, and a test names what it may not import.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.failures import Failure, InputError
from streams.tools.cli.commands import Commands
from streams.tools.cli.console import FAILURE, USER_ERROR, Options, say

PRIVATE = 0o077
"""What a command writes (state, keys, mails, exports) is its user's alone."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  # reads every package's name

        print(f"ritorno {version('ritorno')}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """Return the command line with all commands."""
    app = typer.Typer(
        name="ritorno",
        cls=Commands,
        help="Customer automation for shops: events in, decided and explained mails out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
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
    os.umask(PRIVATE)
    sys.exit(run_arguments(arguments))


def run_arguments(arguments: list[str] | None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = build_app()(args=arguments, prog_name="ritorno", standalone_mode=False)
    except typer.TyperException as error:  # a mistake in the command line itself
        return _usage_error(error)
    except InputError as error:
        say(f"ritorno: {error}")
        return USER_ERROR
    except Failure as error:
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
