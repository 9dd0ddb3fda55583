"""From where in its log a partition insists on signatures (`agents/trust.py`).

Release 0.1 signed nothing. The first owner of this release notes where the log ends, in the
partition's progress and before it reads a record, and what lies before that place is believed. With
RITORNO_ACCEPT_UNSIGNED (while workers of 0.1 still run beside it) everything is, until an owner
without it comes. There is no way back: what was refused once is refused in each replay.
"""

from __future__ import annotations

import msgspec
import structlog

from schemas.stored import NEVER, PROGRESS_KEY, UNDECIDED, Progress, pack_progress
from streams.log import Log
from streams.state.changelog import Changelog, Overtaken
from streams.state.recovery import read_progress

_log = structlog.get_logger(__name__)


async def decide(
    log: Log, topic: str, changelog: Changelog, *, accept_unsigned: bool, term: int = 0
) -> Progress:
    """Return the progress of a partition of `topic` that has been recovered, decided for good.

    `term` is that of `pack_progress`.

    Raises LogError, StateError.
    """
    while True:
        progress = read_progress(changelog, changelog.topic, changelog.partition)
        if progress is None:  # nothing has ever been read: nothing comes from 0.1
            return Progress(insists_from=NEVER if accept_unsigned else 0)
        if progress.insists_from not in (UNDECIDED, NEVER):
            if accept_unsigned:
                _log.warning(
                    "RITORNO_ACCEPT_UNSIGNED comes too late: this partition insists already",
                    topic=topic, partition=changelog.partition,
                )  # fmt: skip
            return progress
        end = NEVER if accept_unsigned else (await log.offsets(topic))[changelog.partition].end
        if progress.insists_from == end:
            return progress
        decided = msgspec.structs.replace(progress, insists_from=end)
        try:
            await changelog.write([(PROGRESS_KEY, pack_progress(decided, term))], lambda: None)
        except Overtaken:  # the owner before has written meanwhile
            await changelog.recover()
            continue
        return decided
