"""The record that names a place which is set aside means nothing in another partition."""

from __future__ import annotations

import pytest

from schemas.set_aside import SetAside, decode_set_aside, encode_set_aside

PLACE = SetAside(17, "timer", "anna", error="ZeroDivisionError")


def test_it_names_its_partition() -> None:
    value = encode_set_aside(PLACE, 3)
    assert decode_set_aside(value, 3) == PLACE
    with pytest.raises(ValueError, match="partition: 3, and this is 4"):
        decode_set_aside(value, 4)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b'{"offset":1,"what":"record"}',
        b'{"offset":1,"what":"record","partition":0,"more":' + b"[" * 50_000,
    ],
    ids=["none", "empty", "nothing", "without-partition", "deep"],
)
def test_what_is_none_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_set_aside(value, 0)
