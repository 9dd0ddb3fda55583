"""The mailer's queues as their changelogs have them: what waits, what is paused, what is held.

Works while workers run. What a worker keeps in memory alone, rates and open connections, is in its
metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agents.mailer.entry import Entry, unpack_entry
from agents.mailer.pauses import PAUSES_KEY, Pause, unpack_pauses
from agents.mailer.reputation import REPUTATION_KEY, unpack_standing
from schemas.commands import Control
from schemas.records import OutRecord
from schemas.signing import Signer
from schemas.stored import OWN_PREFIX
from streams.log import Log
from streams.numbers import reserve
from streams.state.memory import MemoryStore
from streams.state.recovery import fold
from streams.topology import MAILER_CHANGELOG, SEND_COMMANDS, WORKFLOWS


@dataclass(slots=True)
class Overview:
    """What is kept of all partitions."""

    pauses: list[Pause] = field(default_factory=list)
    """In the order in which they were made; the same one in every partition is one."""
    held_since: int = 0
    """Since when the sender's reputation holds marketing in some partition, ms; 0: it does not."""
    _kept: list[MemoryStore] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        """Yield every mail that is not forgotten."""
        for store in self._kept:
            for key, stored in store.scan():
                if not key.startswith(OWN_PREFIX):
                    yield unpack_entry(stored)

    def find(self, command_id: str) -> Entry | None:
        """Return one mail."""
        found = (store.get(command_id.encode()) for store in self._kept)
        stored = next((each for each in found if each is not None), None)
        return None if stored is None else unpack_entry(stored)

    def add(self, store: MemoryStore) -> None:
        """Take in what one partition keeps."""
        self._kept.append(store)
        if (pauses := store.get(PAUSES_KEY)) is not None:
            known = {(pause.paused_class, pause.workflow) for pause in self.pauses}
            self.pauses += [
                pause
                for pause in unpack_pauses(pauses).active
                if (pause.paused_class, pause.workflow) not in known
            ]
            self.pauses.sort(key=lambda pause: pause.since)
        if (standing := store.get(REPUTATION_KEY)) is not None:
            self.held_since = max(self.held_since, unpack_standing(standing).held_since)


async def overview(
    log: Log, on_progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Overview:
    """Read the changelogs of all partitions. Raises LogError."""
    found, done = Overview(), 0
    spans = await log.offsets(MAILER_CHANGELOG)
    total = sum(span.end - span.start for span in spans.values())
    for partition, span in sorted(spans.items()):
        store = MemoryStore()
        async for chunk in log.read(MAILER_CHANGELOG, partition, span.start, span.end):
            if chunk:
                fold(chunk, store, set())
                done += len(chunk)
                on_progress(done, total)
        found.add(store)
    return found


async def control(log: Log, command: Control, signer: Signer) -> None:
    """Tell every partition what a person wants. Raises LogError; then say it again."""
    value = command.model_dump_json(by_alias=True, exclude_none=True).encode()
    plain = OutRecord(None, value, (("content-type", b"application/json"),))
    record = signer.sign(SEND_COMMANDS, (await reserve(log, WORKFLOWS)).on(plain))
    for partition in range(await log.partitions(SEND_COMMANDS)):
        await log.append(SEND_COMMANDS, partition, [record])
