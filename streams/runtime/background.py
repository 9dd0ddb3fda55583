"""Background tasks: begun again when they fail, counted and logged.

A task of asyncio that dies tells nobody: compaction stopped, or suppressions were no longer read,
and the worker looked healthy. What is to go on for ever is begun again after a growing pause
(`kept_up`); what ends by itself only has to say how (`watched`). Either way a failure is counted
for the metrics and told in the log, the first one with where it came from, the next ones rarely.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, get_args

from streams.logging import get_logger
from streams.runtime.backoff import Backoff

Work = Literal[
    "compaction",  # of the embedded log, and its retention
    "news",  # records that another process has written to the embedded log
    "suppressions",  # those that other workers have added
    "erasing",
    "forgetting",  # looking for visitors who are forgotten
    "kept_messages",  # letting go of messages that came back
    "mail_watch",  # opening a partition of the mailer again
    "mail_turns",  # waking mails when a relay may be tried again
    "mail_goodbyes",  # hanging up politely
    "mail_hosts",  # asking the DNS whose mailboxes these are
    "garbage",  # the search for cycles of objects
    "lag",  # looking how far partitions are behind
    "loop",  # measuring how long the event loop keeps whoever is due
    "topics",  # seeing that they stay the same
    "secrets",  # reading certificates, keys and passwords again
    "outbound",  # delivering signals to other systems
    "hits",  # noting that a mail was opened
    "ingest_keys",  # reading the keys of who may send by HTTP again
    "polling",  # asking shops for what webhooks have not told
    "feeds",  # fetching product feeds
    "mapping",  # mapping topics that others own
    "insights",  # taking facts into the store
    "insights_care",  # looking after the store's file
]

BACKOFF = Backoff(1.0, 300.0)
"""Seconds before what has failed is begun again: 1, 2, 4 … 300. Who has gone on for longer than the
longest pause begins at the shortest one again."""

LOG_EVERY = 3_600.0
"""Seconds between two lines about the same work."""

_log = get_logger(__name__)


class Failures:
    """How often each work of this process has failed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(get_args(Work), 0))
        self._told: dict[str, float] = {}

    def note(self, work: Work, error: BaseException) -> None:
        """Count a failure, and tell of it when nobody was told of late."""
        self.counts[work] += 1
        now = time.monotonic()
        if now - self._told.get(work, -LOG_EVERY) >= LOG_EVERY:
            self._told[work] = now
            _log.error("work in the background failed, it is begun again", work=work,
                       failures=self.counts[work], exc_info=error)  # fmt: skip


FAILURES: Final = Failures()
"""Those of this process; `streams/operate` shows them."""


async def kept_up(
    work: Work,
    begin: Callable[[], Awaitable[None]],
    *,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    failures: Failures = FAILURES,
) -> None:
    """Do `begin` again and again, whatever it raises; return when it does."""
    loop = asyncio.get_running_loop()
    in_a_row = 0
    while True:
        began = loop.time()
        try:
            await begin()
        except Exception as error:
            in_a_row = 1 if loop.time() - began > BACKOFF.longest else in_a_row + 1
            failures.note(work, error)
            await pause(BACKOFF.after(in_a_row))
        else:
            return


def watched(
    work: Work, task: asyncio.Task[Any], failures: Failures = FAILURES
) -> asyncio.Task[Any]:
    """Note when `task` ends by an error that nobody else looks at; return it."""

    def ended(task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failures.note(work, error)

    task.add_done_callback(ended)
    return task
