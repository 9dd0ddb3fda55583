"""What texts refer to is there: files named in docs, docstrings and comments; README has every
command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.cli.test_all_commands import COMMANDS

ROOT = Path(__file__).parents[2]
TEXTS = (".py", ".md", ".yaml", ".yml", ".toml", "Makefile", "Dockerfile")

DIRECTORIES = "streams|agents|schemas|tests|benchmarks|deploy|docs|workflows"
NAMED = re.compile(
    rf"(?<![\w./~<{{-])(?:{DIRECTORIES})/[\w./-]+\.(?:py|md|ya?ml|json|svg)\b(?![/{{*])"
)
"""A path from the root to a file."""
DIRECTORY = re.compile(rf"`((?:{DIRECTORIES})/[\w/-]*)`")
"""A directory, as text marks it."""


def texts() -> list[Path]:
    below = (each for name in DIRECTORIES.split("|") for each in (ROOT / name).rglob("*"))
    return [
        each
        for each in (*ROOT.iterdir(), *below)
        if each.name.endswith(TEXTS) and "node_modules" not in each.parts  # others' packages
    ]


def test_files_that_are_named_are_there() -> None:
    gone = {
        f"{path.relative_to(ROOT)}: {named}"
        for path in texts()
        for text in [path.read_text(encoding="utf-8")]
        for named in [*NAMED.findall(text), *DIRECTORY.findall(text)]
        if not any((base / named).exists() for base in (ROOT, ROOT / "tests", path.parent))
    }
    assert gone == set()


README = (ROOT / "README.md").read_text(encoding="utf-8")
SPOKEN_OF = [
    (match[1], f"{match[2]} {line[match.end() :]}")
    for line in README.splitlines()
    for match in re.finditer(r"ritorno ([a-z-]+)([^|]*)", line)
]
"""First word of each command that README names, and what stands behind it in its cell."""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_in_readme(name: str) -> None:
    first, _, second = name.partition(" ")
    assert any(
        first == word and (not second or re.search(rf"\b{second}\b", rest))
        for word, rest in SPOKEN_OF
    )


def test_readme_names_no_other_command() -> None:
    known = {name.partition(" ")[0] for name in COMMANDS}
    assert {word for word, _ in SPOKEN_OF} <= known
