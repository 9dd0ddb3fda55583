"""Published workflow definitions, and the control record that makes them live.

Two steps, so that whoever may write events can't write workflows. A definition is published into
the guarded topic `workflows` under `id@version`, where the version is the hash of its content. Then
a control record in every partition of `customer-events` names the versions that new runs begin
with; being in the log, it takes effect at the same point in live and in replay.

`publish` in order: the definitions, the control records, then the record `live`, which says that
every partition has been told. A crash in between leaves the former live versions under `live`, and
publishing again, the same or what was live before, tells every partition; all of it may be repeated
without harm. So does publishing where a partition's log does not hold what it was told.

Of two publications at once the one with the higher number (`streams/runtime/control_numbers.py`)
wins in each partition, and under `live`, which has the number too. Who finds that another number
was reserved meanwhile tells all of it again: the other one may never get to the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from pydantic_core import from_json

from schemas import events
from schemas.definitions import canonical, version_of
from schemas.definitions.workflow import Workflow
from schemas.failures import InputError
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner, number_of
from schemas.stored import OWN_PREFIX
from streams.log import Log, LogError, scan
from streams.logging import get_logger
from streams.runtime.control_numbers import (
    Reserved,
    is_overtaken,
    last_publication,
    publish_as_latest,
    untold_partitions,
)
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import CUSTOMER_EVENTS, WORKFLOWS

if TYPE_CHECKING:
    from agents.definitions.published import Definitions
    from streams.runtime.definition_files import Reading

CONTROL_TYPE = events.WORKFLOWS.encode()
LIVE_KEY = b"live"
"""Can't be mistaken for a definition, whose key has an @."""

Version = tuple[str, str]
"""Workflow id and version."""

_log = get_logger(__name__)


class DefinitionError(InputError):
    """A workflow file that can't be used; the text names file, field and value."""


