"""From where in its log a partition insists on signatures (`agents/authentication.py`).

Release 0.1 signed nothing. The first owner of this release notes where the log ends, in the
partition's progress and before it reads a record, and what lies before that place is believed. With
RITORNO_ACCEPT_UNSIGNED (while workers of 0.1 still run beside it) everything is, until an owner
without it comes. There is no way back: what was refused once is refused in each replay.

Where nothing is kept (a changelog was lost) but the log holds records, what lies before the first
signed one is of 0.1, or of before Ritorno. Of a rolling update, in which signed and unsigned were
mixed, that is too little: then rebuild with RITORNO_ACCEPT_UNSIGNED, and go on without it.
"""

from __future__ import annotations

import msgspec

from schemas.records import Record
from schemas.signing import SIGNATURE, NotSigned, RecordSigner
from schemas.stored import NEVER, PROGRESS_KEY, UNDECIDED, Progress, pack_progress
from streams.log import Log, scan
from streams.logging import get_logger
from streams.runtime.state.changelog import Changelog, Overtaken
from streams.runtime.state.recovery import read_progress

_log = get_logger(__name__)


async def decide(
    log: Log,
    topic: str,
    changelog: Changelog,
    *,
    accept_unsigned: bool,
    signer: RecordSigner | None = None,
    fencing_epoch: int = 0,
) -> Progress:
    """Return the progress of a partition of `topic` that has been recovered, decided for good.

    Without a `signer` nothing is believed where nothing is kept, as is right for commands: what was
    lost with the changelog is that they were carried out. `fencing_epoch` is that of
    `pack_progress`.

    Raises LogError, StateError.
    """
    while True:
        progress = read_progress(changelog.store, changelog.topic, changelog.partition)
        if progress is None:
            return Progress(
                insists_from=NEVER
                if accept_unsigned
                else await _first_signed(log, topic, changelog.partition, signer)
            )
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
            await changelog.write(
                [(PROGRESS_KEY, pack_progress(decided, fencing_epoch))], lambda: None
            )
        except Overtaken:  # the owner before has written meanwhile
            await changelog.recover()
            continue
        return decided


async def _first_signed(log: Log, topic: str, partition: int, signer: RecordSigner | None) -> int:
    """Return where the first record of ours lies that is signed, the end if none is."""
    span = (await log.offsets(topic))[partition]
    if signer is None or span.start == span.end:
        return 0
    async for record in scan(log, topic, [partition], start=span.start, stop=span.end):
        if record.header(SIGNATURE) is not None and _is_ours(signer, topic, record):
            return record.offset
    return span.end


def _is_ours(signer: RecordSigner, topic: str, record: Record) -> bool:
    try:
        signer.check(topic, record)
    except NotSigned:
        return False
    return True
