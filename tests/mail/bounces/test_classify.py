"""What comes back is understood, whatever its form, and nothing that comes back breaks us."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from agents.mail.bounces.addresses import tidy
from agents.mail.bounces.reading import classify
from agents.mail.bounces.reasons import KINDS, meaning
from agents.mail.bounces.verdict import Returned
from schemas.outcomes import ReturnReason
from tests.mail.bounces.messages import feedback, notice, report
from tests.mail.bounces.shapes import SHAPES, Shape


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_form_is_understood(shape: Shape) -> None:
    first = classify(shape.raw).first
    assert (first.kind, first.reason, first.address) == (shape.kind, shape.reason, shape.address)


def test_every_reason_has_a_kind() -> None:
    assert set(KINDS) == set(get_args(ReturnReason))


def test_the_returned_mail_says_which_one_it_was() -> None:
    returned = classify(report("550 5.1.1 User unknown").lstrip().encode()).returned
    assert returned == Returned(
        message_id="<abc@negozio.example>",
        list_unsubscribe="<https://negozio.example/u/k.t.s>",
        token="tabc",
        senders=("rimbalzi@negozio.example", "gettone@negozio.example"),
    )


def test_headers_returned_as_text_are_read_too() -> None:
    text = (
        "<a.b@cliente.example>: user unknown\n\nReceived: by x\nMessage-ID: <abc@negozio.example>\n"
    )
    verdict = classify(notice(text, subject="failure notice").lstrip().encode())
    assert verdict.returned.message_id == "<abc@negozio.example>"


def test_all_failed_recipients_are_listed_failures_first() -> None:
    text = report("see below", status="5.1.1").replace(
        "\nFinal-Recipient: rfc822; anna",
        "\nFinal-Recipient: rfc822; ugo@cliente.example\nAction: delayed\nStatus: 4.4.1\n"
        "\nFinal-Recipient: rfc822; anna",
    )
    found = classify(text.lstrip().encode()).recipients
    assert [(each.address, each.kind) for each in found] == [
        ("anna.verdi@cliente.example", "hard"),
        ("ugo@cliente.example", "delayed"),
    ]


def test_codes_and_words_are_kept_but_no_address() -> None:
    said = "550 5.1.1 <anna.verdi@cliente.example>: User unknown"
    first = classify(report("refused", diagnostic=said).lstrip().encode()).first
    assert (first.code, first.enhanced_code) == (550, "5.1.1")
    assert first.text == "550 5.1.1 <…>: User unknown"


def test_several_complaints_in_one_report() -> None:
    text = feedback(
        "Feedback-Type: abuse\nOriginal-Rcpt-To: <a@uno.example>\nOriginal-Rcpt-To: b@due.example"
    )
    found = classify(text.lstrip().encode()).recipients
    assert [each.address for each in found] == ["a@uno.example", "b@due.example"]


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("rfc822;<Anna.Verdi@Cliente.EXAMPLE>", "Anna.Verdi@cliente.example"),
        ("RFC822; anna@cliente.example (Anna)", "anna@cliente.example"),
        ("utf-8; anna@città.example", "anna@xn--citt-3na.example"),
        ("anna@cliente.example.", "anna@cliente.example"),
        ("<mailto:anna@cliente.example>", "anna@cliente.example"),
        ("x400;/C=IT/", ""),
        ("@relay.example", ""),
    ],
)
def test_addresses_are_tidied(written: str, address: str) -> None:
    assert tidy(written) == address


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("550 5.4.1 <a@b.example>: Recipient address rejected: Access denied", "no_such_user"),
        ("550 5.7.1 Recipient address rejected: Access denied", "policy"),
        ("5.1.0 - Unknown address error 550-'5.7.1 Access denied'", "policy"),
        ("450 4.2.0 Recipient address rejected: Greylisted", "greylisted"),
        ("550 mailbox temporarily disabled", "unspecified"),
        ("421 4.2.0 Service refused, please try later", "system"),
        ("550", "policy"),
        ("552", "mailbox_full"),
        ("", "unspecified"),
    ],
)
def test_a_refusal_is_understood(said: str, reason: ReturnReason) -> None:
    assert meaning(said).reason == reason


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 10_000,
        b"Content-Type: message/rfc822\n\n" * 5_000,
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000)
        ),
        b"From: MAILER-DAEMON\nSubject: =?x?b?!?=\nContent-Type: text/plain; charset=no\n\n\xff",
        b"X-Amz-Sns-Message-Id: 1\n\n" + b'{"a":' * 7_000,
    ],
    ids=["empty", "zeros", "attached in attached", "parts in parts", "charsets", "json"],
)
def test_any_bytes_have_an_answer(raw: bytes) -> None:
    assert classify(raw).recipients


def test_damaged_messages_have_an_answer() -> None:
    draw = random.Random(20_260_302)
    for shape in SHAPES * 20:
        raw = bytearray(shape.raw)
        for _ in range(draw.randint(1, 20)):
            place = draw.randrange(len(raw) + 1)
            raw[place : place + draw.choice((0, 1, 40))] = draw.randbytes(draw.choice((0, 1, 3)))
        assert classify(bytes(raw)).recipients
