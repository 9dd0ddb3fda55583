"""A verdict on a mail is about the address that the mail was commanded to, and about no other: who
gets a mail can say of it what they like, and hurts nobody else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from agents.customer import mailed
from agents.digests import address_digest, digest
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from schemas.bounds import kept_bytes
from schemas.commands import FeedbackCommand, SuppressCommand
from schemas.customer import Customer, decode_customer, encode_customer
from schemas.customer.mail import (
    MAILED_BYTES,
    MAILED_KEPT,
    MAILED_TOTAL_BYTES,
    Bounces,
    Sent,
)
from schemas.outcomes import MAILER
from schemas.stored import Progress, head
from tests.harness import DAY, START, Harness

RETURNS = "/ritorno/returns"
VICTIM = "vittima@example.org"
BOUNCE = {"code": 550, "kind": "hard", "reason": "no_such_user", "reported": True}
VERDICTS: dict[str, dict[str, Any]] = {
    "mail.bounced": BOUNCE,
    "mail.complained": {"reason": "abuse"},
    "mail.delivered": {},
}


def verdict(harness: Harness, type_: str, mail: str, sender: str = RETURNS) -> Harness:
    return harness.tell(type_, sender=sender, command_id=mail, **VERDICTS[type_])


def orders(harness: Harness, own: str = "chi@attacker.example") -> str:
    """An order with an address of one's own; return the id of the receipt's command, which whoever
    gets the receipt reads off its return address."""
    harness.tell("customer.updated", email=own).tell("consent.given", purpose="marketing")
    return harness.order().commands[-1].id


def later(harness: Harness) -> Harness:
    """Let a second pass: of two statements at the same instant the one that comes last isn't the
    last."""
    return harness.at((harness.now - START) / 1000 + 1)


def moves(harness: Harness, to: str = VICTIM) -> Harness:
    return later(harness).tell("customer.updated", email=to)


def ignored(harness: Harness) -> dict[tuple[str, str], int]:
    return dict(sum((each.ignored for each in harness.counts), start=harness.counts[0].ignored))


def told_to_the_mailer(harness: Harness) -> list[Any]:
    kinds = (SuppressCommand, FeedbackCommand)
    return [each.content for each in harness.effects if isinstance(each.content, kinds)]


# The attack.


@pytest.mark.parametrize("type_", VERDICTS)
def test_whoever_moves_to_anothers_address_brings_no_verdict_along(type_: str) -> None:
    harness = Harness()
    mail = orders(harness)
    moves(harness)
    before = harness.customer()
    verdict(harness, type_, mail)
    after = harness.customer()
    assert msgspec.structs.replace(after, applied=0, weight=0) == msgspec.structs.replace(
        before, applied=0, weight=0
    )
    assert told_to_the_mailer(harness) == []
    assert ignored(harness) == {(type_.removeprefix("mail."), "another_address"): 1}
    assert harness.order("o2").commands[-1].email == VICTIM, "the victim gets receipts"


def test_nor_when_the_relay_itself_refuses_the_mail_only_after_the_move() -> None:
    """The attacker's own server puts the receipt off until the address is the victim's."""
    harness = Harness()
    mail = orders(harness)
    moves(harness)
    verdict(harness, "mail.bounced", mail, MAILER)
    assert harness.customer().suppressed == ""
    assert harness.customer().pending == [], "it can't be taken back any more, that is all"
    assert told_to_the_mailer(harness) == []
    assert harness.order("o2").commands[-1].email == VICTIM


def test_nor_as_a_visitor_who_becomes_the_victim() -> None:
    harness = Harness()
    harness.tell("order.completed", "v", order_id="o1", total="9.00", email="chi@attacker.example")
    mail = harness.commands[-1]
    assert mail.customer != "anna"
    harness.tell("customer.updated", email=VICTIM)
    harness.tell("customer.identified", anonymous_id="v")
    assert address_digest("chi@attacker.example") in harness.customer().mailed
    verdict(harness, "mail.bounced", mail.id)
    harness.tell("mail.bounced", "v", sender=RETURNS, command_id=mail.id, **BOUNCE)
    assert harness.customer().suppressed == ""
    suppressed = [each.email for each in told_to_the_mailer(harness) if each.action == "suppress"]
    assert suppressed == ["chi@attacker.example"], "the order's own address, and nobody else's"
    assert ignored(harness) == {("bounced", "repeated"): 1}


def test_nor_by_ordering_the_same_mail_again_at_the_other_address() -> None:
    harness = Harness().subscribed().mailed("m1")
    before = harness.customer().mailed
    moves(harness).mailed("m1")
    assert harness.customer().mailed == before
    verdict(harness, "mail.bounced", "m1")
    assert harness.customer().suppressed == ""


def test_who_goes_back_to_the_address_is_concerned_again() -> None:
    harness = Harness().subscribed().mailed("m1")
    moves(moves(harness), "Anna@Example.com")
    verdict(harness, "mail.bounced", "m1")
    assert harness.customer().suppressed == "bounced"


@pytest.mark.parametrize("type_", VERDICTS)
def test_of_a_mail_that_was_never_commanded_nothing_is_heard(type_: str) -> None:
    harness = Harness().subscribed().mailed("m1")
    verdict(harness, type_, "m2")
    assert told_to_the_mailer(harness) == []
    assert harness.customer().consented("marketing")
    assert ignored(harness) == {(type_.removeprefix("mail."), "unknown_mail"): 1}
    assert harness.counts[-1].events == {(type_, "ignored"): 1}


def test_nor_of_a_mail_without_a_name() -> None:
    """As the token of a preview has none; another mailer's mails have none either."""
    harness = Harness().subscribed()
    harness.tell("mail.bounced", sender=RETURNS, **BOUNCE)
    assert harness.customer().suppressed == ""
    harness.tell("mail.bounced", sender="/esp", **BOUNCE)
    assert harness.customer().suppressed == "bounced"


