"""Who may say something in a shop's name: the vector of the reference, and what is near it."""

from __future__ import annotations

import hmac

import pytest

from streams.connect.signatures import is_signed_base64, is_signed_timestamped, sign_base64

SECRET = b"shh-secret"
BODY = b'{"id":5001,"email":"anna@example.it","total_price":"52.00","currency":"EUR"}'
SIGNED = "gI6rIFuQ8lCo1B2c2EvPM95lB/Eg0AiMMEsvNT++y10="
TIMESTAMP, HEX = "1767225600000", "983222ba8a3a5088effa6162a0c33c73f71855e81dfedaf413e84d8b91475769"


def test_the_vector() -> None:
    assert len(BODY) == 76
    assert sign_base64(BODY, SECRET) == SIGNED
    assert is_signed_base64(BODY, SIGNED, [SECRET])


@pytest.mark.parametrize(
    "given",
    ["", SIGNED.lower(), SIGNED.upper(), SIGNED[:-1], SIGNED + "=", SIGNED[:-2] + "1=", "è", "AAAA",
     SIGNED.replace("gI", "gJ"), " " + SIGNED, SIGNED + "\n"],
)  # fmt: skip
def test_another_text_is_none(given: str) -> None:
    assert not is_signed_base64(BODY, given, [SECRET])


def test_one_byte_makes_the_difference() -> None:
    for at in range(len(BODY)):
        other = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        assert not is_signed_base64(other, SIGNED, [SECRET])


def test_the_secret_before_holds_too_and_all_are_tried() -> None:
    assert is_signed_base64(BODY, SIGNED, [b"new", SECRET])
    assert is_signed_base64(BODY, SIGNED, [SECRET, b"old"])
    assert not is_signed_base64(BODY, SIGNED, [b"new", b"newer"])
    assert not is_signed_base64(BODY, SIGNED, [])


def test_each_secret_costs_the_same_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    is_signed_base64(BODY, SIGNED, [SECRET, b"old"])
    is_signed_base64(BODY, "", [SECRET, b"old"])
    assert len(compared) == 4


def test_a_timestamp_is_signed_and_of_now() -> None:
    now = int(TIMESTAMP)
    assert is_signed_timestamped(BODY, HEX, TIMESTAMP, [SECRET], now=now)
    assert is_signed_timestamped(BODY, f"sha256={HEX}", TIMESTAMP, [SECRET], now=now + 299_999)
    assert not is_signed_timestamped(BODY, HEX, TIMESTAMP, [SECRET], now=now + 300_001)
    assert not is_signed_timestamped(BODY, HEX, TIMESTAMP, [b"another"], now=now)
    assert not is_signed_timestamped(BODY, HEX, "1767225600001", [SECRET], now=now)
    assert not is_signed_timestamped(BODY, HEX, "-1", [SECRET], now=now)
    assert not is_signed_timestamped(BODY, "zz" * 32, TIMESTAMP, [SECRET], now=now)
