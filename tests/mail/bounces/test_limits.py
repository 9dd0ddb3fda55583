"""Whatever is sent to a return address is read at little cost, or not at all."""

from __future__ import annotations

from email.message import Message

import pytest
from flufl.bounce import all_failures

from agents.mail.bounces import limits, notices
from agents.mail.bounces.limits import (
    LONGEST_HEADER,
    LONGEST_LINE,
    MOST_HEADERS,
    MOST_LINES,
    MOST_PARAMETERS,
    MOST_PARTS,
    MOST_RECIPIENTS,
    TooMuchError,
    parse,
)
from agents.mail.bounces.reading import UNREADABLE, classify
from tests.mail.bounces.hostile import HOSTILE
from tests.mail.bounces.messages import notice


def parts(count: int) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\na\n" * count


def test_parts_are_counted_however_they_lie() -> None:
    assert len(parse(parts(MOST_PARTS - 10)).get_payload()) == MOST_PARTS - 10
    for raw in (parts(MOST_PARTS + 1), HOSTILE["parts in parts"], HOSTILE["groups"]):
        with pytest.raises(TooMuchError, match="parts"):
            parse(raw)
        assert classify(raw) == UNREADABLE


def test_headers_are_counted_in_all_parts() -> None:
    header = b"a: b\n"
    assert len(parse(header * MOST_HEADERS).items()) == MOST_HEADERS
    some = b"Content-Type: multipart/mixed; boundary=x\n\n"
    for raw in (header * (MOST_HEADERS + 1), some + (b"--x\n" + header * 600 + b"\na\n") * 2):
        with pytest.raises(TooMuchError, match="headers"):
            parse(raw)
        assert classify(raw) == UNREADABLE


def test_of_long_headers_and_of_many_parameters_the_beginning_is_read() -> None:
    kept = parse(HOSTILE["one header"])["Subject"]
    assert len(str(kept)) <= LONGEST_HEADER
    given = "; ".join(f"p{n}=v" for n in range(500))
    message = parse(f"Content-Type: text/plain; {given}\n\nx".encode())
    assert len(message.get_params() or []) == 1 + MOST_PARAMETERS
    assert message.get_content_type() == "text/plain"


def test_lines_are_counted_and_cut() -> None:
    many = str(parse(b"a: b\n\n" + b"x\n" * (MOST_LINES + 5)).get_payload())
    assert len(many.splitlines()) == MOST_LINES - 2
    first, second = str(parse(b"a: b\n\n" + b"x" * 20_000 + b"\ny\n").get_payload()).split()
    assert (len(first), second) == (LONGEST_LINE, "y")


def test_recipients_are_counted() -> None:
    for name in ("groups as text", "addresses"):
        assert len(classify(HOSTILE[name]).recipients) == MOST_RECIPIENTS


def test_who_guesses_sees_little(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def guess(message: Message) -> object:
        seen.append(len(message.as_bytes()))
        return all_failures(message)

    monkeypatch.setattr(notices, "all_failures", guess)
    text = "Something went wrong.\n" * 20_000
    classify(notice(text, subject="failure notice").lstrip().encode())
    assert seen == [pytest.approx(notices.GUESSED_FROM, abs=50)]
    assert notices.GUESSED_FROM == 16_000 < limits.LARGEST