def test_nobody_is_known_again_by_a_complaint() -> None:
    harness = Harness()
    mail = orders(harness)
    harness.tell("customer.erasure_requested")
    verdict(harness, "mail.complained", mail)
    assert harness.customer() == Customer(key="anna", applied=harness.customer().applied)
    assert harness.counts[-1].events == {("mail.complained", "ignored"): 1}


def test_thousands_of_forged_reports_leave_room_for_events() -> None:
    harness = Harness().subscribed().mailed("m1")
    verdict(harness, "mail.bounced", "m1")
    memory = harness.customer().memory
    for _ in range(300):
        verdict(harness, "mail.bounced", "m1")
        verdict(harness, "mail.delivered", "m2")
    assert harness.customer().memory == memory


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("cached", [1, 1 << 30])
def test_it_is_the_same_wherever_a_batch_ends_or_a_crash_falls(size: int, cached: int) -> None:
    told = Harness().subscribed()
    for number in range(4):
        told.order(f"o{number}").order(f"g{number}", "v1", email="v1@example.com")
    told.tell("customer.identified", "v1", customer_id="anna")
    for number, mail in enumerate(told.commands):
        moves(told, VICTIM if number % 3 else "anna@example.com")
        for type_ in VERDICTS:
            verdict(verdict(told, type_, mail.id), type_, mail.id)
    store: dict[bytes, bytes] = {}
    progress, counted = Progress(live=told.first), Counter[tuple[str, str]]()
    effects: list[Any] = []
    for start in range(0, len(told.records), size):
        actors = PartitionActors(  # a worker of its own for each batch, as after a crash
            partition=0, load=store.get, definitions=told.definitions, progress=progress,
            due=[(head(kept).due, key) for key, kept in store.items()], memory=CacheMemory(cached),
        )  # fmt: skip
        changes = actors.receive(told.records[start : start + size])
        store.update({key: kept for key, kept in changes.states if kept is not None})
        progress = changes.progress
        counted += changes.counts.ignored
        effects += changes.effects
    assert len(counted) > 4
    assert counted == ignored(told)
    assert [each.record for each in effects] == [each.record for each in told.effects]
    assert store == told.store


