"""How a kept record looks in a store and in its changelog: a fixed head, the format, the body.

The head is readable without decoding the body, so that recovery compares and schedules a million
customers at the speed of copying bytes:

    applied   int64, big-endian   offset of the last record already in this state
    due       int64, big-endian   when its earliest timer is due (ms since the epoch), NEVER if none
    format    one byte            how the body is to be read; none where there is no body
    body      msgpack (of products JSON)

Recovery keeps, per key, the record with the highest `applied`, never merely the last one: a worker
that was paused for longer than its session can still write an old state after the new owner.

The format rises when an older release would misread a record or write it back without what it does
not know (msgspec passes over what follows the last field that it knows). A release reads its own
format and the one before, and refuses what is newer: `FutureFormat`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple, TypeVar

import msgspec

from schemas.failures import Failure
from schemas.set_aside import SetAside
from schemas.time_rulings import TimeRuling

NEVER = 2**63 - 1
"""The `due` of a record without timers: later than any instant."""

OWN_PREFIX = b"\x00"
"""Begins the keys of what is a partition's own. No customer id does (see events), and no mail's."""

PROGRESS_KEY = b"\x00progress"
"""Changelog key of the partition's own record."""

FENCING_EPOCH_KEY = b"\x00term"
"""Key of the record that an owner leaves in the mailer's changelog when it takes a partition over:
its `applied` is the owner's fencing epoch. Release 0.1 had such records without a number elsewhere.
"""

FIRST_FENCING_EPOCH = 2
"""That of the first owner. Who writes late for release 0.1 goes up by less than two of them."""

_OFFSET_BITS = 40
"""Offsets below 2^40 and eight million fencing epochs: what a partition of the mailer is through
with."""

PRODUCT_PREFIX = b"\x00product/"
"""Begins the changelog keys of products (`agents/products/catalogue.py`)."""

ORIGIN_PREFIX = b"\x00origin/"
"""Begins the keys of how far other partitions have been heard (`agents/partition/origins.py`)."""

HELD_BACK_PREFIX = b"\x00held/"
"""Begins the keys of what is known of customers who are held back
(`agents/partition/held_back.py`)."""

WAITING_PREFIX = b"\x00waiting/"
"""Begins the keys of the events that wait for them."""
ARRIVALS_KEY = b"\x00arrivals"
"""Key of the offsets at which visitors were new (`agents/customer/visitors.py`)."""
NAMESPACE_DECISIONS_KEY = b"\x00turns"
"""Key of the places at which a visitor's record took what came under the bare id, or its events had
to wait (`agents/partition/namespaces.py`)."""

FORMAT = 2
"""What this release writes."""

UNMARKED = 1
"""The format of release 0.1, whose records name none: their body begins at once."""
_FORMATS_END = 0x20
"""No body begins with a lower byte: msgpack's arrays begin at 0x90, JSON's objects with `{`."""

_HEAD = struct.Struct(">qq")
_DUE = struct.Struct(">q")
_HEAD_AND_FORMAT = struct.Struct(">qqB")
HEAD_SIZE = _HEAD.size


class FutureFormat(Failure):
    """A newer release has written here. Going on would take away what it knows and we don't."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"a newer release of Ritorno has written here: format {number}, and this one reads up "
            f"to {FORMAT}. Nothing is changed here by this one: run the newer one, or one newer yet"
        )
        self.number = number


class Damaged(Failure):
    """What a partition keeps of its own can't be read."""

    def __init__(self, stored: str) -> None:
        super().__init__(
            f"{stored} of a partition, kept in its changelog, can't be read. Nothing is changed: "
            "restore the topics from one backup, or take a release that can read it"
        )


class Head(NamedTuple):
    """What recovery needs to know of a kept record."""

    applied: int
    due: int


def pack(applied: int, due: int, body: bytes) -> bytes:
    """Return the kept form of a record; without a body only its head is kept."""
    if not body:
        return _HEAD.pack(applied, due)
    return _HEAD_AND_FORMAT.pack(applied, due, FORMAT) + body


def head(stored: bytes) -> Head:
    """Return the head of a kept record. Raises Damaged when it is too short for one."""
    try:
        return Head(*_HEAD.unpack_from(stored))
    except struct.error as error:
        raise Damaged("A record") from error


def due_of(stored: bytes) -> int:
    """Return only the `due` of a kept record's head, for who asks a million of them."""
    due: int = _DUE.unpack_from(stored, _DUE.size)[0]
    return due


def body(stored: bytes) -> memoryview:
    """Return what follows the head and the format. Raises FutureFormat."""
    if len(stored) > HEAD_SIZE and stored[HEAD_SIZE] < _FORMATS_END:
        check_format(stored)
        return memoryview(stored)[HEAD_SIZE + 1 :]
    return memoryview(stored)[HEAD_SIZE:]


Own = TypeVar("Own")


def read_own(what: str, decoder: msgspec.msgpack.Decoder[Own], stored: bytes) -> Own:
    """Decode what a partition keeps of its own. Raises FutureFormat, and Damaged naming `what`."""
    try:
        return decoder.decode(body(stored))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Damaged(what) from error


def format_of(stored: bytes) -> int:
    """Return the format of a kept record; of one without a body it is the lowest."""
    if len(stored) <= HEAD_SIZE or stored[HEAD_SIZE] >= _FORMATS_END:
        return UNMARKED
    return stored[HEAD_SIZE]


