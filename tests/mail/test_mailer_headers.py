"""Header lines: the standard library's parser reads back exactly what people have written."""

from __future__ import annotations

from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.mail.addresses import MAX_DISPLAY_NAME, EnvelopeRecipient, clean, read_recipient
from agents.mail.message import headers
from tests.mail.servers import parse

PIECES = (
    *(
        "Giulia",
        "caffè",
        "«Alba»",
        "🎁",
        "👩‍👩‍👧",
        "日本語",
        "O'Neil",
        "a" * 60,
        "è" * 40,
        "=?utf-8?q?x?=",
    ),
    *('"q"', "(nota)", "a@b", "x;y,z", "<b>", "\\", "=?", "?=", "_", "=E8", "Re:", ",", "..."),
    "https://shop.example/" + "x" * 180,
)
SENTENCES = st.lists(st.sampled_from(PIECES) | st.text(max_size=20), min_size=1, max_size=8).map(
    lambda pieces: clean(" ".join(pieces).encode("utf-8", "replace").decode())
)


def assert_lines(line: bytes) -> None:
    assert line.endswith(b"\r\n")
    for part in line.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(part) <= (headers.LINE if b"=?utf-8?" in part else headers.MAX_LINE)
        assert part.strip()
        assert b"\n" not in part


@given(SENTENCES)
@example(
    "èèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèè 日本語 🎁 日本語"
)  # the standard library loses a space
@example("a" * 60 + " 日本語 Re:")  # and doubles one
@example("=?utf-8?q?x?=")
@example("x" * 2_000)
def test_a_subject_is_read_back(text: str) -> None:
    line = headers.unstructured("Subject", text)
    assert_lines(line) if text else None
    assert parse(line + b"\r\n")["Subject"] == text


@given(SENTENCES)
@example('Re: "q" ' + "b" * 80 + " (")  # the standard library's mail has no recipient
@example("https://shop.example/x")
@example("")
def test_a_name_is_read_back(name: str) -> None:
    who = read_recipient("giulia.bianchi@example.com", name)
    assert who.name == name[:MAX_DISPLAY_NAME].rstrip()
    line = headers.mailbox("To", who)
    assert_lines(line)
    (address,) = parse(line + b"\r\n")["To"].addresses
    assert address.addr_spec == who.address
    if line.count(b"=?utf-8?") > 1:
        # Its parser of addresses puts a space between two encoded words; its older one doesn't.
        encoded = line.decode().removeprefix("To: ").rpartition(" <")[0]
        assert str(make_header(decode_header(encoded))).strip() == who.name
    else:
        assert address.display_name == who.name


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Giulia Bianchi", b"To: Giulia Bianchi <g@example.com>\r\n"),
        ("Bianchi, Giulia", b'To: "Bianchi, Giulia" <g@example.com>\r\n'),
        ('Giulia "Giù"', b"To: =?utf-8?b?R2l1bGlhICJHacO5Ig==?= <g@example.com>\r\n"),
        ("G. \\ B", b'To: "G. \\\\ B" <g@example.com>\r\n'),
        ("", b"To: g@example.com\r\n"),
    ],
)
def test_names_are_as_plain_as_they_can_be(name: str, line: bytes) -> None:
    assert headers.mailbox("To", EnvelopeRecipient("g@example.com", name, smtputf8=False)) == line


def test_an_international_address_stands_in_utf8() -> None:
    line = headers.mailbox("To", read_recipient("giulià@città.example", "Giulià"))
    assert line.endswith("<giulià@xn--citt-3na.example>\r\n".encode())
    (address,) = parse(line + b"\r\n")["To"].addresses
    assert address.addr_spec.encode("utf-8", "surrogateescape").decode() == (
        "giulià@xn--citt-3na.example"
    )
    assert address.display_name == "Giulià"


def test_an_encoded_word_never_ends_inside_a_character() -> None:
    line = headers.unstructured("Subject", "x" + "👩" * 40)
    for word in line.replace(b"\r\n", b"").split(b" ")[1:]:
        ((content, charset),) = decode_header(word.decode())
        assert charset == "utf-8"
        content.decode("utf-8")


@given(st.lists(st.text("abcdefg", min_size=1, max_size=30), min_size=1, max_size=12))
def test_ascii_is_folded_at_spaces(pieces: list[str]) -> None:
    text = " ".join(pieces)
    line = headers.unstructured("Subject", text)
    assert max(map(len, line.split(b"\r\n"))) <= headers.LINE
    assert line.replace(b"\r\n", b"") == f"Subject: {text}".encode()


def test_urls_are_neither_folded_nor_encoded() -> None:
    url = "<https://shop.example/" + "x" * 200 + ">"
    line = headers.plain("List-Unsubscribe", url, "<mailto:via@shop.example>")
    assert line == f"List-Unsubscribe: {url},\r\n <mailto:via@shop.example>\r\n".encode()
    with pytest.raises(UnicodeEncodeError):
        headers.plain("List-Id", "<città>")
