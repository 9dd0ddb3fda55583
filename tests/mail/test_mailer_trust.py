"""The mailer obeys what Ritorno has signed, and no control record twice over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.mail.queue.mail_queue import Queue
from schemas.commands import PauseCommand, ResumeCommand
from schemas.dead_letters import DeadLetter, read_letter
from schemas.records import OutRecord, Record
from schemas.signing import NUMBER
from schemas.stored import NEVER, Progress
from schemas.topics import DEAD_LETTERS, SEND_COMMANDS
from tests.keys import SIGNER
from tests.mail.harness import open_queue
from tests.mail.samples import send, unsigned
from tests.runtime.doubles import START

PAUSE, RESUME = PauseCommand(time=START), ResumeCommand(time=START)


def queue(progress: Progress | None = None) -> Queue:
    return open_queue({}, progress=progress)


def signed(command: Any, offset: int, number: int | None = None) -> Record:
    plain = unsigned(command, offset)
    headers = () if number is None else ((NUMBER, b"%d" % number),)
    ours = SIGNER.sign(SEND_COMMANDS, OutRecord(plain.key, plain.value, headers))
    return plain._replace(headers=ours.headers)


def reasons(letters: Sequence[OutRecord]) -> list[str]:
    read = (read_letter(Record(DEAD_LETTERS, 0, 0, START, *letter)) for letter in letters)
    return [letter.reason for letter in read if isinstance(letter, DeadLetter)]


def test_nobody_else_may_have_a_mail_sent_or_held() -> None:
    mails = queue()
    changes = mails.receive([unsigned(send("m1"), 0), unsigned(PAUSE, 1)])
    assert reasons(changes.letters) == ["unsigned", "unsigned"]
    assert changes.states == []
    changes = mails.receive([signed(send("m1"), 2), signed(PAUSE, 3, 1)])
    assert changes.letters == []
    assert mails.get("m1") is not None


def test_a_command_that_is_copied_into_another_partition_is_not_carried_out_there() -> None:
    """Its id isn't known there, and the mail would go a second time."""
    mails = open_queue({}, is_home=False)
    changes = mails.receive([signed(send("m1"), 0), signed(PAUSE, 1, 1)])
    assert reasons(changes.letters) == ["misplaced"]
    assert (mails.get("m1"), mails.progress.numbers) == (None, {"pause": 1})


def test_an_old_pause_cannot_be_copied_back() -> None:
    mails = queue()
    mails.receive([signed(PAUSE, 0, 1), signed(RESUME, 1, 2), signed(PAUSE, 2, 3)])
    changes = mails.receive([signed(PAUSE, 3, 1)])
    assert reasons(changes.letters) == ["outdated"]
    assert mails.progress.numbers == {"pause": 3, "resume": 2}
    again = queue(mails.progress).receive([signed(RESUME, 4, 1), signed(PAUSE, 5)])
    assert reasons(again.letters) == ["outdated", "outdated"]


def test_a_pause_cannot_be_copied_behind_what_has_ended_it() -> None:
    mails = queue()
    mails.receive([signed(PAUSE, 0, 10), signed(RESUME, 1, 11)])
    again = queue(mails.progress)
    changes = again.receive([signed(PAUSE, 2, 10), signed(RESUME, 3, 11)])
    assert reasons(changes.letters) == ["outdated", "outdated"]
    assert again.receive([signed(PAUSE, 4, 12)]).letters == []


def test_what_release_0_1_has_commanded_is_carried_out() -> None:
    mails = queue(Progress(insists_from=2))
    changes = mails.receive([unsigned(send("m1"), 0), unsigned(PAUSE, 1), unsigned(send("m2"), 2)])
    assert reasons(changes.letters) == ["unsigned"]
    assert (mails.get("m1") is None, mails.get("m2") is None) == (False, True)
    assert mails.progress.insists_from == 2
    assert queue(Progress(insists_from=NEVER)).receive([unsigned(send("m3"), 9)]).letters == []
