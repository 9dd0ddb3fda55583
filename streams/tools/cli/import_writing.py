"""Where the events of an imported file go: into the log, resumed where it was interrupted, or into
files."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from schemas.dead_letters import refuse_line
from schemas.events import Event
from schemas.records import OutRecord
from schemas.wire import to_record
from streams.clock import SystemClock
from streams.log import Log, LogError, append_all
from streams.messages.plurals import several
from streams.partitioner import partition_of
from streams.replaced_file import replace_file
from streams.runtime.bootstrap import provide_topics
from streams.settings import Settings
from streams.tools.cli.console import CommandFailed, UserError, open_log, progress, say
from streams.tools.order_import.event_lines import to_line
from streams.tools.order_import.import_report import Refusal
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS

BATCH = 500
"""Events awaited together: an order with its lines is some 2 kB, so about 1 MB."""


class ImportPlace:
    """How far an import of this very file, read in this very way, has come: `data_dir/imports`."""

    def __init__(self, data_dir: Path, digest: str) -> None:
        """`digest` of content and options; empty: of what can't be read again."""
        self._path = data_dir / "imports" / f"{digest}.json" if digest else None

    def read(self) -> int:
        """Return how many events are in the log for sure."""
        if self._path is None:
            return 0
        try:
            done = json.loads(self._path.read_bytes())["events"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return done if isinstance(done, int) and done > 0 else 0

    def note(self, events: int) -> None:
        """Note that so many are."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(self._path, json.dumps({"events": events}))

    def forget(self) -> None:
        """It is done: the next time begins anew."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


async def publish(
    settings: Settings,
    events: Iterator[Event],
    refusals: list[Refusal],
    name: str,
    place: ImportPlace,
) -> None:
    """Append events in batches, behind those of an interrupted run, and then what was refused as
    dead letters. Raises CommandFailed: what is there already is known by its id."""
    async with open_log(settings) as log:
        await provide_topics(log, settings)
        done = place.read()
        if done:
            say(f"going on where it was interrupted, behind {several(done, 'event')}")
            for _ in itertools.islice(events, done):
                pass
        with progress("publishing") as bar:
            await _append_all(log, events, bar.at, place, done)
        now = SystemClock().now()
        letters = [
            refuse_line(each.row.raw, topic=name, number=each.row.number, reason=each.reason,
                        detail=each.detail, time=now, key=each.key)
            for each in refusals
        ]  # fmt: skip
        for start in range(0, len(letters), BATCH):
            await log.append(DEAD_LETTERS, 0, letters[start : start + BATCH])
    place.forget()


async def _append_all(
    log: Log,
    events: Iterator[Event],
    report: Callable[[int], object],
    place: ImportPlace,
    done: int,
) -> None:
    before = done
    try:
        count = await log.partitions(CUSTOMER_EVENTS)
        while batch := list(itertools.islice(events, BATCH)):
            groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
            for event in batch:
                number = partition_of(event.customer.encode(), count)
                groups[CUSTOMER_EVENTS, number].append(to_record(event))
            await append_all(log, groups)
            done += len(batch)
            place.note(done)
            report(done)
    except LogError as error:
        raise CommandFailed(
            f"{error}\nPublished before: {several(done - before, 'event')}. When the cause is "
            "gone, import the file again: it goes on from there."
        ) from error


def write(output: Path, events: Iterable[Event], refusals: list[Refusal], name: str) -> None:
    """Write events as NDJSON, and what was refused beside them. Raises UserError."""
    with _writing(output) as stream:
        stream.writelines(to_line(event) for event in events)
    dead = dead_path(output)
    if refusals:
        with _writing(dead) as stream:
            stream.writelines(_dead_lines(refusals, name))
    else:
        dead.unlink(missing_ok=True)  # of an earlier run


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without a time of day in it, the same events are the same file.
        with path.open("wb") as plain:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=plain, mode="wb", mtime=0, compresslevel=6) as zipped:
                    yield cast("IO[bytes]", zipped)
            else:
                yield plain
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def dead_path(output: Path) -> Path:
    """Return where refused lines go."""
    return output.with_name(
        output.name.removesuffix(".gz").removesuffix(".ndjson") + ".dead.ndjson"
    )


def _dead_lines(refusals: Iterable[Refusal], name: str) -> Iterator[bytes]:
    for refusal in refusals:
        letter = {
            "file": name,
            "line": refusal.row.number,
            "reason": refusal.reason,
            "detail": refusal.detail,
            "raw": refusal.row.raw.decode("utf-8", "backslashreplace"),
        }
        # A lone surrogate in a detail is no UTF-8; escaped it is still JSON.
        yield json.dumps(letter).encode() + b"\n"
