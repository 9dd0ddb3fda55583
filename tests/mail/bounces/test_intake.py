"""A message that came back is told to the right customer's actor, once, or kept for a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.mail.message.verp import ReturnAddresses
from agents.mail.settings import SigningKey
from streams.log import LogError
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS
from tests.mail.bounces.harness import (
    ANNA,
    COMMAND,
    DOMAIN,
    RETURNS,
    IntakeHarness,
    bounce,
    harness,
    unsubscribe_link,
)
from tests.mail.bounces.messages import away, feedback, report

LONG = "a-customer-with-a-very-long-id@negozio.example"
TOKEN = f"X-Ritorno-Mail: {RETURNS.token(COMMAND, LONG)}"


@pytest.fixture
async def at(tmp_path: Path) -> IntakeHarness:
    return await harness(tmp_path / "returned")


async def test_a_hard_bounce_is_told(at: IntakeHarness) -> None:
    assert await at.intake.accept(bounce(), "maildir") == "told"
    (told,) = at.told
    assert told["type"] == "mail.bounced"
    assert told["customer"] == "anna"
    assert told["command_id"] == COMMAND
    assert told["id"].startswith(f"{COMMAND}/returned/")
    assert (told["kind"], told["code"], told["enhanced_code"]) == ("hard", 550, "5.1.1")
    assert told["reported"] is True
    assert "@" not in told["reason"]
    assert at.counted.seen["maildir", "hard", "told"] == 1


async def test_it_goes_to_the_partition_of_the_customer(at: IntakeHarness) -> None:
    for customer in ("anna", "bruno", "carla"):
        await at.intake.accept(bounce(RETURNS.sender(COMMAND, customer)), "imap")
    for record in at.log.records(CUSTOMER_EVENTS):
        assert record.partition == partition_of(record.key or b"", 2)
    assert {each["customer"] for each in at.told} == {"anna", "bruno", "carla"}


async def test_the_same_message_has_the_same_id_another_one_another(at: IntakeHarness) -> None:
    for message in (bounce(), bounce(), bounce(status="5.1.0")):
        await at.intake.accept(message, "imap")
    first, again, other = (each["id"] for each in at.told)
    assert first == again != other


async def test_the_envelope_says_whose_it_is_when_the_headers_do_not(
    at: IntakeHarness,
) -> None:
    await at.intake.accept(bounce("someone@else.example"), "smtp", [ANNA])
    assert at.told[0]["customer"] == "anna"


@pytest.mark.parametrize("header", [TOKEN, unsubscribe_link(LONG)], ids=["token", "link"])
@pytest.mark.parametrize("to", [RETURNS.sender(COMMAND, LONG), "fbl@negozio.example"])
async def test_the_returned_headers_say_whose_it_is(
    at: IntakeHarness, to: str, header: str
) -> None:
    """With a return address that had no room for a long id, or none at all."""
    await at.intake.accept(bounce(to, header=header), "maildir")
    assert (at.told[0]["customer"], at.told[0]["command_id"]) == (LONG, COMMAND)


async def test_so_does_the_return_path_of_the_mail(at: IntakeHarness) -> None:
    message = bounce("fbl@negozio.example").replace(b"gettone@negozio.example", ANNA.encode())
    await at.intake.accept(message, "maildir")
    assert at.told[0]["customer"] == "anna"


@pytest.mark.parametrize(
    ("fields", "returned"),
    [
        (f"Feedback-Type: abuse\nOriginal-Mail-From: <{ANNA}>", "To: x@y.example"),
        ("Feedback-Type: abuse", f"X-Ritorno-Mail: {RETURNS.token(COMMAND, 'anna')}"),
        ("Feedback-Type: abuse", unsubscribe_link()),
    ],
    ids=["envelope sender", "token", "link"],
)
async def test_a_complaint_is_told(at: IntakeHarness, fields: str, returned: str) -> None:
    message = feedback(fields, returned=returned).lstrip().encode()
    assert await at.intake.accept(message, "imap") == "told"
    assert at.told[0]["type"] == "mail.complained"
    assert at.told[0]["customer"] == "anna"
    assert at.told[0]["reason"] == "abuse"


@pytest.mark.parametrize(
    ("action", "type_"), [("delayed", "mail.deferred"), ("delivered", "mail.delivered")]
)
async def test_delays_and_receipts_are_told(at: IntakeHarness, action: str, type_: str) -> None:
    message = report("450 busy", action=action, status="4.0.0").lstrip().encode()
    await at.intake.accept(message, "smtp", [ANNA])
    assert at.told[0]["type"] == type_


async def test_an_automatic_answer_says_nothing_of_the_address(at: IntakeHarness) -> None:
    message = away("Fuori ufficio", "Torno lunedì.").lstrip().encode()
    assert await at.intake.accept(message, "smtp", [ANNA]) == "noted"
    assert at.told == []
    assert at.kept == []


async def test_what_is_not_ours_is_kept_for_a_person(at: IntakeHarness) -> None:
    stranger = bounce("someone@else.example")
    for _ in range(2):
        assert await at.intake.accept(stranger, "maildir") == "unmatched"
    assert at.told == []
    assert [path.read_bytes() for path in at.kept] == [stranger]
    assert at.kept[0].stat().st_mode & 0o077 == 0
    assert at.counted.seen["maildir", "hard", "unmatched"] == 2


async def test_what_nobody_understands_is_kept_too(at: IntakeHarness) -> None:
    message = away("Re: ciao", "Grazie!", "X: y").lstrip().encode()
    assert await at.intake.accept(message, "smtp", [ANNA]) == "unclear"
    assert len(at.kept) == 1


async def test_forged_tokens_are_ignored_and_counted(at: IntakeHarness) -> None:
    forger = ReturnAddresses([SigningKey("k1", "another secret, guessed")], DOMAIN)
    for to in (forger.sender(COMMAND, "anna"), f"{'t' + 'a' * 50}@{DOMAIN}", f"ciao@{DOMAIN}"):
        assert await at.intake.accept(bounce(to), "imap") == "unmatched"
    assert at.told == []
    assert at.counted.seen["imap", "forged"] == 3


async def test_a_forged_token_does_not_hide_a_true_one(at: IntakeHarness) -> None:
    true = f"X-Ritorno-Mail: {RETURNS.token(COMMAND, 'anna')}"
    assert await at.intake.accept(bounce(f"ciao@{DOMAIN}", header=true), "imap") == "told"
    assert at.counted.seen["imap", "forged"] == 1


async def test_a_message_is_not_done_before_the_log_has_it(at: IntakeHarness) -> None:
    at.log.fault = lambda *_: 0
    with pytest.raises(LogError):
        await at.intake.accept(bounce(), "imap")
    assert sum(at.counted.seen.values()) == 0
    at.log.fault = lambda *_: None
    assert await at.intake.accept(bounce(), "imap") == "told"


async def test_a_message_that_breaks_us_is_kept(
    at: IntakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("streams.mail.inbound.reading_child.classify", broken)
    assert await at.intake.accept(bounce(), "smtp", [ANNA]) == "unclear"
    assert len(at.kept) == 1
