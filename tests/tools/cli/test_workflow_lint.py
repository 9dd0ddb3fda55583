"""`ritorno workflows lint`: mistakes are a failure, warnings are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.cli.conftest import Ritorno

COUPONS = """
id: coupons
definition: coupons
campaigns: [{id: gift, kind: gift, description: {it: regalo}}]
"""
WORKFLOW = """\
id: w1-a
title: {it: x}
trigger: order.completed
entry: {once_per: order}
steps:
  - STEP
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with campaigns only."""
    directory = tmp_path / "files"
    directory.mkdir()
    (directory / "coupons.yaml").write_text(COUPONS, "utf-8")
    return directory


def write(files: Path, step: str) -> Path:
    """Write a workflow of one step, without tests; return its file."""
    path = files / "w1-a.yaml"
    path.write_text(WORKFLOW.replace("STEP", step), "utf-8")
    return path


def test_the_command_prints_warnings_and_is_content(ritorno: Ritorno, files: Path) -> None:
    path = write(files, "{id: a, tag: bought}")
    done = ritorno("workflows", "lint", str(files))
    assert (done.code, done.err) == (0, "")
    first, last = done.out.splitlines()
    assert first == f"{path}:1: warning: w1-a has no tests: nothing says what it is meant to do"
    assert last == "2 workflow files are right (1 warning): coupons, w1-a"
    done = ritorno("workflows", "lint", str(files), "--json")
    (told,) = done.json
    assert (done.code, told["level"], told["line"]) == (0, "warning", 1)


def test_a_mistake_is_told_beside_the_warnings(ritorno: Ritorno, files: Path) -> None:
    write(files, "{id: a, coupon: gifts}")
    done = ritorno("workflows", "lint", str(files))
    assert done.code == 2
    assert "w1-a has no tests" in done.out
    assert "there is no campaign gifts; did you mean gift?" in done.err
    levels = [each["level"] for each in ritorno("workflows", "lint", str(files), "--json").json]
    assert sorted(levels) == ["error", "warning"]


def test_what_a_broken_file_hides_is_said_at_the_end(ritorno: Ritorno, files: Path) -> None:
    write(files, "{id: a, coupon: gifts}")
    path = files / "coupons.yaml"
    path.write_text(COUPONS.replace("kind: gift", "kind: car"), "utf-8")
    done = ritorno("workflows", "lint", str(files))
    assert done.code == 2
    *mistakes, last = done.err.splitlines()
    assert len(mistakes) == 1
    said = "names of campaigns were not checked, because this file could not be read"
    assert last == f"{path}:1: note: {said}"
