"""The admin port of several processes: their metrics side by side, and whether all are ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import aiohttp

from streams.http.readiness import Check, Readiness
from streams.runtime.readiness import PUBLIC, ROLES
from streams.settings.values import Address

SECONDS = 5.0
"""For which the metrics of a process are waited for, as a scrape of the whole would."""

READY_SECONDS = 0.9
"""For which it is waited whether a process is ready: a little longer than for each of its checks
(`streams/http/readiness.py`), so that what it says of them arrives."""

TEXT = "text/plain; version=0.0.4"


class WorkerProcess(NamedTuple):
    """One of the processes."""

    name: str
    """Its number, the label `process` of its metrics."""
    address: Address | None
    """Its admin port; None while it isn't started."""
    state: str
    """In words, for who asks whether it is ready."""
    restarts: int


Members = Callable[[], Iterable[WorkerProcess]]


def readiness(members: Members, name: str, path: str = "/readyz") -> Check:
    """Return a check that asks a process whether it is ready, for a role by its `path`."""

    async def check() -> Readiness:
        member = next(each for each in members() if each.name == name)
        if member.address is None:
            return Readiness(False, member.state)
        try:
            status, body = await _got(member.address, path, READY_SECONDS)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Readiness(False, "it does not answer")
        checks = json.loads(body)["checks"]
        return Readiness(status == 200, "; ".join(each["detail"] for each in checks.values()))

    return check


async def metrics(members: Members, own: str = "") -> str:
    """Return the metrics of all processes as text, each with the label `process`, and the parent's
    `own` with `process="parent"`."""
    asked = list(members())
    pages = await asyncio.gather(*map(_metrics_of, asked))
    families = _Families()
    for member, page in zip(asked, pages, strict=True):
        families.add(page or "", member.name)
    families.add(own, "parent")
    families.add(of_processes(asked, [page is not None for page in pages]), None)
    return families.text()


async def _metrics_of(member: WorkerProcess) -> str | None:
    if member.address is None:
        return None
    try:
        status, body = await _got(member.address, "/metrics")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
    return body if status == 200 else None


async def _got(address: Address, path: str, seconds: float = SECONDS) -> tuple[int, str]:
    limit = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(timeout=limit) as session,
        session.get(f"http://{address}{path}", headers={"Accept": TEXT}) as answer,
    ):
        return answer.status, await answer.text()


def of_processes(members: Iterable[WorkerProcess], answers: Iterable[bool]) -> str:
    """Return what the parent itself knows of the processes, as text."""
    lines = [
        "# HELP ritorno_process_up Whether a process of this worker shows its metrics.",
        "# TYPE ritorno_process_up gauge",
    ]
    told = list(zip(members, answers, strict=True))
    lines += [f'ritorno_process_up{{process="{each.name}"}} {up:d}' for each, up in told]
    lines += [
        "# HELP ritorno_process_restarts_total Times that a process was started again.",
        "# TYPE ritorno_process_restarts_total counter",
    ]
    lines += [
        f'ritorno_process_restarts_total{{process="{each.name}"}} {each.restarts}'
        for each, _ in told
    ]
    return "\n".join(lines)


class _Families:
    """Lines of the text format, those of a family together as the format demands it."""

    def __init__(self) -> None:
        self._heads: dict[str, dict[str, str]] = {}
        self._samples: dict[str, list[str]] = {}

    def add(self, page: str, process: str | None) -> None:
        """Take in what one process shows, its samples labelled with `process`."""
        family = ""
        for line in page.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                _, kind, family, *_ = line.split(" ", 3)
                self._heads.setdefault(family, {}).setdefault(kind, line)
            elif line and not line.startswith("#"):
                sample = line if process is None else _labelled(line, process)
                self._samples.setdefault(family, []).append(sample)

    def text(self) -> str:
        """Return all of it."""
        lines: list[str] = []
        for family, heads in self._heads.items():
            lines += heads.values()
            lines += self._samples.get(family, ())
        return "\n".join(lines) + "\n"


def _labelled(sample: str, process: str) -> str:
    label = f'process="{process}"'
    name, brace, rest = sample.partition("{")
    if brace:
        return f"{name}{{{label},{rest}"
    name, _, value = sample.partition(" ")
    return f"{name}{{{label}}} {value}"


def any_ready(checks: Iterable[Check]) -> Check:
    """Return a check that one of `checks` is enough for."""
    asked = list(checks)

    async def check() -> Readiness:
        answers = await asyncio.gather(*(each() for each in asked))
        text = "; ".join(answer.detail for answer in answers)
        return Readiness(any(answer.ready for answer in answers), text)

    return check


def checks_of(members: Members, path: str = "/readyz") -> Mapping[str, Check]:
    """Return a check for each process."""
    return {f"process {each.name}": readiness(members, each.name, path) for each in members()}


def roles_of(members: Members) -> Mapping[str, Mapping[str, Check]]:
    """Return the checks of each role. The public port is shared: one process is enough there."""
    roles = {role: checks_of(members, f"/readyz/{role}") for role in ROLES}
    return {**roles, PUBLIC: {"processes": any_ready(roles[PUBLIC].values())}}
