"""Nothing is installed whose hash isn't listed; who asks for advisories is told the truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EVERYTHING = "constraints.txt"


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return what a file pins: name → version, and the hashes of its files."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = re.match(r"(\S+?)==(\S+)", line)
        assert match, line
        hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
        found[canonicalize_name(match[1])] = (match[2], hashes)
    return found


@pytest.mark.parametrize("name", [EVERYTHING, *(f"deploy/{each}-requirements.txt" for each in (
    "build", "advisories")), "deploy/requirements.txt"])  # fmt: skip
def test_every_version_has_hashes(name: str) -> None:
    assert all(hashes for _, hashes in pins(name).values())


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    known = pins(EVERYTHING)
    extras = PROJECT["optional-dependencies"].values()
    for text in (*PROJECT["dependencies"], *(each for extra in extras for each in extra)):
        wanted = Requirement(text)
        version, _ = known[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), wanted


@pytest.mark.parametrize("name", ["deploy/requirements.txt", "deploy/build-requirements.txt"])
def test_the_image_has_what_was_tested(name: str) -> None:
    assert pins(name).items() <= pins(EVERYTHING).items()


def test_the_image_has_all_that_a_worker_needs() -> None:
    needed = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert needed <= pins("deploy/requirements.txt").keys()


def report(*, vulns: list[dict[str, object]], skipped: bool = False) -> str:
    """What pip-audit prints of three versions."""
    known = [
        {"name": "jinja2", "version": "3.1.6", "vulns": vulns},
        {"name": "yarl", "version": "1.25.1", "vulns": []},
    ]
    odd = {"name": "own", "skip_reason": "Dependency not found on PyPI"}
    if skipped:
        known = [{"name": each["name"], "skip_reason": "not found"} for each in known]
        return json.dumps({"dependencies": known, "fixes": []})
    return json.dumps({"dependencies": [*known, odd] if vulns else known, "fixes": []})


HOLE = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["3.1.7"], "description": ""}


@pytest.mark.parametrize(
    ("pypi", "osv", "code", "said"),
    [
        (report(vulns=[]), "", 0, ["4 versions were asked about, 0 advisories found"]),
        (report(vulns=[HOLE]), "", 1,
         ["ADVISORY jinja2 3.1.6 (pinned): PYSEC-1, CVE-2026-1; mended in 3.1.7",
          "ADVISORY jinja2 3.1.6 (lowest accepted)",
          "NOT CHECKED: of these nothing is known: own"]),
        # An index that knows of no advisories; then OSV is asked.
        (report(vulns=[], skipped=True), report(vulns=[HOLE]), 1, ["ADVISORY jinja2 3.1.6"]),
        (report(vulns=[], skipped=True), "", 3,
         ["NOT CHECKED: no source of advisories could be asked: pypi: knows none of them; "
          "osv: no network"]),
        ("", "", 3, ["NOT CHECKED: no source of advisories could be asked: pypi: no network; "]),
    ],
)  # fmt: skip
def test_what_is_known_of_advisories_is_said(
    tmp_path: Path, pypi: str, osv: str, code: int, said: list[str]
) -> None:
    for source, text in (("pypi", pypi), ("osv", osv)):
        (tmp_path / source).write_text(text, encoding="utf-8")
    audit = tmp_path / "pip-audit"
    audit.write_text(
        '#!/bin/sh\n[ -s "$(dirname "$0")/$2" ] || { echo no network >&2; exit 1; }\n'
        'cat "$(dirname "$0")/$2"\n',
        encoding="utf-8",
    )
    audit.chmod(0o700)
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "advisories.py", audit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    for each in said:
        assert each in done.stdout


def test_the_lowest_accepted_versions_are_asked_about(tmp_path: Path) -> None:
    audit = tmp_path / "pip-audit"
    audit.write_text(
        f'#!/bin/sh\nfor each; do :; done\ncp "$each" {tmp_path}/asked\ncat {tmp_path}/report\n'
    )
    (tmp_path / "report").write_text(report(vulns=[]), encoding="utf-8")
    audit.chmod(0o700)
    script = [sys.executable, ROOT / ".ci" / "advisories.py", audit]
    assert subprocess.run(script, capture_output=True, check=False).returncode == 0
    asked = (tmp_path / "asked").read_text(encoding="utf-8").split()
    assert "aiokafka==0.14.0" in asked
    lowest = next(each for each in PROJECT["dependencies"] if each.startswith("aiohttp>="))
    assert lowest.replace(">=", "==") in asked
