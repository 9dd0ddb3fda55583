"""One mail, or webhook, in the durable queue, as it is kept. What may become of it:
`agents/mail/queue/lifecycle.py`.

`applied` of the kept record is the command's offset, shifted, plus a revision that grows with every
change and every owner, so that in recovery "highest applied wins" picks the newest that the last of
them has written.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from agents.mail.metrics import HoldReason
from agents.mail.providers import OTHER
from agents.mail.queue.lanes import Lane
from agents.mail.replies import RelayRefused
from schemas.commands import DeliveryClass, NotifyCommand, SendCommand
from schemas.records import OutRecord
from schemas.stored import UNMARKED, body, format_of, pack
from schemas.time_units import DAY_MS

REVISION_BITS = 26
"""A million terms of 64, some thirty years of a hundred takeovers a day, and 2^37 commands of one
partition, forty years of a hundred a second."""

REVISIONS_PER_OWNER = 64
"""An owner's first change of a mail goes up by this for each owner since the mail's last change,
whether that one has written or not. One that was paused and has lost the partition has made fewer
changes that nobody has read, so whatever a later owner has decided is the newer."""

REMEMBERED_MS = DAY_MS
"""A finished mail is remembered until its expiry and this much longer, so that its command is known
when it is delivered again; a late writer's old state is older than that by then."""

State = Literal[
    "queued", "deferred", "held", "attempting",
    "sent", "bounced", "failed", "rejected", "skipped", "cancelled",
]  # fmt: skip


class QueuedMail(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of one mail."""

    id: str
    state: State
    offset: int
    """Of the command that made this entry."""
    expires: int
    urgent: bool = False
    """Transactional or a webhook: to arrive at least once."""
    due: int = 0
    """Not to be tried before."""
    revision: int = 0
    attempt: int = 0
    """How many attempts have begun."""
    ambiguous: bool = False
    """An attempt ended between the final dot and the reply."""
    told: int = 0
    """The attempt for which "the relay can't be reached" was reported already."""
    command: bytes = b""
    """The command as it was read; dropped when nothing is left to do."""
    pending: tuple[OutRecord, ...] = ()
    """Outcomes that `customer-events` may not have yet, oldest first."""
    delivery: DeliveryClass | None = None
    """None: by `urgent`, in an entry from before there were four classes."""
    provider: str = OTHER
    """Of the recipient's mailbox; the host of a webhook."""
    held: HoldReason | None = None
    """What it is held by, or was last."""
    freed: int = 0
    """When a person released it, ms since the epoch."""
    refusal: RelayRefused | None = None
    """The relay's last word, if any."""
    fencing_epoch: int = 0
    """Which owner has made the last change: later ones have higher numbers, the first has
    `FIRST_FENCING_EPOCH`. 0: nobody yet, or one of release 0.1."""

    @property
    def key(self) -> bytes:
        """Its key in store and changelog."""
        return self.id.encode()

    @property
    def lane(self) -> Lane:
        """Where it waits."""
        usual: DeliveryClass = "transactional" if self.urgent else "automated"
        return Lane(self.delivery or usual, self.provider)

    @property
    def webhook(self) -> bool:
        """Whether this is no mail but a webhook, of which customers hear nothing."""
        return self.delivery == "notify"

    @property
    def marketing(self) -> bool:
        """Whether holds apply to it, and "at most once"."""
        return not self.urgent

    @property
    def waiting(self) -> bool:
        """Whether it is to be tried (again)."""
        return self.state in ("queued", "deferred", "held")

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it but being forgotten."""
        return not self.waiting and self.state != "attempting"

    @property
    def forget(self) -> int:
        """When a finished mail may be forgotten."""
        return self.expires + REMEMBERED_MS


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(QueuedMail)


def pack_entry(entry: QueuedMail) -> bytes:
    """Return the kept form; `due` of the head is when something is to be done next."""
    applied = (entry.offset << REVISION_BITS) + min(entry.revision, (1 << REVISION_BITS) - 1)
    due = entry.forget if entry.finished else entry.due
    return pack(applied, due, _ENCODER.encode(entry))


def unpack_entry(stored: bytes) -> QueuedMail:
    """Read what `pack_entry` wrote."""
    entry = _DECODER.decode(body(stored))
    if format_of(stored) == UNMARKED:  # its owners had no numbers that can be compared
        return msgspec.structs.replace(entry, fencing_epoch=0)
    return entry


def with_fencing_epoch(entry: QueuedMail, fencing_epoch: int) -> QueuedMail:
    """Return a new or changed entry as the owner of `fencing_epoch` writes it."""
    if entry.fencing_epoch == fencing_epoch:
        return entry
    owners = max(1, fencing_epoch - entry.fencing_epoch)
    return msgspec.structs.replace(
        entry, revision=entry.revision + owners * REVISIONS_PER_OWNER, fencing_epoch=fencing_epoch
    )


@lru_cache(maxsize=512)  # each change of a mail looks into its command, up to ten times in a row
def _read(command: bytes) -> SendCommand:
    return SendCommand.model_validate_json(command)


def read_command(entry: QueuedMail) -> SendCommand:
    """Return the command of a mail that is not finished."""
    return _read(entry.command)


def read_notify(entry: QueuedMail) -> NotifyCommand:
    """Return the command of a webhook that is not finished."""
    return NotifyCommand.model_validate_json(entry.command)


def workflow_of(entry: QueuedMail) -> str:
    """Return the workflow that decided it; it is not finished."""
    return (read_notify(entry) if entry.webhook else read_command(entry)).workflow
