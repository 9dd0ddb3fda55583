"""Tokens: what they hide, what they can't be used for, and how keys change."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.mail.message.tokens import (
    MAX_TOKEN,
    BadToken,
    Click,
    Confirm,
    HitSource,
    OpenToken,
    Preferences,
    Tokens,
    Unsubscribe,
    View,
)
from agents.mail.settings import SigningKey

OLD = SigningKey("k1", "one secret of the tests")
NEW = SigningKey("k2", "another secret of the tests")
SOURCE = HitSource("identified", "w06", "s1", "cart-reminder", "marketing", 5, "m", "p", "u1", "m1")
CONTENTS: list[Any] = [
    Unsubscribe("u1", "m1", 5),
    Preferences("u1", "m1", 5),
    View("u1", "m1", 5),
    Confirm("u1", "m1", "newsletter", 5),
    OpenToken(SOURCE),
    Click(SOURCE, 1, 2, "https://shop.example/"),
]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: type(content).__name__)
def test_what_was_sealed_is_read_back_and_always_looks_the_same(content: Any) -> None:
    token = Tokens([OLD]).make(content)
    assert Tokens([OLD]).read(token, type(content)) == content
    assert Tokens([OLD]).make(content) == token


@pytest.mark.parametrize(
    ("content", "other"),
    [(a, type(b)) for a, b in itertools.permutations(CONTENTS, 2)],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_a_token_serves_no_other_purpose(content: Any, other: Any) -> None:
    """Unsubscribe, Preferences and View say the very same: only the purpose tells them apart."""
    with pytest.raises(BadToken):
        Tokens([OLD]).read(Tokens([OLD]).make(content), other)


def test_nothing_of_the_content_can_be_read() -> None:
    address = "giulia.bianchi@example.com"  # a shop may use it as the customer's id
    token = Tokens([OLD]).make(Unsubscribe(address, "m1", 5))
    sealed = token.partition(".")[2]
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    for form in (token.encode(), raw, token.swapcase().encode()):
        assert b"giulia" not in form
        assert b"example" not in form


def test_keys_rotate() -> None:
    content = Unsubscribe("u1", "m1")
    token = Tokens([OLD]).make(content)
    assert Tokens([NEW, OLD]).read(token, Unsubscribe) == content
    assert Tokens([NEW, OLD]).make(content).startswith("k2.")
    with pytest.raises(BadToken):
        Tokens([NEW]).read(token, Unsubscribe)
    with pytest.raises(BadToken):  # the key of another shop under the same id
        Tokens([SigningKey("k1", "a third secret")]).read(token, Unsubscribe)


TOKEN = Tokens([OLD]).make(Unsubscribe("u1", "m1"))


@pytest.mark.parametrize(
    "forged",
    [
        TOKEN[:-1], TOKEN + "x", TOKEN + "=", TOKEN + "\n", "k2" + TOKEN[2:], "", "k1.", ".", "k1",
        "k1." + "A" * 40, "x" * (MAX_TOKEN + 1), "k1.é", TOKEN.replace(".", ".."), TOKEN.lower(),
        "k1.%00", TOKEN + "?", "k1." + "A" * 100_000, " " + TOKEN,
    ],
)  # fmt: skip
def test_what_was_not_made_by_us(forged: str) -> None:
    with pytest.raises(BadToken):
        Tokens([NEW, OLD]).read(forged, Unsubscribe)


def test_every_single_character_counts() -> None:
    for at in range(3, len(TOKEN)):
        other = "B" if TOKEN[at] == "A" else "A"
        with pytest.raises(BadToken):
            Tokens([OLD]).read(TOKEN[:at] + other + TOKEN[at + 1 :], Unsubscribe)


@given(st.text(max_size=300))
def test_any_text_is_a_token_or_none(text: str) -> None:
    for token in (text, f"k1.{text}"):
        with pytest.raises(BadToken):
            Tokens([OLD]).read(token, Click)


def test_the_longest_links_and_ids_fit() -> None:
    source = HitSource("identified", *("w" * 63,) * 3, "marketing", 2**50, "m" * 16, "p" * 16,
                    "€" * 200, "c" * 160)  # fmt: skip
    click = Click(source, 99, 99, "https://shop.example/" + "x" * 2_027)
    token = Tokens([OLD]).make(click)
    assert len(token) <= MAX_TOKEN
    assert Tokens([OLD]).read(token, Click) == click
