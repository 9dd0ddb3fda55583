"""Looking up what is kept of one customer or one mail, also while a worker runs.

The worker that has the customer is asked (`streams/http/internal/`). The changelog is the truth and
the worker's store a copy that only the worker may open, so without a worker a lookup reads the
customer's partition of the changelog from end to end, as recovery does and by the same rule: the
highest `applied` wins, a tombstone wins over all before it. A command is found from the time at
which it was decided: it was appended soon after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.mail.queue.command_reader import read_record
from schemas.commands import Command, SendCommand
from schemas.customer import Customer, decode_customer
from schemas.records import Record
from schemas.reference import both, is_visitors
from schemas.stored import (
    PROGRESS_KEY,
    FutureFormat,
    Progress,
    is_erased,
    is_newer,
    is_readable_progress,
    unpack_progress,
)
from schemas.time_units import MINUTE_MS
from schemas.validation import Unreadable
from streams.http.internal.client import Lookups, NoAnswer
from streams.log import Log, OffsetRange, OnProgress, backwards, no_progress, scan
from streams.partitioner import partition_of
from streams.topology import CUSTOMERS_CHANGELOG, SEND_COMMANDS

CLOCK_SKEW_MS = MINUTE_MS
"""By so much a broker's clock may be behind that of another one."""

MOST_COMMANDS = 50_000
"""Records looked through for a command: well under a second. A worker that had been away for hours
decides them at the log's old time, and appends them now."""

TAIL = 2_000
"""Changelog records searched first for the progress, which is the last one of each batch."""


async def latest_states(
    log: Log,
    id_: str,
    on_progress: OnProgress = no_progress,
    *,
    lookups: Lookups | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, bytes]:
    """Return the kept records of an id (`schemas/stored.py`) by reference: the customer's and the
    visitor's, as far as they are there. Of a reference to a visitor only that one's.

    The owner is asked through `lookups`; when nobody answers, `told` says so and the changelog is
    read. Raises LogError.
    """
    references = (id_,) if is_visitors(id_) else both(id_)
    keys = {reference.encode(): reference for reference in references}
    if lookups is not None:
        try:
            answers = {name: await lookups.record(key) for key, name in keys.items()}
            return {name: state for name, state in answers.items() if state is not None}
        except NoAnswer as error:
            told(f"{error}; reading the changelog instead")
    partition = partition_of(id_.encode(), await log.partitions(CUSTOMERS_CHANGELOG))
    latest: dict[str, bytes | None] = dict.fromkeys(references)
    async for record in scan(log, CUSTOMERS_CHANGELOG, [partition], on_progress=on_progress):
        name = keys.get(record.key or b"")
        if name is not None and _wins(record.value, latest[name]):
            latest[name] = record.value
    return {name: state for name, state in latest.items() if state is not None}


def known_customers(states: Mapping[str, bytes]) -> dict[str, Customer]:
    """Return those of whom anything is kept, of what `latest_states` has returned; the customer
    comes first. Raises UnreadableRecord, FutureFormat."""
    return {
        name: decode_customer(name, state) for name, state in states.items() if not is_erased(state)
    }


async def latest_progress(
    log: Log, partition: int, changelog: str = CUSTOMERS_CHANGELOG
) -> Progress | None:
    """Return an agent's progress in a partition, the customers' if no other `changelog` is given,
    None when there is none that can be read: as
    in a recovery, an older one says as well where to go on.

    Raises LogError, FutureFormat.
    """
    span = (await log.offsets(changelog)).get(partition, OffsetRange(0, 0))
    for start, stop in backwards(span, TAIL):
        latest: bytes | None = None
        async for record in scan(log, changelog, [partition], start=start, stop=stop):
            if record.key == PROGRESS_KEY and _is_progress(record.value):
                latest = record.value
        if latest is not None:
            return unpack_progress(latest)
    return None


async def known_count(log: Log) -> int:
    """Return how many partitions `customer-events` had when it was read last; 0: nobody has noted
    it. Raises LogError."""
    for number in await log.offsets(CUSTOMERS_CHANGELOG):
        try:
            progress = await latest_progress(log, number)
        except FutureFormat:
            continue  # whoever opens the partition says so
        if progress is not None and progress.partitions:
            return progress.partitions
    return 0


async def find_command(
    log: Log, customer: str, command_id: str, decided: int
) -> SendCommand | None:
    """Return the command of a mail decided at `decided` (ms), None when it isn't kept any more.

    Raises LogError.
    """
    key = customer.encode()
    partition = partition_of(key, await log.partitions(SEND_COMMANDS))
    start = await log.offset_at(SEND_COMMANDS, partition, decided - CLOCK_SKEW_MS)
    end = (await log.offsets(SEND_COMMANDS))[partition].end
    stop = min(end, start + MOST_COMMANDS)
    async for record in scan(log, SEND_COMMANDS, [partition], start=start, stop=stop):
        if record.key == key:
            command = parsed_command(record)
            if isinstance(command, SendCommand) and command.id == command_id:
                return command
    return None


def parsed_command(record: Record) -> Command | None:
    """Return the command of a record, None when it is none."""
    try:
        return read_record(record)
    except Unreadable:
        return None  # it is among the dead letters


def _is_progress(value: bytes | None) -> bool:
    return value is not None and is_readable_progress(value)


def _wins(value: bytes | None, latest: bytes | None) -> bool:
    if value is None or latest is None:
        return True
    return not is_newer(latest, value)
