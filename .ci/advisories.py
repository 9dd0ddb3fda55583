"""Says which dependencies have security advisories: the versions that constraints.txt pins, and the
lowest that pyproject.toml accepts.

    python .ci/advisories.py PIP_AUDIT

`pip-audit` asks the package index, or OSV where the index knows of no advisories. It calls what
nobody could be asked about "skipped" and ends well; here that is said, since it is no answer.
Ends with 0 when all were asked about and none has one, with 1 when one has, with 3 when some could
not be asked about.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pypi", "osv")
SECONDS = 90
"""For a source to answer about a list; it takes ten where it is there."""
FOUND, NOT_ASKED = 1, 3


class Answer(NamedTuple):
    """What is known of the versions that were asked about."""

    advisories: list[str]
    asked: int
    silent: list[str]
    """Those of which nobody said anything; the reason, when nobody could be asked at all."""


def read(report: dict[str, Any], what: str) -> Answer:
    """Read a report of pip-audit; `what` says whose versions these are."""
    advisories, silent, asked = [], [], 0
    for each in report["dependencies"]:
        if "skip_reason" in each:
            silent.append(each["name"])
            continue
        asked += 1
        for one in each["vulns"]:
            ids = ", ".join([one["id"], *one.get("aliases", ())])
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            advisories.append(
                f"{each['name']} {each['version']} ({what}): {ids}; mended in {mended}"
            )
    return Answer(advisories, asked, silent)


def floors(project: dict[str, Any]) -> Iterator[str]:
    """Yield `NAME==VERSION` of the lowest version that each requirement accepts."""
    for text in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        requirement = Requirement(text)
        lowest = [each.version for each in requirement.specifier if each.operator in (">=", "==")]
        if lowest:
            yield f"{requirement.name}=={lowest[0]}"


def ask(pip_audit: str, arguments: list[str], what: str, gone: dict[str, str]) -> Answer:
    """Ask one source after the other, until one answers; those that don't, and why, join `gone` and
    are not asked again."""
    for source in SOURCES:
        if source in gone:
            continue
        command = [pip_audit, "--vulnerability-service", source, "--format", "json",
                   "--desc", "off", "--progress-spinner", "off", "--disable-pip",
                   *arguments]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=SECONDS
            )
            answer = read(json.loads(done.stdout), what)
        except subprocess.TimeoutExpired:
            gone[source] = f"{source}: no answer within {SECONDS} s"
        except ValueError:  # a traceback in place of a report
            last = (done.stderr.strip().splitlines() or ["no report"])[-1]
            gone[source] = f"{source}: {last[:200]}"
        else:
            if answer.asked:
                return answer
            gone[source] = f"{source}: knows none of them"
    return Answer([], 0, list(gone.values()))


def main() -> int:
    """Ask about both lists and print what is known."""
    (pip_audit,) = sys.argv[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    gone: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as directory:
        lowest = Path(directory) / "floors.txt"
        lowest.write_text("\n".join(floors(project)) + "\n", encoding="utf-8")
        answers = [
            ask(pip_audit, arguments, what, gone)
            for what, arguments in (
                ("pinned", ["--require-hashes", "-r", str(ROOT / "constraints.txt")]),
                ("lowest accepted", ["--no-deps", "-r", str(lowest)]),
            )
        ]
    advisories = [line for answer in answers for line in answer.advisories]
    for line in advisories:
        print(f"ADVISORY {line}")
    asked, silent = sum(answer.asked for answer in answers), [s for a in answers for s in a.silent]
    if asked:
        print(f"{asked} versions were asked about, {len(advisories)} advisories found")
    if silent:
        what = "of these nothing is known" if asked else "no source of advisories could be asked"
        print(f"NOT CHECKED: {what}: {'; '.join(dict.fromkeys(silent))}")
    return FOUND if advisories else NOT_ASKED if silent else 0


if __name__ == "__main__":
    sys.exit(main())
