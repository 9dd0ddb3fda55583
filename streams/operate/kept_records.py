"""Checks: can this release open the partitions as they are kept, and do the workers have them open?

A worker that has a partition open has read all that is kept of it, so only the others are read
here, from end to end, as an opening would.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from schemas.records import Record
from schemas.stored import (
    OWN_PREFIX,
    PRODUCT_PREFIX,
    PROGRESS_KEY,
    WAITING_PREFIX,
    Damaged,
    FutureFormat,
    check_format,
    is_newer,
    is_readable_progress,
)
from streams.http.internal.client import Lookups, NoAnswer
from streams.log import Log, scan
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus
from streams.runtime.state.own import check_own
from streams.runtime.transports.assigned_partition import PartitionHealth
from streams.runtime.transports.batch import TopicPartition
from streams.topology import AGENTS, CUSTOMERS_CHANGELOG

NAMED = 5
"""Partitions that are named with their reasons; the metrics have all."""

TWICE = 2
"""Failures in a row after which a partition is in trouble: one may be the broker's."""

_WHY_NOT = "none runs with this data directory, or RITORNO_TOKEN_KEYS is not set on Kafka"
"""See `lookups_of`; what they keep is then read from the topics, below."""

_LARGE = (PRODUCT_PREFIX, WAITING_PREFIX)
"""Many, and no reason for a partition to stay closed."""


async def ask_workers(
    lookups: Lookups | None,
) -> tuple[dict[TopicPartition, PartitionHealth], Check]:
    """Return what the workers say of their partitions, and what is to be thought of it. Raises
    LogError."""
    if lookups is None:
        return {}, Check("workers", CheckStatus.OK, f"not asked: {_WHY_NOT}")
    try:
        health = await lookups.health()
    except NoAnswer as error:
        return {}, Check("workers", CheckStatus.OK, f"none can be asked: {error}")
    return health, check_health(health)


def check_health(health: Mapping[TopicPartition, PartitionHealth]) -> Check:
    """Say which partitions can't be opened, or are opened again and again, and why."""
    troubled = {
        tp: each
        for tp, each in sorted(health.items())
        if each.failures >= TWICE or (each.failures and not each.is_open)
    }
    if not troubled:
        again = sum(each.reopened for each in health.values())
        text = f"open: {several(len(health), 'partition')}"
        return Check(
            "workers",
            CheckStatus.OK,
            f"{text}, opened again {several(again, 'time')}" if again else text,
        )
    parts = [f"{tp.topic}/{tp.partition} {_told(each)}" for tp, each in troubled.items()]
    remedy = (
        "Do what the reason says, or report it with the worker's log. Nothing of these partitions "
        "is lost or done twice; they are tried again by themselves, every half minute at last."
    )
    return Check("workers", CheckStatus.FAIL, _named(parts), remedy)


def _named(parts: Sequence[str]) -> str:
    more = len(parts) - NAMED
    return "; ".join(parts[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _told(each: PartitionHealth) -> str:
    if each.is_open:
        return f"is opened again and again ({several(each.reopened, 'time')}): {each.reason}"
    return f"is not open after {several(each.failures, 'failure')}: {each.reason}"


async def check_kept(log: Log, opened: Collection[TopicPartition] = ()) -> list[Check]:
    """Say whether this release can open what no worker has `opened`. Raises LogError."""
    newer: dict[str, int] = {}
    damaged: list[str] = []
    for agent in AGENTS:
        for partition in sorted(await log.offsets(agent.keeps)):
            if TopicPartition(agent.reads, partition) in opened:
                continue
            name = f"{agent.keeps}/{partition}"
            try:
                damaged += [f"{name}: {each}" for each in await _damage(log, name)]
            except FutureFormat as error:
                newer[name] = error.number
    return [_check_format(newer), _check_damage(damaged)]


def _check_format(newer: Mapping[str, int]) -> Check:
    if newer:
        number = max(newer.values())
        text = f"a newer release has written format {number} to {', '.join(newer)}"
        remedy = "Run that release, or one newer yet; this one leaves these partitions alone."
        return Check("format", CheckStatus.FAIL, text, remedy)
    return Check("format", CheckStatus.OK, "this release reads all that is kept")


def _check_damage(damaged: list[str]) -> Check:
    if damaged:
        remedy = (
            "These partitions stay closed, and nothing of them is changed. Restore the topics from "
            "one backup, or take a release that can read it."
        )
        return Check("damage", CheckStatus.FAIL, _named(damaged), remedy)
    return Check("damage", CheckStatus.OK, "each partition's own records can be read")


async def _damage(log: Log, name: str) -> list[str]:
    """Return what of a partition's own can't be read. Raises FutureFormat at the first record of a
    newer release, of whomever it is."""
    topic, _, number = name.rpartition("/")
    partition = int(number)
    own: dict[bytes, Record] = {}
    progress = readable = 0
    async for record in scan(log, topic, [partition]):
        key, value = record.key or b"", record.value
        if value is None:
            own.pop(key, None)
            continue
        check_format(value)
        if not key.startswith(OWN_PREFIX) or key.startswith(_LARGE):
            continue
        if key == PROGRESS_KEY:
            progress += 1
            readable += is_readable_progress(value)
        elif key not in own or not is_newer(own[key].value or b"", value):
            own[key] = record
    found = []
    if progress and not readable:
        found.append("The progress can't be read, and no older one is left")
    if topic == CUSTOMERS_CHANGELOG:
        found += [problem for each in own.values() if (problem := _problem(each))]
    return found


def _problem(record: Record) -> str:
    try:
        check_own(record.key or b"", record.value or b"")
    except Damaged as error:
        return f"{error} (offset {record.offset})"
    return ""
