"""What all commands share: settings, the log, output for a person or a program, and errors.

A command prints what it was asked for on stdout and everything else on stderr. With `--json` that
is one JSON object, and of a list one object a line. An error is one clear line, with exit code 2
when the user can mend it by asking differently, 1 when something failed.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from schemas.failures import Failure, InputError
from streams.messages.translations import Language, language_of, languages

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from streams.log import Log
    from streams.settings import Settings
    from streams.settings.loading import SettingsReader

USER_ERROR = 2
FAILURE = 1

WIDE = 200

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]
LANGUAGE = ("--language", "--lang")
OUTPUT = ("--out", "--output")
"""Names of options that several commands have; all of them take either."""

LanguageOption = Annotated[
    Language,
    typer.Option(
        *LANGUAGE, parser=language_of, metavar="LANGUAGE", help=f"{' or '.join(languages())}."
    ),
]
ITALIAN = Language("it")
"""What commands speak to whoever names no language."""


def this_user() -> str:
    """Return who runs the command: by number where the system has no name for it, as in many a
    container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


class UserError(InputError):
    """Something only the user can mend; the text says how. Ends with exit code 2."""


class CommandFailed(Failure):
    """The command did not do all it was asked for; the text says what. Ends with exit code 1."""


class LinesRefused(CommandFailed):
    """Some of a file could not be used; the rest was."""


@dataclass
class Options:
    """The options that stand before the command."""

    broker: str | None = None
    data_dir: Path | None = None
    config: Path | None = None
    log_level: str | None = None

    def reader(self, **flags: Any) -> SettingsReader:
        """Return who reads what is set, a command's own `flags` on top."""
        from streams.settings.loading import SettingsReader  # noqa: PLC0415  # see streams/tools/cli/__init__.py

        given = {"broker": self.broker, "data_dir": self.data_dir, "log_level": self.log_level}
        return SettingsReader(self.config, {**given, **flags})

    def settings(self, *, runs_on: bool = False, **flags: Any) -> Settings:
        """Return what is set, a command's own `flags` on top, and set up logging by it: of what
        `runs_on` until it is stopped all that is set, of other commands warnings in plain
        sentences, unless a level or JSON is asked for.

        Only when a command runs, so that its --help works whatever is set. Raises SettingsError.
        """
        from streams.logging import configure_logging  # noqa: PLC0415  # see streams/tools/cli/__init__.py

        settings = self.reader(**flags)()
        if runs_on:
            configure_logging(level=settings.log_level, style=settings.log_format)
        else:
            chosen = "log_level" in settings.model_fields_set
            configure_logging(
                level=settings.log_level if chosen else "warning",
                style="json" if settings.log_format == "json" else "plain",
            )
        return settings


def settings_reader(context: typer.Context, **flags: Any) -> SettingsReader:
    """Return who reads the settings of a command, its own flags on top, again and again."""
    options: Options = context.find_object(Options) or Options()
    return options.reader(**flags)


def settings_of(context: typer.Context, *, runs_on: bool = False, **flags: Any) -> Settings:
    """Return the settings for a command, its own flags on top; `runs_on`: it goes on until it is
    stopped. Raises SettingsError."""
    options: Options = context.find_object(Options) or Options()
    return options.settings(runs_on=runs_on, **flags)


def stdout() -> Console:
    """Return where results go; wide where no terminal says how wide it is."""
    from rich.console import Console  # noqa: PLC0415  # as above

    width = None if sys.stdout.isatty() else WIDE
    return Console(file=sys.stdout, highlight=False, emoji=False, width=width)


def printable(text: str) -> str:
    """Return `text` with everything that a terminal would obey escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def say(message: str) -> None:
    """Tell a person something that is not the result."""
    print(message, file=sys.stderr)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(value, ensure_ascii=False, default=str))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end."""
    return asyncio.run(coroutine)


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[Log]:
    """Connect to the log that is set. Raises LogError."""
    from streams.runtime.factories import log_from  # noqa: PLC0415  # as above

    log = log_from(settings)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def without_answer(sentence: str) -> None:
    """Say that a worker could not be asked, and what is done instead."""
    say(f"note: {sentence}")


class Bar:
    """A progress bar on stderr, seen only where a person watches."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task

    def at(self, done: int | None, total: int | None = None) -> None:
        """Show how far it is. What is None stays as it was."""
        self._shown.update(self._task, completed=done, total=total)


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Bar]:
    """Show a progress bar until the end of the context. Without a total it only moves."""
    from rich.console import Console  # noqa: PLC0415  # as above
    from rich.progress import (  # noqa: PLC0415  # as above
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
    )

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with shown:
        yield Bar(shown, shown.add_task(description, total=total))
