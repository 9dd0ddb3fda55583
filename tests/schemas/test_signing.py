"""Ours is told from others', and from ours that somebody has changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import OutRecord, Record
from schemas.signing import NUMBER, SIGNATURE, SIGNED, NotSigned, RecordSigner, number_of
from tests.keys import SIGNER

OURS = OutRecord(
    b"anna",
    b'{"customer_id":"bruno"}',
    tuple((name, f"a {name}".encode()) for name in SIGNED),
)
TEXTS = st.none() | st.binary(max_size=4)


def read(record: OutRecord) -> Record:
    return Record("t", 3, 17, 0, *record)


def signed(record: OutRecord = OURS, signer: RecordSigner = SIGNER) -> OutRecord:
    return signer.sign("t", record)


def test_what_we_wrote_is_ours() -> None:
    SIGNER.check("t", read(signed()))


def test_what_others_add_on_the_way_changes_nothing() -> None:
    more = signed()
    SIGNER.check("t", read(more._replace(headers=(*more.headers, ("traceparent", b"00-1")))))


@pytest.mark.parametrize("name", SIGNED)
def test_each_header_is_signed(name: str) -> None:
    record = signed()
    others = [header for header in record.headers if header[0] != name]
    for headers in (others, [*others, (name, b"x")], [*record.headers, (name, b"x")]):
        with pytest.raises(NotSigned, match="not as it was signed"):
            SIGNER.check("t", read(record._replace(headers=headers)))


def test_key_value_and_topic_are_signed() -> None:
    record = signed()
    for other in (record._replace(key=b"bruno"), record._replace(key=None),
                  record._replace(value=b"{}"), record._replace(value=None)):  # fmt: skip
        with pytest.raises(NotSigned, match="not as it was signed"):
            SIGNER.check("t", read(other))
    with pytest.raises(NotSigned, match="not as it was signed"):
        SIGNER.check("another topic", read(record))


@given(st.tuples(*[TEXTS] * 4), st.tuples(*[TEXTS] * 4))
def test_no_two_records_are_alike(
    one: tuple[bytes | None, ...], other: tuple[bytes | None, ...]
) -> None:
    def made(parts: tuple[bytes | None, ...]) -> OutRecord:
        key, value, *rest = parts
        named = zip(("ce_type", "ce_id"), rest, strict=True)
        return OutRecord(key, value, [(name, text) for name, text in named if text is not None])

    signatures = [dict(signed(made(parts)).headers)[SIGNATURE] for parts in (one, other)]
    assert (signatures[0] == signatures[1]) == (one == other)


def test_the_first_key_signs_and_all_verify() -> None:
    old, new = (
        RecordSigner([("a", "old old old")]),
        RecordSigner([("b", "new new"), ("a", "old old old")]),
    )
    assert dict(signed(signer=new).headers)[SIGNATURE].startswith(b"b:")
    new.check("t", read(signed(signer=old)))
    new.check("t", read(signed(signer=new)))
    with pytest.raises(NotSigned, match="a key that isn't listed"):
        old.check("t", read(signed(signer=new)))


def test_a_key_of_that_name_is_not_enough() -> None:
    with pytest.raises(NotSigned, match="not as it was signed"):
        SIGNER.check("t", read(signed(signer=RecordSigner([("k1", "somebody else's")]))))


@pytest.mark.parametrize("claimed", [b"", b":", b"k1", b"k1:", b"k1:AAAA", b"\xff:\xff"])
def test_rubbish_is_no_signature(claimed: bytes) -> None:
    record = OURS._replace(headers=(*OURS.headers, (SIGNATURE, claimed)))
    with pytest.raises(NotSigned):
        SIGNER.check("t", read(record))


def test_signing_again_replaces_the_signature() -> None:
    twice = signed(signed())
    assert twice == signed()
    with pytest.raises(ValueError, match="keys"):
        RecordSigner([])


@pytest.mark.parametrize(
    ("written", "number"), [(b"17", 17), (b"-1", None), (b"1e3", None), (b"9" * 20, None)]
)
def test_a_number_is_plain_digits(written: bytes, number: int | None) -> None:
    assert number_of([(NUMBER, written)]) == number
    assert number_of([]) is None