DEFINITION_BYTES = 1_000_000
"""Of one definition as it is published, and of the record that names all that are live: a little
less than what a log takes of a record. A pool of coupons may hold seventy thousand codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationReport:
    """What `publish` did."""

    added: tuple[Version, ...]
    """Versions that the topic did not hold yet."""
    live: Mapping[str, str]
    """Workflow id → version that is live now."""
    activated: bool
    """Whether control records were written, i.e. other versions were live before, in some partition
    at least."""
    untold: Sequence[int] = ()
    """Partitions whose log did not hold what it was told, signed with a key that is listed."""


@dataclass(slots=True)
class PublishedDefinitions:
    """What the topic `workflows` holds."""

    definitions: dict[Version, bytes]
    """Canonical contents."""
    live: dict[str, str] | None
    """None as long as nothing has been published completely."""
    end: int
    """Offset to read on from."""
    number: int = -1
    """Of the record that says what is live; those of release 0.1 have none."""

    def live_contents(self) -> list[bytes]:
        """Return the canonical contents of what is live."""
        return [self.definitions[version] for version in (self.live or {}).items()]


async def live_or_files(log: Log, directory: Path) -> Collection[bytes]:
    """Return the canonical contents of what is live, or of the files of a directory as long as
    nothing was published. Raises LogError, DefinitionError."""
    published = await read(log)
    return read_files(directory).values() if published.live is None else published.live_contents()


def versions_of(definitions: Mapping[str, bytes]) -> dict[str, str]:
    """Return workflow id → version for canonical definitions by workflow id."""
    return {workflow: version_of(content) for workflow, content in sorted(definitions.items())}


async def publish(
    log: Log, definitions: Mapping[str, bytes], signer: RecordSigner
) -> PublicationReport:
    """Publish canonical definitions by workflow id and make exactly these live. Raises LogError.

    Workflows that are live but not among `definitions` are not live any more: no new runs begin.
    """
    published = await read(log)
    live = versions_of(definitions)
    added = tuple(item for item in live.items() if item not in published.definitions)
    if added:
        records = [OutRecord(_key(*item), definitions[item[0]]) for item in added]
        await log.append(WORKFLOWS, 0, records)
    last = await last_publication(log, WORKFLOWS)
    untold = await untold_partitions(log, events.WORKFLOWS, last, signer)
    unfinished = last is not None and last.ended is None
    activated = published.live != live or unfinished or bool(untold)

    async def tell(reserved: Reserved) -> bool:
        await _activate(log, live, signer, reserved)
        if await is_overtaken(log, reserved):
            return False
        await log.append(WORKFLOWS, 0, [reserved.on(OutRecord(LIVE_KEY, _json(live)))])
        return True

    if activated and not await publish_as_latest(log, WORKFLOWS, tell):
        raise LogError("Workflows are being published by others all the time. Try again.")
    return PublicationReport(added=added, live=live, activated=activated, untold=untold)


async def load(log: Log) -> dict[Version, bytes]:
    """Return every published definition. Raises LogError."""
    return (await read(log)).definitions


async def read(log: Log, after: PublishedDefinitions | None = None) -> PublishedDefinitions:
    """Read the topic `workflows`, or what has been added to it `after`. What is no definition is
    passed over: also one under the name of a version that it is not. Raises LogError."""
    span = (await log.offsets(WORKFLOWS))[0]
    start = span.start if after is None else after.end
    published = PublishedDefinitions(
        definitions={} if after is None else dict(after.definitions),
        live=None if after is None else after.live,
        end=span.end,
        number=-1 if after is None else after.number,
    )
    skipped = SkippedRecords("a definition")
    async for record in scan(log, WORKFLOWS, [0], start=start, stop=span.end):
        try:
            _take(record, published)
        except ValueError as error:
            skipped.note(record, error)
    skipped.tell()
    return published


def named_versions(record: Record) -> Iterable[Version]:
    """Return the versions that a control record names; empty for any other or a malformed one."""
    if record.key is not None or record.header("ce_type") != CONTROL_TYPE:
        return ()
    try:
        live = from_json(record.value or b"")["live"]
        return [(str(workflow), str(version)) for workflow, version in live.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()  # the actors dead-letter it, with the reason


def control_record(live: Mapping[str, str]) -> OutRecord:
    """Return the record that makes `live` (workflow id → version) the versions of new runs; a
    worker obeys it with a number and signed."""
    headers = (("ce_type", CONTROL_TYPE), ("content-type", b"application/json"))
    return OutRecord(None, _json({"live": dict(live)}), headers)


async def _activate(
    log: Log, live: Mapping[str, str], signer: RecordSigner, reserved: Reserved
) -> None:
    record = signer.sign(CUSTOMER_EVENTS, reserved.on(control_record(live)))
    partitions = range(await log.partitions(CUSTOMER_EVENTS))
    await asyncio.gather(*(log.append(CUSTOMER_EVENTS, each, [record]) for each in partitions))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _key(workflow: str, version: str) -> bytes:
    return f"{workflow}@{version}".encode()


_LIVE = msgspec.json.Decoder(dict[str, str])


def _take(record: Record, published: PublishedDefinitions) -> None:
    """Take in one record. Raises ValueError when it is neither a definition nor what is live."""
    if record.key == LIVE_KEY:
        live, number = _LIVE.decode(record.value or b""), number_of(record.headers)
        if number is None or number >= published.number:
            published.live = live
            published.number = published.number if number is None else number
    elif record.key is None or record.value is None or record.key.startswith(OWN_PREFIX):
        return
    else:
        workflow, _, version = record.key.decode().rpartition("@")
        if version_of(record.value) != version:
            raise ValueError(f"its content is not that of {workflow}@{version}")
        published.definitions[workflow, version] = record.value


class DefinitionLoader:
    """Fills `definitions` with what is published, and again when something new is named."""

    def __init__(self, log: Log, definitions: Definitions) -> None:
        self._log = log
        self._definitions = definitions
        self._published = PublishedDefinitions(definitions={}, live=None, end=0)

    async def refresh(self) -> None:
        """Read what has been published since the last time. Raises LogError."""
        known = self._published.definitions
        self._published = await read(self._log, self._published)
        for (workflow, version), content in self._published.definitions.items():
            if (workflow, version) not in known:
                self._add(workflow, version, content)

    async def ensure(
        self, records: Iterable[Record], is_believed: Callable[[Record], bool] = lambda _: True
    ) -> None:
        """Make sure that versions named by control records among `records` are known.

        Nothing is read for a record that is not believed: whoever may write events would have us
        read a topic for each. A version that isn't published even now is a mistake; the actors
        refuse it. Raises LogError.
        """
        known = self._published.definitions
        for record in records:
            if any(each not in known for each in named_versions(record)) and is_believed(record):
                await self.refresh()
                return

    def _add(self, workflow: str, version: str, content: bytes) -> None:
        try:
            self._definitions.add(version, content)
        except Exception as error:  # of a newer Ritorno, or a defect: what needs it is set aside
            self._definitions.unreadable.add((workflow, version))
            _log.error("published workflow can't be read", workflow=workflow, version=version,
                       error=f"{type(error).__name__}: {error}")  # fmt: skip


def read_files(directory: Path, *, everything: bool = False) -> dict[str, bytes]:
    """Read the definition files of a directory: id → canonical content.

    Without `everything` the recipes that are not enabled are left out; they have to be right all
    the same. Raises DefinitionError, which names every mistake of every file with its line.
    """
    # Checking files needs the language of conditions; what is published was checked before.
    from streams.runtime.definition_files import read_directory  # noqa: PLC0415  # see above

    files = {
        name: canonical(each)
        for name, each in right(read_directory(directory)).definitions.items()
        if everything or not isinstance(each, Workflow) or each.enabled
    }
    check_sizes(files)
    return files


def check_sizes(definitions: Mapping[str, bytes]) -> None:
    """See that a log takes all of these. Raises DefinitionError."""
    for name, content in definitions.items():
        if len(content) > DEFINITION_BYTES:
            problem = f"{len(content):,} bytes as published, at most {DEFINITION_BYTES:,}"
            raise DefinitionError(f"{name}: too large: {problem}")
    live = len(control_record(versions_of(definitions)).value or b"")
    if live > DEFINITION_BYTES:
        problem = f"{len(definitions):,} definitions are more than one control record can name"
        raise DefinitionError(problem)


def right(reading: Reading) -> Reading:
    """Return what was read. Raises DefinitionError, which names every mistake with its line."""
    if reading.findings:
        raise DefinitionError("\n".join(map(str, reading.findings)))
    return reading
