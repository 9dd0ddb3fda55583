"""The mailer's queues as their changelogs have them: what waits, what is paused, what is held.

Works while workers run. What a worker keeps in memory alone, rates and open connections, is in its
metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from agents.mail.queue.pauses import PAUSES_KEY, Pause, unpack_pauses
from agents.mail.queue.queued_mail import QueuedMail, unpack_entry
from agents.mail.reputation import REPUTATION_KEY, unpack_statistics
from schemas.commands import Control
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.stored import OWN_PREFIX
from streams.log import Log, OnProgress, no_progress
from streams.logging import get_logger
from streams.runtime.control_numbers import reserve
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.recovery import recovered_stores
from streams.topology import MAILER_CHANGELOG, SEND_COMMANDS, WORKFLOWS

_log = get_logger(__name__)

Kept = TypeVar("Kept")


@dataclass(slots=True)
class QueueOverview:
    """What is kept of all partitions. What can't be read is named in the log and passed over."""

    pauses: list[Pause] = field(default_factory=list)
    """In the order in which they were made; the same one in every partition is one."""
    held_since: int = 0
    """Since when the sender's reputation holds marketing in some partition, ms; 0: it does not."""
    _kept: list[MemoryStore] = field(default_factory=list)

    def entries(self) -> Iterator[QueuedMail]:
        """Yield every mail that is not forgotten."""
        for store in self._kept:
            for key, stored in store.scan():
                if not key.startswith(OWN_PREFIX):
                    entry = _read(key, stored, unpack_entry)
                    if entry is not None:
                        yield entry

    def find(self, command_id: str) -> QueuedMail | None:
        """Return one mail."""
        found = (store.get(command_id.encode()) for store in self._kept)
        stored = next((each for each in found if each is not None), None)
        return None if stored is None else _read(command_id.encode(), stored, unpack_entry)

    def add(self, store: MemoryStore) -> None:
        """Take in what one partition keeps."""
        self._kept.append(store)
        stored = store.get(PAUSES_KEY)
        if stored and (pauses := _read(PAUSES_KEY, stored, unpack_pauses)):
            known = {(pause.paused_class, pause.workflow) for pause in self.pauses}
            self.pauses += [
                pause
                for pause in pauses.active
                if (pause.paused_class, pause.workflow) not in known
            ]
            self.pauses.sort(key=lambda pause: pause.since)
        stored = store.get(REPUTATION_KEY)
        if stored and (statistics := _read(REPUTATION_KEY, stored, unpack_statistics)):
            self.held_since = max(self.held_since, statistics.held_since)


def _read(key: bytes, stored: bytes, unpack: Callable[[bytes], Kept]) -> Kept | None:
    try:
        return unpack(stored)
    except (msgspec.MsgspecError, UnicodeError) as error:
        _log.warning("what the mailer keeps can't be read, passed over", topic=MAILER_CHANGELOG,
                     key=key.decode("utf-8", "backslashreplace"), error=str(error))  # fmt: skip
        return None


async def read_queues(log: Log, on_progress: OnProgress = no_progress) -> QueueOverview:
    """Read the changelogs of all partitions. Raises LogError."""
    found = QueueOverview()
    async for _, store in recovered_stores(log, MAILER_CHANGELOG, on_progress):
        found.add(store)
    return found


async def control(log: Log, command: Control, signer: RecordSigner) -> None:
    """Tell every partition what a person wants. Raises LogError; then say it again."""
    value = command.model_dump_json(by_alias=True, exclude_none=True).encode()
    plain = OutRecord(None, value, (("content-type", b"application/json"),))
    record = signer.sign(SEND_COMMANDS, (await reserve(log, WORKFLOWS)).on(plain))
    for partition in range(await log.partitions(SEND_COMMANDS)):
        await log.append(SEND_COMMANDS, partition, [record])
