"""`ritorno doctor --deep`: what is kept, compared record by record.

Each changelog partition is read from end to end into a store of its own, as a worker does that has
no copy, and what comes of it is looked at: can it be read, is each timer where the recovery looks
for it, does it lie within the log that it was made from? The copy that a worker of this machine has
of it is brought up to the same place and must then be the same, byte for byte; RocksDB checks
each block that is read.

A worker's files are its own while it runs: then only the changelogs are looked at. Otherwise they
are linked, which takes milliseconds, and nothing is changed there. What is made for it lies in
RocksDB as well, so that memory is bounded; it takes as much room as the largest partition.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from schemas.failures import Failure
from streams.log import Log, LogError, OnProgress, no_progress, within
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus
from streams.operate.record_differences import PAUSE, Finding, Findings, differences, problem_of
from streams.runtime.data_directory import NotTaken, taken
from streams.runtime.state.recovery import read_progress, recover
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import StateError, Store
from streams.runtime.transports.batch import TopicPartition
from streams.settings import Settings
from streams.topology import AGENTS, AgentSpec

SCRATCH = "doctor"
"""In the data directory: what is made to compare with, and removed."""

ROOM_BYTES = 256 << 20
"""That stay free for whoever works there."""


class NoRoom(StateError):
    """What is compared with does not fit beside what a worker needs."""


async def check_consistency(settings: Settings, log: Log, on_progress: OnProgress) -> list[Check]:
    """Compare what is kept. Raises LogError, StateError (no room, another doctor at work)."""
    homes, running = _homes(settings.data_dir)
    spans = {agent.keeps: await log.offsets(agent.keeps) for agent in AGENTS}
    total = sum(span.end - span.start for each in spans.values() for span in each.values())
    before = 0
    with _scratch(settings.data_dir) as scratch:
        comparison = _Comparison(log, homes, scratch)
        for agent in AGENTS:
            for number, span in sorted(spans[agent.keeps].items()):
                part = within(_while_there_is_room(scratch, on_progress), before, total)
                await comparison.look_at(agent, number, part)
                before += span.end - span.start
    return [*comparison.checks(), *running, *_left_over(homes, spans)]


class _Comparison:
    """Looks at one partition after the other, and says what came of it."""

    def __init__(self, log: Log, homes: Sequence[Path], scratch: Path) -> None:
        self._log = log
        self._homes = homes
        self._scratch = scratch
        self._stores = RocksStores(scratch)
        self._found: list[Check] = []
        self._partitions = self._records = self._compared = self._behind = 0

    def checks(self) -> list[Check]:
        """Return what was found, and of which there is nothing to be said."""
        named = {check.name for check in self._found}
        checks = list(self._found)
        if "changelogs" not in named:
            text = (
                f"{several(self._records, 'record')} in {several(self._partitions, 'partition')}: "
                "each can be read, waits for what it has to and lies within its log"
            )
            checks.append(Check("changelogs", CheckStatus.OK, text))
        if "stores" not in named:
            text = "none lies here that could be compared"
            if self._compared:
                text = f"{self._compared} of this machine are as their changelogs say"
            if self._behind:
                more = several(self._behind, "record")
                text += f"; a worker that starts reads {more} before that"
            checks.append(Check("stores", CheckStatus.OK, text))
        return checks

    async def look_at(self, agent: AgentSpec, number: int, on_progress: OnProgress) -> None:
        """Look at one partition, and at the stores of it. Raises LogError, NoRoom."""
        tp = TopicPartition(agent.keeps, number)
        name = f"{tp.topic}/{tp.partition}"
        self._partitions += 1
        reference = self._stores(tp)
        try:
            try:
                recovered = await recover(self._log, tp.topic, number, reference, on_progress)
                problems = await self._wrong_in(agent, number, reference)
            except (LogError, NoRoom):
                raise
            except Failure as error:
                self._say("changelogs", f"{name}: {error}", "Do what it says.")
                return
            if recovered.stale_keys:
                stale = several(len(recovered.stale_keys), "record")
                problems.append(f"a late writer has put old states behind newer ones of {stale}")
            if problems:
                remedy = "Report it with this line, or restore the topics from one backup."
                self._say("changelogs", f"{name}: {'; '.join(problems)}", remedy)
            for home in self._homes:
                path = home / "state" / f"{tp.topic}-{number}"
                if path.is_dir():
                    await self._compare(tp, path, reference)
        finally:
            reference.drop()

    async def _wrong_in(self, agent: AgentSpec, number: int, store: Store) -> list[str]:
        """Return what is wrong with what a partition keeps. Raises Failure."""
        progress = read_progress(store, agent.keeps, number)
        # Asked when all was read: workers go on meanwhile.
        end = (await self._log.offsets(agent.reads))[number].high_watermark
        problems = []
        if progress is not None and progress.next_offset > end:
            read = progress.next_offset
            problems.append(f"{agent.reads} was read up to {read}, and its log ends at {end}")
        wrong: Findings = {}
        for count, (key, stored) in enumerate(store.scan(), start=1):
            if count % PAUSE == 0:
                await asyncio.sleep(0)
            self._records += 1
            if problem := problem_of(agent, key, stored, end):
                wrong.setdefault(problem, Finding()).add(key)
        return problems + [f"{each} {problem}" for problem, each in wrong.items()]

    async def _compare(self, tp: TopicPartition, path: Path, reference: Store) -> None:
        """Compare a worker's store with what comes of the changelog. Raises LogError, NoRoom."""
        copy = self._scratch / "copy"
        name = f"{tp.topic}/{tp.partition} in {path}"
        remedy = f"Stop its worker and remove {path}: it is recovered from the changelog."
        try:
            if not _linked(path, copy):
                text = f"{name}: a worker has started with it, so it was not compared"
                self._say("stores", text, "Stop it, and ask again.", CheckStatus.WARN)
                return
            with closing(self._stores.as_it_is(copy)) as store:
                wrong = await self._equal(tp, store, reference)
        except (LogError, NoRoom):
            raise
        except (Failure, OSError) as error:
            # It names the linked file, which is the worker's own.
            wrong = str(error).replace(str(copy), str(path))
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        self._compared += 1
        if wrong:
            self._say("stores", f"{name}: {wrong}", remedy)

    async def _equal(self, tp: TopicPartition, store: Store, reference: Store) -> str:
        """Return in what a store is another one than `reference` once it has caught up; empty: in
        nothing. Raises Failure."""
        position, end = store.position(), reference.position()
        if position > end:
            return f"it holds the changelog up to {position}, which ends at {end}"
        guarded = _while_there_is_room(self._scratch, no_progress)
        recovered = await recover(self._log, tp.topic, tp.partition, store, guarded, end=end)
        self._behind += recovered.records
        wrong = await differences(store, reference)
        return "; ".join(f"{each} {what}" for what, each in wrong.items())

    def _say(
        self, name: str, text: str, remedy: str, status: CheckStatus = CheckStatus.FAIL
    ) -> None:
        self._found.append(Check(name, status, text, remedy))


