"""All commands speak alike: each option is explained, each result can be read by a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from streams.tools.cli.commands import COMMANDS as COMMANDS_OF_THE_FIRST_LEVEL
from streams.tools.cli.commands import load
from streams.tools.cli.console import LANGUAGE, OUTPUT

WITHOUT_RESULT = {"worker", "workflows graph", "mappings run"}
"""One runs until it is stopped; what the other prints is a picture."""


def commands(command: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    if command is None:
        for word in COMMANDS_OF_THE_FIRST_LEVEL:
            yield from commands(load(word), word)
        return
    if not hasattr(command, "commands"):
        yield name, command
    for word, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{name} {word}")


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_is_explained(name: str) -> None:
    assert COMMANDS[name].help, "the command itself"
    assert [each.name for each in COMMANDS[name].params if not each.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_called_the_same_everywhere(name: str) -> None:
    options = [set(each.opts) for each in COMMANDS[name].params]
    assert (name in WITHOUT_RESULT) != ({"--json"} in options)
    for names in (LANGUAGE, OUTPUT):
        alike = [each for each in options if each & set(names)]
        assert all(each >= set(names) for each in alike)
