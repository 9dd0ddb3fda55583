"""One open partition of the mailer: its queue, its writer, its deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import AttemptResult
from streams.mail.delivery import Delivery
from streams.mail.outbox import OutboxWriter
from streams.runtime.state.changelog import Changelog

RECORDING = 2.0
"""Seconds for writing down what became of the deliveries in flight when it is let go."""


class MailPartition:
    """One open partition: its queue, its writer, its deliveries."""

    def __init__(
        self,
        changelog: Changelog,
        queue: Queue,
        outbox: OutboxWriter,
        delivery: Delivery,
        next_offset: int | None,
    ) -> None:
        self.changelog = changelog
        self.queue = queue
        self.outbox = outbox
        self.delivery = delivery
        self.next_offset = next_offset
        self._writing: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None] | None = None

    @property
    def failed(self) -> asyncio.Future[BaseException]:
        """Why it has to be opened again."""
        return self.delivery.failed

    def start(self, ended: Iterable[AttemptResult]) -> None:
        """Settle what was left open and begin to deliver."""
        self._writing = asyncio.create_task(self.outbox.run())
        self._writing.add_done_callback(self._stopped)
        try:
            self.delivery.recover(ended)
        except BaseException:
            self._writing.cancel()
            raise
        self._delivering = asyncio.create_task(self.delivery.run())
        self._delivering.add_done_callback(self._stopped)

    async def stop(self, seconds: float) -> list[AttemptResult]:
        """End deliveries, within `seconds`, then writing; return results not written down."""
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.wait([self._delivering])
        await self.delivery.finish(seconds)
        if self._writing is not None:
            drained = asyncio.create_task(self.outbox.drained())
            await asyncio.wait({drained}, timeout=RECORDING)
            drained.cancel()
            self._writing.cancel()
            await asyncio.wait([self._writing])
        return self.delivery.unrecorded()

    def _stopped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self.failed.done():
            self.failed.set_result(task.exception() or RuntimeError("ended by itself"))