def check_format(stored: bytes) -> None:
    """Raise FutureFormat for a record that this release can't read."""
    if len(stored) > HEAD_SIZE and FORMAT < stored[HEAD_SIZE] < _FORMATS_END:
        raise FutureFormat(stored[HEAD_SIZE])  # not by `format_of`: a recovery asks of each record


def is_newer(one: bytes, other: bytes) -> bool:
    """Whether `one` holds more than `other`: more of the log, or as much of it in a newer format.

    The latter tells a late writer of an older release from the owner: both have read the same.
    What is too short for a head is damaged. Nobody knows how much it held, so it is neither older
    nor newer, and the later one counts: an older state never stands in for it in silence.
    """
    try:
        applied, others = _HEAD.unpack_from(one)[0], _HEAD.unpack_from(other)[0]
    except struct.error:
        return False
    if applied == others:
        return format_of(one) > format_of(other)
    return bool(applied > others)


def is_erased(stored: bytes) -> bool:
    """Whether a kept record is what is left of an erased or deleted customer."""
    return len(stored) == HEAD_SIZE


UNDECIDED = -1
"""The `insists_from` of a partition that release 0.1 has kept: it signed nothing."""


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a partition has got; written last in each batch, so it vouches for all before it."""

    next_offset: int = 0
    """Everything below is in the states that the changelog holds."""
    log_time: int = 0
    """Highest append time among the records below `next_offset`, ms since the epoch."""
    live: dict[str, str] = {}
    """Workflow id → version that new runs begin with, as the control records said."""
    log_epoch: int = 0
    """Append time of the first record absorbed, ms since the epoch: tells this log of the partition
    from one that was made anew. 0 before the first one."""
    set_aside: tuple[SetAside, ...] = ()
    """Places that are to be passed over, from `next_offset` on."""
    broadcasts: list[tuple[int, bytes]] = []
    """What customers are still to be told of (`schemas/pending_work.py`): offset of the record that
    it came with, and the last customer who has been told, empty if nobody has."""
    arrivals: dict[int, int] = {}
    """New visitors by hour, counted from the epoch, of the last day
    (`agents/customer/visitors.py`)."""
    insists_from: int = UNDECIDED
    """From this offset on what is Ritorno's own must be signed; NEVER: not yet."""
    numbers: dict[str, int] = {}
    """Type of a control record → the highest number that one of them had."""
    followed: list[str] = []
    """Workflows whose runs may go by the live version: those of which such a version was live."""
    applied_at: int = 0
    """Append time of the record before `next_offset`, as the log has it: another one there, and the
    log is another one. 0: not known."""
    topic_id: str = ""
    """The broker's id of the topic; empty: not known."""
    partitions: int = 0
    """How many the topic had; 0: not known. With another number customers are elsewhere."""
    time_rulings: tuple[TimeRuling, ...] = ()
    """What time records count as, of those from `next_offset` on (`schemas/time_rulings.py`)."""


class NamespaceEvent(NamedTuple):
    """Where an event went to a visitor's record, or waited for it."""

    offset: int
    """Of the record at which it was applied or began to wait."""
    event: int
    """Its own offset: another one where it has waited and was applied at a record of its own."""


class NamespaceDecision(IntEnum):
    """What an event meant for the record of a visitor."""

    TOOK = 0
    """It took the event, which came under the bare id."""
    ADOPTED = 1
    """It took the whole record under the bare id over, and the event."""
    WAITED = 2
    """The event waits at the record under the bare id, which can't be read."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Progress)
_OFFSETS = msgspec.msgpack.Decoder(list[int])
_NAMESPACE_DECISIONS = msgspec.msgpack.Decoder(list[tuple[NamespaceEvent, NamespaceDecision]])


def pack_progress(progress: Progress, fencing_epoch: int = 0) -> bytes:
    """Return the kept form of a progress; its `applied` is the last offset dealt with.

    With an owner's `fencing_epoch` that of a later owner counts, however far one before it has got.
    """
    applied = (fencing_epoch << _OFFSET_BITS) + progress.next_offset - 1
    return pack(applied, NEVER, _ENCODER.encode(progress))


def pack_arrivals(births: list[int]) -> bytes:
    """Return the kept form of the offsets at which visitors were new in a batch; not empty."""
    return pack(births[-1], NEVER, _ENCODER.encode(births))


def unpack_arrivals(stored: bytes | None) -> list[int]:
    """Read what `pack_arrivals` wrote, nothing before the first one. Raises FutureFormat,
    Damaged."""
    return [] if stored is None else read_own("The list of new visitors", _OFFSETS, stored)


def pack_namespace_decisions(decisions: dict[NamespaceEvent, NamespaceDecision]) -> bytes:
    """Return the kept form of what is kept under TURNS_KEY; not empty."""
    return pack(max(decisions).offset, NEVER, _ENCODER.encode(list(decisions.items())))


def unpack_namespace_decisions(stored: bytes | None) -> dict[NamespaceEvent, NamespaceDecision]:
    """Read what `pack_namespace_decisions` wrote, nothing before the first one. Raises
    FutureFormat, Damaged."""
    if stored is None:
        return {}
    decisions = read_own("The list of turns", _NAMESPACE_DECISIONS, stored)
    return dict(decisions)


def unpack_progress(stored: bytes) -> Progress:
    """Read what `pack_progress` wrote. Raises FutureFormat."""
    return _DECODER.decode(body(stored))


def is_readable_progress(stored: bytes) -> bool:
    """Whether `unpack_progress` can read it. Raises FutureFormat."""
    try:
        unpack_progress(stored)
    except msgspec.MsgspecError:
        return False
    return True
