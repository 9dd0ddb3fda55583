"""Signatures: dkimpy, which knows nothing of ours, verifies every kind of mail we can make."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from agents.mail.addresses import clean
from agents.mail.message.compose import Composer
from agents.mail.message.dkim import (
    LINE,
    OVERSIGNED,
    SIGNED,
    DkimKey,
    DkimSigner,
    read_key,
    relaxed_body,
    relaxed_headers,
)
from agents.mail.message.render import Rendered
from agents.mail.message.verp import HEADER as RETURN_HEADER
from tests.mail.samples import DAY, SETTINGS, START, send
from tests.mail.servers import parse

KEYS = {
    "rsa": DkimKey("shop.example", "r2026", rsa.generate_private_key(65_537, 2_048)),
    "ed25519": DkimKey("shop.example", "e2026", ed25519.Ed25519PrivateKey.generate()),
}
BOTH = ("rsa", "ed25519")


class Spoken:
    """In the place of templates: the words are what the command's variables say."""

    def render(self, template: str, locale: str, variables: Mapping[str, Any]) -> Rendered:
        """Return them."""
        subject, html, text = (variables[name] for name in ("subject", "html", "text"))
        return Rendered(clean(subject), html, text, locale)


LONG_URL = "https://shop.example/" + "p" * 179
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "long subject": {"subject": "una parola dopo l’altra, " * 9},
    "long ascii subject": {"subject": "word after word after word " * 8},
    "accents": {"subject": "È già pronto il tuo caffè", "name": "Nicolò D’Angiò"},
    "emoji": {
        "subject": "🎁 Per te 👩‍👩‍👧",
        "name": "Giulia 🌻",
        "html": "<p>🎁</p>",
        "text": "🎁",
    },
    "syntax in a name": {"name": 'Bianchi, "Giù" <x@example.org>; (nota) \\'},
    "looks encoded": {"subject": "=?utf-8?q?x?=", "name": "=?utf-8?q?x?="},
    "no name": {"name": ""},
    "smtputf8": {"email": "giulià@città.example", "name": "Giulià"},
    "long url": {"html": f'<a href="{LONG_URL}">x</a>', "text": LONG_URL, "customer": "u" * 150},
    "no newline at the end": {"html": "<p>x</p>", "text": "x"},
    "newlines at the end": {"html": "<p>x</p>\n\n\n", "text": "x\n\n\n"},
    "spaces at line ends": {"html": "a  \t b \n c\t\n\n \n", "text": "a  b \n\n c\n\n "},
    "8 bit": {"html": "<p>àèìòù € \u00a0 ß ÿ</p>\n" * 400, "text": "àèìòù\n" * 400},
    "dots": {"html": ".\n..\n.x\n", "text": ".\n"},
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time at which dkimpy verifies: a minute after the command's."""
    clock = SimpleNamespace(seconds=START / 1000 + 60)
    monkeypatch.setattr(dkim, "time", SimpleNamespace(time=lambda: clock.seconds))
    return clock


def composer(keys: Sequence[str] = ("rsa",), **settings: Any) -> Composer:
    chosen = tuple(KEYS[key] for key in keys)
    return Composer(dataclasses.replace(SETTINGS, dkim_keys=chosen, **settings), Spoken())


def command(*, urgent: bool = False, **variant: Any) -> Any:
    words = {"subject": "Il tuo carrello", "html": "<p>ciao</p>\n", "text": "ciao\n"}
    variables = {name: variant.pop(name, default) for name, default in words.items()}
    return send(urgent=urgent, variables=variables, **variant)


def dns(name: bytes, timeout: int = 5) -> bytes | None:
    for key in KEYS.values():
        if name.decode() == f"{key.record_name}.":
            return key.record.encode()
    return None


def verified(message: bytes, *, signatures: int = 1) -> bool:
    """Whether dkimpy verifies all of them."""
    judge = dkim.DKIM(message)
    assert len(re.findall(rb"^DKIM-Signature:", message, re.MULTILINE)) == signatures
    try:
        return all(judge.verify(idx=each, dnsfunc=dns) for each in range(signatures))
    except dkim.DKIMException:
        return False


