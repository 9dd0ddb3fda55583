"""One release has one number, wherever it stands."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CHANGES = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
DEPLOYED = [
    path
    for path in [ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("*")]
    if path.suffix in (".yml", ".yaml") and path.is_file()
]


def test_the_head_of_the_changes_is_this_release() -> None:
    assert CHANGES[0] == VERSION
    assert [Version(each) for each in CHANGES] == sorted(map(Version, CHANGES), reverse=True)


def test_the_number_has_risen_above_each_release_that_was_frozen() -> None:
    copies = (ROOT / "tests" / "frozen").glob("release-*")
    frozen = [path.name.removeprefix("release-") for path in copies]
    assert frozen
    assert all(Version(each) < Version(VERSION) for each in frozen)


def test_what_is_installed_says_so() -> None:
    assert version("ritorno") == VERSION, "make setup"


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_deployed_is_this_release(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # Tags of our image, and what a Helm chart says it installs.
    tags = re.findall(r"image: ['\"]?(?:\S*/)?ritorno:([^\s'\"]+)", text)
    if path.name == "Chart.yaml":
        tags.append(str(yaml.safe_load(text)["appVersion"]))
    assert set(tags) <= {VERSION}


def test_the_way_to_update_names_this_release() -> None:
    page = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    assert re.search(rf"^## .*\bto {re.escape(VERSION.removesuffix('.0'))}\b", page, re.MULTILINE)