# The machine.


def _homes(data_dir: Path) -> tuple[list[Path], list[Check]]:
    """Return the data directories of workers that don't run, and what is to be said of the others:
    each process of `worker --processes N` has its own."""
    numbered = sorted(path for path in data_dir.glob("[0-9]*") if path.name.isdecimal())
    free, running = [], []
    for home in [data_dir, *numbered]:
        if not (home / "state").is_dir():
            continue
        try:
            with taken(home):
                free.append(home)
        except NotTaken:
            running.append(home)
    if not running:
        return free, []
    text = (
        f"a worker runs with {', '.join(map(str, running))}, and its files are its own: what it "
        "has there was not compared with the changelogs"
    )
    return free, [Check("stores", CheckStatus.WARN, text, "Stop it, and ask again.")]


def _linked(path: Path, copy: Path) -> bool:
    """Make `copy` of a store's files; return whether no worker has them open. Raises OSError."""

    def link(source: str, target: str) -> None:
        # Tables are never written to again.
        (os.link if source.endswith(".sst") else shutil.copyfile)(source, target)

    try:
        with taken(path.parents[1]):
            shutil.copytree(path, copy, copy_function=link)
    except NotTaken:
        return False
    return True


@contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    """Have a directory to work in, emptied before and after. Raises StateError."""
    path = data_dir / SCRATCH
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with taken(path):
            _empty(path)  # one that was killed has left it
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
    except NotTaken:
        raise StateError(f"{path}: another `ritorno doctor --deep` is at work") from None
    except OSError as error:
        raise StateError(f"{path} can't be written: {error.strerror or error}") from error


def _empty(path: Path) -> None:
    for each in ("state", "copy"):
        shutil.rmtree(path / each, ignore_errors=True)


def _while_there_is_room(path: Path, on_progress: OnProgress) -> OnProgress:
    """Return `on_progress` that raises StateError before the disk is full."""

    def told(done: int, total: int) -> None:
        if shutil.disk_usage(path).free < ROOM_BYTES:
            raise NoRoom(
                f"{path}: there is no room for a second copy of a partition beside what a worker "
                f"needs ({ROOM_BYTES >> 20} MB)"
            )
        on_progress(done, total)

    return told


def _left_over(homes: Sequence[Path], partitions: Mapping[str, Collection[int]]) -> Iterator[Check]:
    known = {f"{topic}-{number}" for topic, numbers in partitions.items() for number in numbers}
    for home in homes:
        for path in sorted((home / "state").iterdir()):
            if path.name not in known:
                text = f"{path} is of no partition that there is"
                yield Check("stores", CheckStatus.WARN, text, f"Remove {path}.")
