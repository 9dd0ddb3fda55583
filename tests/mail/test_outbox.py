"""The order in which a partition of the mailer writes its changelog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import QueueChanges
from schemas.stored import PROGRESS_KEY, Progress
from streams.mail.outbox import OutboxWriter
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.store import Item
from tests.keys import SIGNER


class Paper:
    """A changelog that notes what is written together."""

    def __init__(self) -> None:
        self.written: list[list[bytes]] = []

    async def write(self, items: Sequence[Item], check: Callable[[], None]) -> None:
        self.written.append([key for key, _ in items])


class Listening:
    """A queue that is told of what was written."""

    def written(self, states: Sequence[Item]) -> None:
        """Nothing is to be done here."""


async def test_the_progress_comes_behind_all_that_it_says_was_taken_over() -> None:
    """An append may reach the broker in part. A mail that changes again before it was written, as
    one that expired while nobody was there, must not fall behind the progress."""
    paper = Paper()
    outbox = OutboxWriter(
        log=cast(Any, None),
        changelog=cast(Changelog, paper),
        queue=cast(Queue, Listening()),
        check=lambda: None,
        noted=lambda notes: None,
        signer=SIGNER,
        fencing_epoch=1,
    )
    outbox.submit(QueueChanges(states=[(b"m1", b"queued")]), Progress(next_offset=1))
    outbox.submit(QueueChanges(states=[(b"m2", b"queued")]), Progress(next_offset=2))
    last = outbox.submit(QueueChanges(states=[(b"m1", b"skipped"), (b"m0", None)]))
    running = asyncio.create_task(outbox.run())
    await last
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert [set(keys) for keys in paper.written] == [{b"m0", b"m1", b"m2", PROGRESS_KEY}]
    assert paper.written[0][-1] == PROGRESS_KEY
