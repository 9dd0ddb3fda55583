"""The form of a dead letter: the refused record untouched, and behind its headers, why and whence.

A dead letter keeps key, value and headers of the record as they were. Our own headers come after
them and there are always exactly `OWN_HEADERS`, so that whatever an original header is called (also
`dl_topic`, from a record that was refused twice) it can be told from ours by its place.

Behind them stands the signature of who has refused it: sent again, some records are obeyed as if
they had come now, and for that it must have been us who kept them from being obeyed. Letters of
release 0.1 and of the publisher have none.

A letter that was dealt with is not taken out of the log, which nobody can; a second record in the
same partition, the *resolution*, names it by its offset.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from schemas.instant import parse_instant, to_rfc3339
from schemas.records import OutRecord, Record
from schemas.signing import SIGNATURE, SIGNED, NotSigned, RecordSigner

OWN_HEADERS = ("dl_reason", "dl_detail", "dl_topic", "dl_partition", "dl_offset", "dl_time")
"""In this order, behind the original headers."""

SIGNATURE_HEADER = "dl_signature"
"""Behind OWN_HEADERS."""

RESOLUTION_HEADER = "dl_resolved"
"""Only on a resolution; its value is the offset of the letter it resolves."""

NO_PARTITION = -1
"""`dl_partition` of a line that never reached a topic: it was refused while it was published."""

LINE_SOURCE = "line_source"
"""Header of a line that names no source itself: that of the key under which it came."""

_SHOP = ("shop_connection", "shop_source", "shop_resource", "shop_topic", "shop_history", "shop_id")
"""Headers of a shop's resource, in this order and always all of them (`ShopResource`)."""

MAX_DETAIL = 500
"""Characters of a detail that are kept: a header is no place for a megabyte of nesting."""


MAX_LETTER_BYTES = 2_097_152
"""Of a dead letter: twice what a log takes of other records by default, so that one that was read
can be refused. Where a broker takes larger ones, the letter keeps the beginning."""

_OWN_BYTES = 8_192
"""Of our own headers."""


class RefusedAt(NamedTuple):
    """Where a refused record was read."""

    topic: str
    partition: int
    """NO_PARTITION for a line of a file; `offset` is then the number of the line."""
    offset: int


class ShopResource(NamedTuple):
    """How a resource of a connected shop's came that could not be understood."""

    connection: str
    source: str
    """Of the shop's events."""
    resource: str
    """What it is a row of, `orders`; empty for a whole webhook."""
    topic: str
    """Of the webhook in which it came; empty where the shop was asked for it."""
    history: bool
    id: str
    """The shop's, as far as that could be read."""


class DeadLetter(NamedTuple):
    """A refused record, and why it was refused."""

    partition: int
    offset: int
    """Where the letter itself lies in `dead-letters`."""
    origin: RefusedAt
    reason: str
    detail: str
    time: int
    """When it was refused, by the time of the log; ms since the epoch."""
    original: OutRecord
    signature: bytes | None = None

    @property
    def id(self) -> str:
        """What names this letter on the command line: `PARTITION:OFFSET` in `dead-letters`."""
        return f"{self.partition}:{self.offset}"


class Resolution(NamedTuple):
    """Says that the letter at `offset` of `partition` has been sent again."""

    partition: int
    offset: int


def refuse(record: Record, *, reason: str, detail: str, time: int) -> OutRecord:
    """Return the dead letter of a record that can't be used.

    `reason` is a word of a closed set (it becomes a metric's label), `detail` a sentence for a
    person, without personal data beyond what the record itself holds. `time` is the time of the
    log, in ms since the epoch, so that replay refuses byte for byte the same.
    """
    origin = RefusedAt(record.topic, record.partition, record.offset)
    original = OutRecord(record.key, record.value, record.headers)
    return _letter(original, origin, reason=reason, detail=detail, time=time)


def refuse_line(
    line: bytes, *, topic: str, number: int, reason: str, detail: str, time: int,
    key: bytes | None = None, source: str = "",
) -> OutRecord:  # fmt: skip
    """Return the dead letter of line `number` (from 1) of a file meant for `topic`; `key` is the id
    of whom it is about, as far as that can be read."""
    origin = RefusedAt(topic, NO_PARTITION, number)
    headers = ((LINE_SOURCE, source.encode()),) if source else ()
    return _letter(OutRecord(key, line, headers), origin, reason=reason, detail=detail, time=time)


def refuse_resource(
    body: bytes, came: ShopResource, *, topic: str, reason: str, detail: str, time: int,
    key: bytes | None = None,
) -> OutRecord:  # fmt: skip
    """Return the dead letter of a shop's resource that would have become records of `topic`; `key`
    as in `refuse_line`."""
    said = (*came[:4], "true" if came.history else "false", came.id)
    headers = tuple(
        (name, text.encode("utf-8", "replace")) for name, text in zip(_SHOP, said, strict=True)
    )
    origin = RefusedAt(topic, NO_PARTITION, 0)
    return _letter(OutRecord(key, body, headers), origin, reason=reason, detail=detail, time=time)


