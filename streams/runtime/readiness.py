"""What a worker's readiness is made of, as a whole and for each role that a balancer may ask for.

`/readyz` wants all of it. A partition that is stuck must not take the public pages out of a
balancer, so each role is asked about by itself as well: `/readyz/public`, `/readyz/customers`,
`/readyz/mailer`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from streams.http.readiness import Check, Readiness, log_reachable
from streams.log import Log
from streams.messages.plurals import several
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.settings import Settings
from streams.topology import AGENTS, CUSTOMER_EVENTS, SEND_COMMANDS

PUBLIC = "public"
ROLES = (PUBLIC, *(agent.name for agent in AGENTS))
"""The public pages, and each agent's work."""

TWICE = 2
"""Failures in a row after which a partition is in trouble: one may be the broker's."""

PROBE_BYTES = 4_096
"""A block: what a disk without room for it refuses."""

Checks = Mapping[str, Check]


def checks_of(
    settings: Settings,
    log: Log,
    partition_manager: PartitionManager,
    failing: Callable[[], Mapping[TopicPartition, str]],
) -> tuple[Checks, Mapping[str, Checks]]:
    """Return the checks of a worker, and those of each role. `failing` tells the partitions whose
    mails can't be delivered by a fault of our own or of the log, and why."""
    reachable = log_reachable(log, CUSTOMER_EVENTS)
    disk = DiskProbe(worker_directories(settings))
    member = _accepted(partition_manager)

    def work_on(*topics: str) -> Checks:
        opened = _partitions_open(partition_manager, topics, failing)
        return {"log": reachable, "disk": disk, "group": member, "partitions": opened}

    # Pages append to the log, which is this machine's disk where it is embedded.
    pages: Checks = {"log": reachable} if settings.on_kafka else {"log": reachable, "disk": disk}
    roles: Mapping[str, Checks] = {
        PUBLIC: pages,
        **{agent.name: work_on(agent.reads) for agent in AGENTS},
    }
    return work_on(*(agent.reads for agent in AGENTS)), roles


def worker_directories(settings: Settings) -> list[Path]:
    """Return where a worker writes."""
    embedded = [] if settings.on_kafka else [settings.embedded_path]
    return [settings.data_dir, *embedded]


class DiskProbe:
    """A check that writes to the disk and waits until it is there."""

    def __init__(self, directories: Collection[Path]) -> None:
        """`directories` are those that a worker writes to."""
        self._directories = list(dict.fromkeys(directories))
        self._trial: asyncio.Future[str] | None = None

    async def __call__(self) -> Readiness:
        # A disk that hangs holds one thread, however often somebody asks.
        if self._trial is None or self._trial.done():
            self._trial = asyncio.ensure_future(asyncio.to_thread(self._try))
        problem = await asyncio.shield(self._trial)
        return Readiness(not problem, problem or "it takes what is written")

    def _try(self) -> str:
        """Return what is wrong, empty if nothing is."""
        for directory in self._directories:
            try:
                with tempfile.TemporaryFile(dir=directory) as file:
                    file.write(bytes(PROBE_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                return f"{directory} takes no write: {error.strerror or error}"
        return ""


def _accepted(partition_manager: PartitionManager) -> Check:
    async def check() -> Readiness:
        refusal = partition_manager.refusal()
        return Readiness(not refusal, refusal or "it takes this worker for a member")

    return check


def _partitions_open(
    partition_manager: PartitionManager,
    topics: Collection[str],
    failing: Callable[[], Mapping[TopicPartition, str]],
) -> Check:
    """Return a check of those of `topics`: all are open, and none fails again and again.

    One that fails at each batch is open most of the time, and commits nothing. A worker without
    any is ready to take over, once it has been told that it has none.
    """

    async def check() -> Readiness:
        health = {tp: each for tp, each in partition_manager.health().items() if tp.topic in topics}
        opened = sum(each.is_open for each in health.values())
        text = f"{opened} of {several(len(health), 'partition')} open"
        ready = partition_manager.is_assigned and opened == len(health)
        for tp, each in sorted(health.items()):
            if each.failures:
                text += f"; {tp.topic}/{tp.partition}: {each.reason}"
            if each.failures and each.reopened > 1:
                text += f" (opened again {each.reopened} times)"
            ready = ready and each.failures < TWICE
        if SEND_COMMANDS in topics:
            for tp, reason in sorted(failing().items()):
                text += f"; {tp.topic}/{tp.partition}: {reason}"
                ready = False
        return Readiness(ready, text)

    return check
