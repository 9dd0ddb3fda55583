"""What the mailer keeps of a mail fits into a record of the log, whatever is commanded and said."""

from __future__ import annotations

import pytest

from agents.mail.providers import Providers
from agents.mail.queue import lifecycle as mail
from agents.mail.queue.command_reader import MAX_COMMAND_BYTES, read_record
from agents.mail.queue.pauses import PAUSES_KEPT, Pauses, pack_pauses
from agents.mail.queue.queued_mail import QueuedMail, pack_entry
from agents.mail.replies import RelayRefused
from schemas.commands import SendCommand
from schemas.time_units import HOUR_MS
from schemas.validation import Unreadable
from schemas.wire import parse_record
from tests.mail.samples import START, notify, pause, record, send

EMOJI = "🦊"
LIMIT = 1_048_576
LONG = EMOJI * 50


def largest() -> SendCommand:
    """Return a command of as many bytes as are taken."""
    command = send(EMOJI * 40, customer=LONG, workflow=LONG, step=LONG, template=LONG, reason=LONG)
    room = MAX_COMMAND_BYTES - len(record(command).value or b"") - 100
    return command.model_copy(update={"variables": {"x": "x" * room}})


def taken() -> QueuedMail:
    raw = record(largest())
    command = read_record(raw)
    assert isinstance(command, SendCommand)
    return mail.queued(command, 0, raw.value or b"", Providers())


def test_a_mail_that_is_refused_for_two_days_and_never_published_stays_small_enough() -> None:
    entry = taken()
    said = RelayRefused("rcpt", 451, "4.2.2 " + EMOJI * 32_000)
    for hour in range(48):
        entry = mail.refused(mail.claimed(entry), said, START + hour * HOUR_MS)
        entry = mail.unreachable(entry, START, START, EMOJI * 32_000)
        entry = mail.held(entry, START, "paused", None)
    assert len(pack_entry(entry)) < LIMIT
    assert len(entry.pending) == mail.OUTCOMES_KEPT
    ended = mail.expired(entry, START)
    assert len(pack_entry(ended)) < LIMIT
    outcome = ended.pending[-1]
    told = parse_record(record(largest())._replace(value=outcome.value, headers=outcome.headers))
    assert (told.type, told.data.code, told.data.enhanced_code) == ("mail.bounced", 451, "4.2.2")


def test_a_reason_from_anywhere_has_an_end() -> None:
    rejected = mail.rejected(taken(), START, "render: " + EMOJI * 100_000)
    assert len(pack_entry(rejected)) < LIMIT
    assert len(rejected.pending[0].value or b"") < 3_000


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id_": EMOJI * 41}, "id: not usable"),
        ({"customer": EMOJI * 51}, "customer: 204 bytes, at most 200"),
        ({"workflow": "w" * 201}, "workflow: 201 bytes"),
        ({"step": "s" * 201}, "step: 201 bytes"),
        ({"template": "t" * 201}, "template: 201 bytes"),
        ({"variables": {"x": "x" * MAX_COMMAND_BYTES}}, "800"),
    ],
)
def test_a_command_that_would_not_fit_with_what_becomes_of_it_is_refused(
    fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        read_record(record(send(**fields)))  # type: ignore[arg-type]
    assert refused.value.detail.startswith(problem)


def test_a_webhook_of_any_size_is_measured_too() -> None:
    with pytest.raises(Unreadable, match="at most 800000 are accepted"):
        read_record(record(notify(body={"x": "x" * MAX_COMMAND_BYTES})))


def test_pauses_have_an_end() -> None:
    pauses = Pauses()
    for number in range(PAUSES_KEPT + 50):
        command = pause(workflow=f"w{number}" + EMOJI * 45, reason=EMOJI * 500)
        assert read_record(record(command)) == command
        pauses = pauses.after(command, number, START)
    assert len(pauses.active) == PAUSES_KEPT
    assert pauses.active[-1].workflow.startswith(f"w{PAUSES_KEPT + 49}")
    assert len(pack_pauses(pauses, 1)) < LIMIT // 10
