"""Signatures of what Ritorno writes into its own topics.

Whoever may publish events may not speak for us: that a visitor has become somebody, that a coupon
was issued, what became of a mail, which workflows are live. So what our actors, the mailer, the
public pages and the commands write carries a keyed hash of all that gives a record its power: its
topic, key and value, and the headers named in SIGNED. A header that a mirror or a tracing library
adds on the way changes nothing.

The key is derived from those of RITORNO_TOKEN_KEYS: the first one signs and each that is listed
verifies. So a key stays listed for as long as the log keeps records that it has signed.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence

from schemas.key_ring import follow
from schemas.origin import HEADER as ORIGIN
from schemas.records import Headers, OutRecord, Record

SIGNATURE = "ritorno_signature"
"""`KEY:HASH`, the hash in the base64 of URLs."""

NUMBER = "ritorno_number"
"""Of a control record: a later one has a higher number (`streams/runtime/control_numbers.py`)."""

SPEAKER = "ritorno_speaker"
"""`public`, where somebody in public speaks through a door of ours; absent: the shop does."""

FORWARDED = b"visitor"
"""In place of it: a visitor's actor passes on what was said, to the customer whom it names."""

SIGNED = (
    "ce_type",
    "ce_id",
    "ce_source",
    "ce_time",
    "ce_subject",
    "ce_anonymousid",
    "ce_backfill",
    ORIGIN,
    NUMBER,
    SPEAKER,
)
"""What of the headers is signed, in this order; also that one is absent."""

HASH_BYTES = 16
"""128 bits, which nobody guesses, in 22 characters."""

_LENGTHS = struct.Struct(f">{3 + len(SIGNED)}i")


class NotSigned(ValueError):
    """A record that isn't ours, or isn't as we wrote it. The text says why."""


class RecordSigner:
    """Signs records and tells ours from others'."""

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        """`keys`: id and secret, the one that signs first. Raises ValueError without any."""
        follow(keys, self._derive)

    def _derive(self, keys: Sequence[tuple[str, str]]) -> None:
        derived: dict[bytes, hashlib.blake2b] = {}
        for id_, secret in keys:
            derived.setdefault(id_.encode(), _derived(secret))
        if not derived:
            raise ValueError("keys: none to sign with")
        self._keys = derived
        self._id, self._key = next(iter(derived.items()))

    def sign(self, topic: str, record: OutRecord) -> OutRecord:
        """Return the record with a signature in place of any that it has."""
        plain = [header for header in record.headers if header[0] != SIGNATURE]
        found = _hash(self._key, topic, record.key, record.value, dict(plain))
        return OutRecord(
            record.key, record.value, (*plain, (SIGNATURE, b"%b:%b" % (self._id, found)))
        )

    def check(self, topic: str, record: Record) -> None:
        """Raise NotSigned unless one of the keys has signed the record as it is, for `topic`."""
        headers = dict(record.headers)
        signature = headers.get(SIGNATURE)
        if signature is None:
            raise NotSigned("not signed")
        id_, _, claimed = signature.partition(b":")
        key = self._keys.get(id_)
        if key is None:
            name = id_[:32].decode("ascii", "replace")
            raise NotSigned(f"signed with a key that isn't listed (got {name!r})")
        found = _hash(key, topic, record.key, record.value, headers)
        if not hmac.compare_digest(found, claimed):
            raise NotSigned("not as it was signed")


def number_of(headers: Headers) -> int | None:
    """Return the number of a control record, None when it has none that can be read."""
    return parse_number(dict(headers).get(NUMBER))


def parse_number(value: bytes | None) -> int | None:
    """Return a number as it is written, None when it is none."""
    return int(value) if value is not None and value.isdigit() and len(value) < 20 else None


def _derived(secret: str) -> hashlib.blake2b:
    """Return the beginning of every hash: keyed for nothing but records."""
    key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"records").digest()
    return hashlib.blake2b(key=key, digest_size=HASH_BYTES)


def _hash(
    keyed: hashlib.blake2b,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Mapping[str, bytes],
) -> bytes:
    """Hash the parts one behind the other, and their lengths before them; -1 is an absent one."""
    parts = [topic.encode(), key, value, *map(headers.get, SIGNED)]
    lengths = [-1 if part is None else len(part) for part in parts]
    state = keyed.copy()
    state.update(_LENGTHS.pack(*lengths) + b"".join(filter(None, parts)))
    return urlsafe_b64encode(state.digest())[:-2]  # without the padding