@pytest.mark.parametrize("urgent", [False, True], ids=["marketing", "transactional"])
@pytest.mark.parametrize("keys", [("rsa",), ("ed25519",), BOTH], ids="+".join)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_verified_and_read_back(
    variant: str, keys: tuple[str, ...], urgent: bool
) -> None:
    asked = command(urgent=urgent, **VARIANTS[variant])
    mail = composer(keys, unsubscribe_mailbox="via@shop.example").compose(asked)
    assert verified(mail.message, signatures=len(keys))

    parsed = parse(mail.message)
    assert parsed["Subject"] == asked.variables["subject"].strip()
    (to,) = parsed["To"].addresses
    assert to.display_name == asked.name
    assert to.addr_spec.encode("utf-8", "surrogateescape").decode() == mail.recipient.address
    text, html = parsed.iter_parts()
    assert html.get_content() == asked.variables["html"].replace("\n", "\r\n")
    assert text.get_content() == asked.variables["text"].replace("\n", "\r\n")
    assert not [*parsed.defects, *text.defects, *html.defects]
    assert max(map(len, mail.message.split(b"\r\n"))) <= 998
    assert mail.message.endswith(b"\r\n")
    assert b"\n" not in mail.message.replace(b"\r\n", b"")


@pytest.mark.parametrize("key", BOTH)
def test_a_resend_has_the_same_bytes(key: str) -> None:
    first, again = (composer((key,)).compose(command()) for _ in range(2))
    assert first == again


def test_without_a_key_mails_leave_unsigned() -> None:
    assert b"DKIM" not in composer(()).compose(command()).message


# What may not happen on the way, and what may.


@pytest.fixture(params=BOTH)
def signed(request: pytest.FixtureRequest) -> bytes:
    """A marketing mail with all headers we know."""
    asked = command(id_="0" * 32)  # an id as ours are, which stands in a header, too
    message = composer((request.param,), feedback_sender="bottega").compose(asked).message
    assert RETURN_HEADER in parse(message)
    return message


def header_names(message: bytes) -> Iterator[str]:
    return (name for name in parse(message) if name != "DKIM-Signature")


def test_no_header_can_be_changed_or_removed(signed: bytes) -> None:
    assert {name.lower() for name in header_names(signed)} <= {*OVERSIGNED, *SIGNED}
    for name in header_names(signed):
        line = re.search(rb"^%s: .*(\r\n[ \t].*)*\r\n" % name.encode(), signed, re.MULTILINE)
        assert line is not None
        assert not verified(signed.replace(line[0], line[0].replace(b": ", b": x", 1))), name
        assert not verified(signed.replace(line[0], b"")), name


def test_what_readers_act_upon_is_oversigned() -> None:
    lists = {"list-id", "list-unsubscribe", "list-unsubscribe-post"}
    shown = {"from", "to", "cc", "reply-to", "subject", "date", "message-id"}
    mime = {"mime-version", "content-type", "content-transfer-encoding"}
    assert {*lists, *shown, *mime} <= {*OVERSIGNED}


@pytest.mark.parametrize("name", OVERSIGNED)
def test_no_second_header_can_be_added(signed: bytes, name: str) -> None:
    added = f"{name}: <https://evil.example/>\r\n".encode()
    assert not verified(added + signed)
    head, _, body = signed.partition(b"\r\n\r\n")
    assert not verified(head + b"\r\n" + added + b"\r\n" + body)


def test_a_confirmation_can_not_be_given_a_way_out() -> None:
    message = composer().compose(command(urgent=True)).message
    assert verified(message)
    assert not verified(b"List-Unsubscribe: <https://evil.example/>\r\n" + message)


def test_the_body_can_not_be_changed(signed: bytes) -> None:
    head, _, body = signed.partition(b"\r\n\r\n")
    middle = len(body) // 2
    for changed in (body + b"x\r\n", b"x" + body, body[:middle] + b"x" + body[middle + 1 :]):
        assert not verified(head + b"\r\n\r\n" + changed)


def test_what_relays_do_is_forgiven(signed: bytes) -> None:
    received = b"Received: from a by b; Sun, 1 Mar 2026 09:30:00 +0000\r\n"
    feedback = b"Feedback-ID: 1.eu:relay\r\n"
    assert verified(received + feedback + signed)
    assert verified(signed.replace(b"List-Id: ", b"LIST-ID:\r\n\t "))
    assert verified(signed + b"\r\n\r\n")


