"""The words of relays and providers: only who speaks of the address itself ends it.

The same words mean the same, whether they come as a reply or in a report hours later.
"""

from __future__ import annotations

import pytest

from agents.mail.bounces.addresses import marked
from agents.mail.bounces.reading import classify as classify_message
from agents.mail.bounces.verdict import BouncedRecipient
from agents.mail.replies import classify
from tests.mail.bounces.messages import SES, SES_BOUNCE, notice, report
from tests.mail.bounces.replies import RECIPIENT, SENDER, Wording, wordings

ALL = wordings()
KINDS = ("hard", "soft", "throttled", "blocked")


def of(kind: str) -> list[Wording]:
    return [wording for wording in ALL if wording.kind == kind]


def test_there_are_many_of_each_kind() -> None:
    assert {wording.kind for wording in ALL} == set(KINDS)
    assert all(len(of(kind)) > 40 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_is_understood(kind: str) -> None:
    found = {wording: classify(wording.refusal()).kind for wording in of(kind)}
    assert {wording.lines: got for wording, got in found.items() if got != kind} == {}


def said_in(text: str) -> BouncedRecipient:
    ours = text.replace("anna.verdi@Cliente.Example", RECIPIENT)
    ours = ours.replace("anna.verdi@cliente.example", RECIPIENT)
    for address in ("gettone@negozio.example", "rimbalzi@negozio.example"):
        ours = ours.replace(address, SENDER)
    return classify_message(ours.lstrip().encode()).first


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_says_the_same(kind: str) -> None:
    for wording in of(kind):
        first = said_in(report("see below", diagnostic="\n ".join(wording.lines)))
        assert (first.kind, first.address) == (kind, RECIPIENT), wording


def test_nobody_loses_an_address_by_a_notice() -> None:
    """A mail server's letter to people says less clearly where its quotation ends."""
    for wording in ALL:
        if wording.kind != "hard":
            text = f"<anna.verdi@cliente.example>:\n{chr(10).join(wording.lines)}\n"
            assert said_in(notice(text, subject="failure notice")).kind != "hard", wording


def test_before_the_recipient_is_named_nobody_speaks_of_it() -> None:
    for wording in ALL:
        assert classify(wording.refusal("mail")).kind != "hard", wording


def test_a_sender_is_known_by_its_address_alone() -> None:
    """Also in a notification of SES: "user unknown" and our own address beside it."""
    raw = SES % ("Bounce", SES_BOUNCE % "Permanent")
    about = "550 5.1.1 <rimbalzi@negozio.example>: user unknown"
    first = classify_message(raw.replace("550 5.1.1 user unknown", about).lstrip().encode()).first
    assert (first.kind, first.reason) == ("blocked", "sender")
    assert first.text == "550 5.1.1 <our sender>: user unknown"


def test_our_own_addresses_are_marked_and_the_customers_are_not() -> None:
    said = "<Shop@bottega.example> of BOTTEGA.example to <anna@cliente.example>; x.bottega.example"
    assert marked(said, [SENDER], RECIPIENT) == (
        "<our sender> of our own BOTTEGA.example to <anna@cliente.example>; x.bottega.example"
    )


def test_a_shop_that_writes_to_itself_has_the_recipients_domain() -> None:
    said = "550 5.1.1 <anna@bottega.example>: User unknown in bottega.example"
    assert marked(said, [SENDER, "anna@bottega.example"], "anna@bottega.example") == said
