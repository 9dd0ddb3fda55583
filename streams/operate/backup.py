"""A copy of the whole log that is taken while workers go on, and the way back from it.

A backup is an embedded log in a directory of its own: `ritorno replay` and `ritorno explain` read
it as any other. Of an embedded log it is one snapshot of the file. Of Kafka each record is copied
with its offset and append time; where the changelogs end is taken down first. What they say was
done has been appended before, and lies below the later ends of the other topics: the cut is what a
crash of all workers at that moment would have left.

Compaction goes on meanwhile. A record that is superseded only behind the cut must not be gone
before it is copied, and isn't within `min.compaction.lag.ms`: a copy of the changelogs that took
longer is none.

What came after the backup is lost when it is restored, the word that a mail was sent as well: such
a mail goes again. Restored into an embedded log it is the same log; on Kafka, which gives records
new offsets and times, customers and mails go on as after a move (`streams/operate/moving.py`), and
what was read stays in the backup.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from schemas.failures import Failure
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.log import Log, LogError, OffsetRange, OnProgress, TopicSpec, no_progress
from streams.operate.moving import NotCopied, copy
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.embedded.file import FILE_NAME, explained
from streams.topology import COMPACTION_LAG_MS, topics

DESCRIPTION = "backup.json"
"""Beside the log: what it is of. Written last, so that an interrupted backup has none."""


class NoBackup(Failure):
    """The directory can't be written to, or holds no whole backup; the text says why."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup is of."""

    taken: int
    """When it was begun, ms; by the clock of whoever took it."""
    same_log: bool
    """Whether it is an embedded log itself, which a restored one may go on as."""
    records: Mapping[str, int] = field(default_factory=dict)
    """By topic."""


async def back_up(
    log: Log, directory: Path, clock: Clock, on_progress: OnProgress = no_progress
) -> Backup:
    """Copy all of `log` into a new directory. `on_progress` is told of offsets, of Kafka's only.

    Raises NoBackup, LogError. What an interruption leaves is no backup, and says so.
    """
    _see_that_it_is_new(directory)
    await _see_that_there_is_something(log)
    taken, same_log = clock.now(), isinstance(log, EmbeddedLog)
    if isinstance(log, EmbeddedLog):
        await asyncio.to_thread(_snapshot, log.directory, directory)
    target = EmbeddedLog(directory, clock)
    await target.start()
    try:
        if not same_log:
            await _copy_all(log, target, clock, on_progress)
        records = await _count(target)
    finally:
        await target.stop()
    backup = Backup(taken, same_log, records)
    _write_description(directory, backup)
    return backup


def read_backup(directory: Path) -> Backup:
    """Return what the backup in `directory` is of. Raises NoBackup."""
    path = directory / DESCRIPTION
    try:
        content = json.loads(path.read_bytes())
        return Backup(content["taken"], content["same_log"], content["records"])
    except FileNotFoundError:
        raise NoBackup(f"{directory} holds no backup, or one that was interrupted") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoBackup(f"{path} can't be read: {error}") from None


async def restore(
    directory: Path,
    target: Log,
    signer: RecordSigner,
    clock: Clock,
    *,
    replication: int = 1,
    on_progress: OnProgress = no_progress,
) -> Backup:
    """Bring a backup back into `target`, which holds nothing yet and is started already.

    Raises NoBackup, LogError.
    """
    backup = read_backup(directory)
    if isinstance(target, EmbeddedLog) and backup.same_log:
        await _put_in_place(directory, target)
        return backup
    source = EmbeddedLog(directory, clock)
    await source.start()
    try:
        await copy(source, target, signer, replication=replication, on_progress=on_progress)
    except NotCopied as error:
        raise NoBackup(str(error)) from None
    finally:
        await source.stop()
    return backup


def _see_that_it_is_new(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        raise NoBackup(f"{directory} is not empty: each backup has a directory of its own")


async def _see_that_there_is_something(log: Log) -> None:
    for spec in topics(1):
        if await log.describe(spec.name) is not None:
            return
    raise NoBackup("the log that is set has none of our topics: is RITORNO_BROKER what was meant?")


def _snapshot(source: Path, directory: Path) -> None:
    """Copy an embedded log as it is at one moment, without what was deleted from it."""
    with explained(source):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(sqlite3.connect(source / FILE_NAME, isolation_level=None)) as db:
            try:
                db.execute("VACUUM INTO ?", (str(directory / FILE_NAME),))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                with explained(directory):  # only the copy is written to
                    raise
    with explained(directory), (directory / FILE_NAME).open("rb") as file:
        os.fsync(file.fileno())


async def _put_in_place(directory: Path, target: EmbeddedLog) -> None:
    """Let `target` be the log of the backup. Raises NoBackup, LogError."""
    await target.claim()
    if any((await _count(target)).values()):
        raise NoBackup(f"the log in {target.directory} is not empty: move it away first")
    await target.stop()

    def put() -> None:
        for each in target.directory.glob(f"{FILE_NAME}*"):  # the empty one, and its journal
            each.unlink()
        # Under its name once it is whole: an interrupted copy leaves no log that anybody opens.
        copied = target.directory / f"{FILE_NAME}.restoring"
        shutil.copyfile(directory / FILE_NAME, copied)
        with copied.open("rb") as file:
            os.fsync(file.fileno())
        copied.replace(target.directory / FILE_NAME)

    with explained(target.directory):
        await asyncio.to_thread(put)
    await target.start()


async def _copy_all(
    source: Log, target: EmbeddedLog, clock: Clock, on_progress: OnProgress
) -> None:
    specs = [spec for spec in topics(1) if await source.describe(spec.name) is not None]
    for spec in specs:
        count = await source.partitions(spec.name)
        await target.create_topics([replace(spec, partitions=count)])
    first = [spec.name for spec in specs if _is_compacted(spec)]
    began = clock.now()
    spans = {name: await source.offsets(name) for name in first}
    rest = [spec.name for spec in specs if not _is_compacted(spec)]
    spans |= {name: await source.offsets(name) for name in rest}
    total = sum(span.end - span.start for each in spans.values() for span in each.values())
    done = 0
    for name in [*first, *rest]:
        for number, span in sorted(spans[name].items()):
            await _copy_partition(source, target, name, number, span)
            done += span.end - span.start
            on_progress(done, total)
        if name in first and clock.now() - began > COMPACTION_LAG_MS:
            raise LogError(
                f"Copying the changelogs took longer than a day, for which the broker keeps what "
                f"they are recovered from ({name}): this is no backup."
            )


async def _copy_partition(
    source: Log, target: EmbeddedLog, topic: str, number: int, span: OffsetRange
) -> None:
    await target.copy(topic, number, span, ())
    async for chunk in source.read(topic, number, span.start, span.end):
        await target.copy(topic, number, span, chunk)


def _is_compacted(spec: TopicSpec) -> bool:
    return spec.config.get("cleanup.policy") == "compact"


async def _count(log: EmbeddedLog) -> dict[str, int]:
    """Return how many offsets each topic reaches over."""
    counts = {}
    for spec in topics(1):
        if await log.describe(spec.name) is not None:
            spans = (await log.offsets(spec.name)).values()
            counts[spec.name] = sum(span.end - span.start for span in spans)
    return counts


def _write_description(directory: Path, backup: Backup) -> None:
    path = directory / DESCRIPTION
    content = {"taken": backup.taken, "same_log": backup.same_log, "records": backup.records}
    with explained(directory), path.open("w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