def test_the_dates_of_a_signature(clock: SimpleNamespace) -> None:
    message = composer(dkim_valid_days=7).compose(command()).message
    tags = dkim.util.parse_tag_value(re.sub(r"\s", "", parse(message)["DKIM-Signature"]).encode())
    assert tags[b"t"] == str(START // 1000).encode()
    assert tags[b"x"] == str((START + DAY + 7 * DAY) // 1000).encode()
    assert verified(message)
    clock.seconds += 9 * 86_400
    assert not verified(message)
    assert b" x=" not in composer().compose(command()).message


def test_the_header_of_a_signature_needs_no_folding(signed: bytes) -> None:
    signature, _, _ = signed.partition(b"\r\nFrom: ")
    assert max(map(len, signature.split(b"\r\n"))) <= LINE


# Canonicalization.

LINES = st.text(alphabet="ab. \tè\r", max_size=12).map(lambda text: text.replace("\r", "\r\n"))


def test_the_example_of_the_rfc() -> None:
    """RFC 6376, 3.4.5."""
    lines = relaxed_headers(b"A: X \r\nB : Y\t\r\n\tZ  \r\n")
    assert lines == [("a", b"a:X\r\n"), ("b", b"b:Y Z\r\n")]
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"


@given(st.lists(LINES, max_size=6))
def test_the_canonical_body_is_dkimpys(lines: list[str]) -> None:
    body = "".join(f"{line}\r\n" for line in lines).encode()
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)
    if body and not body.removesuffix(b"\r\n").endswith((b" ", b"\t")):
        # Spaces at the very end, with no line end: dkimpy keeps one, the RFC none.
        assert relaxed_body(body.removesuffix(b"\r\n")) == Relaxed.canonicalize_body(
            body.removesuffix(b"\r\n")
        )


def test_spaces_at_the_very_end() -> None:
    assert relaxed_body(b"a \t ") == b"a\r\n"
    assert relaxed_body(b" ") == b""
    assert relaxed_body(b"") == b""


VALUES = st.text(alphabet="abè:<>=; \t\r", max_size=30).map(
    lambda text: text.replace("\r", "\r\n\t")
)


@given(st.lists(st.tuples(st.sampled_from(["From", "X-A", "sUBJECT "]), VALUES), max_size=4))
def test_canonical_headers_are_dkimpys(pairs: list[tuple[str, str]]) -> None:
    block = "".join(f"{name}:{value}\r\n" for name, value in pairs).encode()
    read = [(name.encode(), value.encode() + b"\r\n") for name, value in pairs]
    theirs = [name + b":" + value for name, value in Relaxed.canonicalize_headers(read)]
    assert [line for _, line in relaxed_headers(block)] == theirs or not pairs


@given(st.lists(LINES, min_size=1, max_size=8), VALUES)
def test_any_body_and_header_is_verified(lines: list[str], subject: str) -> None:
    """Not only what the composer makes: 8-bit text, trailing spaces, any number of empty lines."""
    head = f"From: negozio@shop.example\r\nSubject:{subject}x\r\n".encode()
    body = "".join(f"{line}\r\n" for line in lines).encode()
    signature = DkimSigner([KEYS["ed25519"]]).sign(head, body, time=START // 1000)
    assert verified(signature + head + b"\r\n" + body)


def test_headers_of_the_same_name_are_signed_from_the_last_to_the_first() -> None:
    head = b"From: a@shop.example\r\nTo: b@x.example\r\nTo: c@x.example\r\n"
    signature = DkimSigner([KEYS["ed25519"]]).sign(head, b"x\r\n", time=START // 1000)
    assert verified(signature + head + b"\r\nx\r\n")
    assert not verified(signature + head.replace(b"b@", b"d@") + b"\r\nx\r\n")


# Keys.


def pem(key: Any, encryption: Any = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize("name", BOTH)
def test_a_key_is_read_from_its_file(name: str) -> None:
    key = KEYS[name]
    assert dataclasses.replace(key, key=read_key(pem(key.key))).record == key.record


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a private key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "expected a private"),
        (pem(KEYS["rsa"].key, BestAvailableEncryption(b"x")), "has a password"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "expected an RSA or an Ed25519 key"),
        (
            KEYS["rsa"].key.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            ),
            "expected a private key",
        ),
    ],
    ids=["empty", "cut off", "password", "elliptic curve", "public half"],
)  # fmt: skip
def test_what_is_no_key_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_key(content)


def test_a_key_that_receivers_do_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.mail.message.dkim.RSA_BITS", range(2_049, 4_097))
    with pytest.raises(ValueError, match="an RSA key of 2048 bits; expected 2048, at most 4096"):
        read_key(pem(KEYS["rsa"].key))