def shop_resource(letter: DeadLetter) -> ShopResource | None:
    """Return how the original of a letter came from a shop, None where it did not."""
    headers = letter.original.headers
    if letter.origin.partition != NO_PARTITION or tuple(name for name, _ in headers) != _SHOP:
        return None
    connection, source, resource, topic, history, id_ = (
        (value or b"").decode("utf-8", "replace") for _, value in headers
    )
    return ShopResource(connection, source, resource, topic, history == "true", id_)


def with_signed_original(letter: OutRecord, topic: str, signer: RecordSigner) -> OutRecord:
    """Return a letter whose original, a control record, is signed as one of `topic`."""
    original, own = letter.headers[: -len(OWN_HEADERS)], letter.headers[-len(OWN_HEADERS) :]
    signed = signer.sign(topic, OutRecord(None, letter.value, original))
    return letter._replace(headers=(*signed.headers, *own))


def signed_letter(letter: OutRecord, signer: RecordSigner) -> OutRecord:
    """Return a letter that tells that we have refused its original, as it is, where it says."""
    original, own = letter.headers[: -len(OWN_HEADERS)], letter.headers[-len(OWN_HEADERS) :]
    place = b"/".join(value for _, value in own)
    signed = signer.sign(_signed_as(place), OutRecord(letter.key, letter.value, original))
    return letter._replace(headers=(*letter.headers, (SIGNATURE_HEADER, signed.headers[-1][1])))


def is_signed(letter: DeadLetter, signer: RecordSigner) -> bool:
    """Whether one of us has refused the original, as it is, where the letter says."""
    if letter.signature is None:
        return False
    original, place = letter.original, "/".join(_texts(letter)).encode("utf-8", "replace")
    plain = [each for each in original.headers if each[0] != SIGNATURE]
    headers = (*plain, (SIGNATURE, letter.signature))
    try:
        signer.check(
            _signed_as(place),
            Record(letter.origin.topic, 0, 0, 0, original.key, original.value, headers),
        )
    except NotSigned:
        return False
    return True


def identity(letter: DeadLetter) -> bytes:
    """Return what all copies of a signed letter have in common, whatever else was put into them;
    empty for one without a signature."""
    if letter.signature is None:
        return b""
    key, value, headers = letter.original
    signed = [dict(headers).get(name) for name in SIGNED]
    parts = (letter.signature, _texts(letter), key, value, signed)
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def resolve(letter: DeadLetter) -> OutRecord:
    """Return the record that takes `letter` off the list, to go into the letter's partition."""
    return OutRecord(
        letter.original.key, b"resent", ((RESOLUTION_HEADER, str(letter.offset).encode()),)
    )


def read_letter(record: Record) -> DeadLetter | Resolution:
    """Read a record of `dead-letters`. Raises ValueError when it is neither form."""
    if len(record.headers) == 1 and record.headers[0][0] == RESOLUTION_HEADER:
        return Resolution(record.partition, int(record.headers[0][1]))
    headers, signature = tuple(record.headers), None
    if headers and headers[-1][0] == SIGNATURE_HEADER:
        signature, headers = headers[-1][1], headers[:-1]
    own = headers[-len(OWN_HEADERS) :]
    if tuple(name for name, _ in own) != OWN_HEADERS:
        raise ValueError("not a dead letter: its last headers are not " + " ".join(OWN_HEADERS))
    reason, detail, topic, partition, offset, time = (
        value.decode("utf-8", "replace") for _, value in own
    )
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        origin=RefusedAt(topic, int(partition), int(offset)),
        reason=reason,
        detail=detail,
        time=parse_instant(time),
        original=OutRecord(record.key, record.value, headers[: -len(OWN_HEADERS)]),
        signature=signature,
    )


def _within(original: OutRecord, detail: str) -> tuple[OutRecord, str]:
    """Return of a record what a letter may hold, and the detail, which says if it isn't all."""
    headers = sum(len(name) + len(content or b"") for name, content in original.headers)
    value = original.value or b""
    size = len(original.key or b"") + len(value) + headers
    if size <= MAX_LETTER_BYTES - _OWN_BYTES:
        return original, detail
    if headers > MAX_LETTER_BYTES // 4:
        original = original._replace(headers=())
    kept = value[: MAX_LETTER_BYTES // 2]
    return original._replace(value=kept), f"{detail} (the beginning of {size} bytes)"


def _letter(
    original: OutRecord, origin: RefusedAt, *, reason: str, detail: str, time: int
) -> OutRecord:
    original, detail = _within(original, detail[:MAX_DETAIL])
    own = tuple(
        (name, text.encode("utf-8", "replace"))
        for name, text in zip(OWN_HEADERS, _own_texts(reason, detail, origin, time), strict=True)
    )
    return OutRecord(original.key, original.value, (*original.headers, *own))


def _own_texts(reason: str, detail: str, origin: RefusedAt, time: int) -> tuple[str, ...]:
    numbers = str(origin.partition), str(origin.offset)
    return reason, detail, origin.topic, *numbers, to_rfc3339(time)


def _texts(letter: DeadLetter) -> tuple[str, ...]:
    return _own_texts(letter.reason, letter.detail, letter.origin, letter.time)


def _signed_as(place: bytes) -> str:
    """Return what the signature of a letter is for: no topic is called so."""
    return "a letter " + place.decode("utf-8", "replace")