# For how long, and for how many.


def test_it_is_known_for_ninety_days() -> None:
    for days, suppressed in ((90, "bounced"), (92, "")):
        harness = Harness().subscribed().mailed("m1").at(days * DAY)
        verdict(harness, "mail.bounced", "m1")
        assert harness.customer().suppressed == suppressed


def test_what_is_older_is_gone_at_the_next_mail() -> None:
    harness = Harness().subscribed().mailed("m1").at(60 * DAY)
    moves(harness).mailed("m2").at(100 * DAY).mailed("m3")
    (row,) = harness.customer().mailed.values()
    assert len(row) == 2 * MAILED_BYTES


def test_there_is_an_end_to_it() -> None:
    customer = Customer(key="anna")
    for number in range(MAILED_KEPT + 9):
        mailed.remember(customer, f"m{number}", "a@example.com", START)
    (row,) = customer.mailed.values()
    assert len(row) == MAILED_KEPT * MAILED_BYTES
    assert row.startswith(digest("m9"))
    for number in range(2_000):
        mailed.remember(customer, f"n{number}", f"{number // 4}@example.com", START)
    assert kept_bytes(customer.mailed) <= MAILED_TOTAL_BYTES
    assert address_digest("a@example.com") not in customer.mailed
    assert address_digest("499@example.com") in customer.mailed


def test_a_clock_of_another_century_does_no_harm() -> None:
    customer = Customer(key="anna")
    for now in (-1, START, 1 << 55):
        mailed.remember(customer, f"m{now}", "a@example.com", now)
    assert len(customer.mailed[address_digest("a@example.com")]) == MAILED_BYTES


# Records of before this was kept.


def before(**fields: Any) -> tuple[Harness, str]:
    """A mail was commanded, and nobody noted where to."""
    harness = Harness()
    mail = orders(harness, "anna@example.com")
    customer = msgspec.structs.replace(harness.customer(), mailed={}, **fields)
    harness.store[b"anna"] = encode_customer(customer)
    harness.build()
    return harness, mail


def test_the_mails_of_before_are_known_where_the_address_was_never_another() -> None:
    harness, mail = before()
    verdict(harness, "mail.bounced", mail)
    assert harness.customer().suppressed == "bounced"


def test_the_attack_does_not_work_with_mails_of_before_either() -> None:
    harness, mail = before()
    verdict(moves(harness), "mail.bounced", mail)
    assert harness.customer().suppressed == ""
    assert ignored(harness) == {("bounced", "another_address"): 1}
    harness, mail = before(bounces=Bounces(former="f" * 16))
    verdict(harness, "mail.bounced", mail)
    assert harness.customer().suppressed == "", "it may have gone to the former one"
    assert ignored(harness) == {("bounced", "unknown_mail"): 1}


def test_a_history_without_names_says_nothing() -> None:
    harness, _ = before(sent=[Sent(START, "w", "s", "marketing", "informative")])
    assert moves(harness).customer().mailed == {}


def test_a_worker_of_before_passes_over_it() -> None:
    """The record is an array; what follows the last field that is known is passed over."""
    customer = Harness().subscribed().mailed("m1").customer()
    fields = Customer.__struct_fields__
    names, later = fields[: fields.index("mailed")], fields[fields.index("mailed") :]
    before = msgspec.defstruct("Before", [(name, Any) for name in names], array_like=True)
    stored, body = encode_customer(customer), msgspec.msgpack.encode(customer)
    assert stored.endswith(body)
    written = msgspec.msgpack.encode(msgspec.msgpack.decode(body, type=before))
    back = decode_customer("anna", stored[: -len(body)] + written)
    absent = {name: getattr(Customer(key="anna"), name) for name in later}
    assert back == msgspec.structs.replace(customer, **absent)
