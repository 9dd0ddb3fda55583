"""Runs commands in this process, each test in a directory and with an embedded log of its own."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from streams.tools.cli import run_arguments


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        """Every line of stdout as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Ritorno = Callable[..., Done]


@pytest.fixture
def ritorno(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Ritorno]:
    """Run `ritorno ARGUMENTS` and return how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RITORNO_LOG_LEVEL", "warning")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = run_arguments(list(arguments))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
