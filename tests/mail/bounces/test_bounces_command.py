"""`ritorno bounces classify`: one line a message, whatever they are kept in."""

from __future__ import annotations

import mailbox
from pathlib import Path

import pytest

from tests.mail.bounces.messages import report
from tests.mail.bounces.shapes import SHAPES
from tests.tools.cli.conftest import Ritorno

HARD = report("host said: 550 5.1.1 User unknown", status="5.1.1").lstrip()
FULL = report("host said: 552 5.2.2 Mailbox full", status="5.2.2").lstrip()


def test_a_line_a_message(ritorno: Ritorno) -> None:
    Path("one.eml").write_text(HARD)
    done = ritorno("bounces", "classify", "one.eml", "--json")
    assert done.code == 0
    assert done.json == [
        {
            "file": "one.eml",
            "kind": "hard",
            "address": "anna.verdi@cliente.example",
            "reason": "no_such_user",
            "code": 550,
            "enhanced_code": "5.1.1",
            "text": "host said: 550 5.1.1 User unknown",
            "source": "report",
            "message_id": "<abc@negozio.example>",
            "recipients": done.json[0]["recipients"],
        }
    ]
    assert len(done.json[0]["recipients"]) == 1


def test_directories_maildirs_and_mboxes(ritorno: Ritorno) -> None:
    Path("plain/inner").mkdir(parents=True)
    Path("plain/a.eml").write_text(
        "From daemon Mon Mar  2 10:00:00 2026\n" + HARD + "\nFrom here\n"
    )
    Path("plain/inner/b").write_text(FULL)
    Path("plain/LICENSE").write_text("THIS IS NO MAIL\n")
    maildir = mailbox.Maildir("box", create=True)
    maildir.add(HARD)
    Path("box/tmp/half").write_text(HARD)
    mbox = mailbox.mbox("all.mbox", create=True)
    mbox.add(HARD)
    mbox.add(FULL)
    mbox.close()
    done = ritorno("bounces", "classify", "plain", "box", "all.mbox", "--json")
    kinds = {line["file"]: line["kind"] for line in done.json}
    assert len(kinds) == len(done.json) == 5
    assert kinds["plain/a.eml"] == "hard"
    assert kinds["plain/inner/b"] == "soft"
    assert kinds["all.mbox#1"] == "hard"
    assert kinds["all.mbox#2"] == "soft"
    assert "skipped plain/LICENSE: not a mail" in done.err


def test_a_table_and_a_summary(ritorno: Ritorno) -> None:
    for number, shape in enumerate(SHAPES):
        Path(f"{number:02}.eml").write_bytes(shape.raw or b"X: y\n\n")
    done = ritorno("bounces", "classify", ".")
    assert "no_such_user" in done.out
    assert f"{len(SHAPES)} messages: " in done.out


def test_nothing_that_a_terminal_obeys_is_printed(ritorno: Ritorno) -> None:
    Path("x.eml").write_text(HARD.replace("host said", "\x1b[31mhost said"))
    assert "\x1b" not in ritorno("bounces", "classify", "x.eml").out


@pytest.mark.parametrize("missing", ["nowhere", "nowhere/at.eml"])
def test_what_is_not_there_is_an_error(ritorno: Ritorno, missing: str) -> None:
    done = ritorno("bounces", "classify", missing)
    assert (done.code, done.err) == (2, f"ritorno: there is no {missing}\n")
