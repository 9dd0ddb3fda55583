"""Visitors and customers have namespaces of their own: an id that both have is two people's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.partition.held_back import HeldBackCustomer
from schemas.customer import Customer, decode_customer, encode_customer
from schemas.records import OutRecord, Record
from schemas.reference import VISITOR, id_of, is_visitors, of_visitor, shown
from schemas.retry import Retry
from schemas.signals import CustomerErased
from schemas.signing import SPEAKER, RecordSigner
from schemas.stored import HELD_BACK_PREFIX, NAMESPACE_DECISIONS_KEY, NEVER, is_erased, pack
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_published, parse_record, to_record
from streams.operate.retrying import retry_record
from streams.partitioner import partition_of
from tests.harness import HOUR, Harness

Step = Callable[[Harness], Harness]


def segment(type_: str, id_: str, **fields: Any) -> OutRecord:
    body = {"type": type_, "messageId": id_, "timestamp": "2026-03-02T10:00:00Z", **fields}
    return to_record(parse_published(json.dumps(body)))


def said(harness: Harness, out: OutRecord) -> Harness:
    harness.append(out)
    return harness


def kept(harness: Harness, reference: str) -> Customer:
    """Return what is kept under a reference, and nothing else."""
    stored = harness.store.get(reference.encode())
    if stored is None or is_erased(stored):
        return Customer(key=reference)
    return decode_customer(reference, stored)


def claim(harness: Harness) -> Harness:
    """Somebody says, before the shop has ever spoken of anna: that visitor is me."""
    return said(harness, segment("identify", "a", userId="mallory", anonymousId="anna"))


# Claiming an id.


@pytest.mark.parametrize("first", ["claimed", "ordered"])
def test_who_claims_an_id_gets_nothing_of_its_customers(first: str) -> None:
    harness = Harness().subscribed("mallory")
    steps: list[Step] = [claim, lambda w: w.order("o1", "anna")]
    for step in steps if first == "claimed" else reversed(steps):
        step(harness)
    harness.subscribed("anna").order("o2", "anna").tell("product.viewed", "anna", product_id="p")
    assert (kept(harness, "anna").statistics.count, kept(harness, "anna").views) == (2, 1)
    assert kept(harness, "anna").is_customer
    assert kept(harness, "mallory").statistics.count == 0
    assert {mail.customer for mail in harness.at(40 * 24 * HOUR).mails} <= {"anna"}
    # What the visitor of that id does is mallory's, as was said.
    said(harness, segment("page", "b", anonymousId="anna"))
    assert (kept(harness, of_visitor("anna")).became, kept(harness, "mallory").views) == (
        "mallory",
        1,
    )


@pytest.mark.parametrize(
    "spoken",
    [
        lambda w: said(w, segment("page", "p", userId="anna")),
        lambda w: w.tell("page.viewed", "anna", named=True),
        lambda w: w.tell("customer.updated", "anna", email="a@example.com"),
        lambda w: w.order("o1", "anna"),
    ],
)
def test_whatever_the_shop_says_of_a_customer_goes_to_the_customer(spoken: Step) -> None:
    harness = spoken(claim(Harness()))
    assert kept(harness, "anna").is_customer
    assert kept(harness, "anna").became == ""
    assert [event.customer for event in harness.told if event.type == "visitor.merged"] == [
        "mallory"  # what was known of the visitor: nothing
    ]


def test_undeclared_events_are_the_visitors_until_the_shop_speaks_of_a_customer() -> None:
    harness = claim(Harness()).add("moka", "anna")
    assert [line.product_id for line in kept(harness, "mallory").cart.lines] == ["moka"]
    harness.order("o1", "anna").add("tazza", "anna")
    assert [line.product_id for line in kept(harness, "anna").cart.lines] == ["tazza"]


# Side by side.


def test_a_visitor_and_a_customer_of_one_id_live_side_by_side() -> None:
    harness = Harness().order("o1", "x")
    said(harness, segment("track", "t", anonymousId="x", event="Product Added",
                          properties={"product_id": "moka", "price": "9.90"}))  # fmt: skip
    assert kept(harness, "x").cart.lines == []
    assert [line.product_id for line in kept(harness, of_visitor("x")).cart.lines] == ["moka"]
    harness.tell("customer.identified", "rosa", anonymous_id="x")
    assert [line.product_id for line in kept(harness, "rosa").cart.lines] == ["moka"]
    assert kept(harness, "x").statistics.count == 1


def test_who_uses_one_id_before_and_after_registering_is_one_person() -> None:
    harness = Harness().add("moka", "x", visitor="x")
    said(harness, segment("track", "t", userId="x", anonymousId="x", event="Order Completed",
                          properties={"order_id": "o1", "total": "5.00"}))  # fmt: skip
    assert [line.product_id for line in kept(harness, "x").cart.lines] == ["moka"]
    assert kept(harness, of_visitor("x")).became == "x"


def test_a_visitor_who_registers_under_its_own_id_gets_no_cart_mails_after_the_order() -> None:
    harness = Harness().add("moka", "x", visitor="x")
    harness.tell("customer.identified", "x", visitor="x", customer_id="x", email="x@example.it")
    harness.tell("consent.given", "x", visitor="x", purpose="marketing")
    assert kept(harness, of_visitor("x")).became == "x"
    assert [line.product_id for line in kept(harness, "x").cart.lines] == ["moka"]
    assert kept(harness, "x").profile.email == "x@example.it"
    harness.tell("page.viewed", "x", visitor="x")
    assert kept(harness, "x").views == 1
    harness.order("o1", "x").at(3 * 24 * HOUR)
    steps = {mail.step for mail in harness.mails}
    assert "w01-confirmation" in steps
    assert not steps & {"reminder", "free-shipping", "last-call"}


def test_who_the_visitor_is_the_public_can_not_say_though_it_names_the_same_id() -> None:
    harness = Harness().add("moka", "x", visitor="x")
    headers = [("ce_id", b"i"), ("ce_source", b"/site"), ("ce_type", b"customer.identified"),
               ("ce_anonymousid", b"x"), (SPEAKER, b"public")]  # fmt: skip
    said(harness, OutRecord(b"x", b'{"customer_id":"x","email":"x@y.it"}', headers))
    visitor = kept(harness, of_visitor("x"))
    assert (visitor.became, visitor.profile.email) == ("", "")
    assert [reason for reason, _ in harness.refusals] == ["reserved"], "no door of ours says it"


def test_the_same_link_is_told_once_between_two_who_name_each_other() -> None:
    harness = Harness().order("o1", "anna").order("o2", "bruno")
    for _ in range(3):
        harness.tell("page.viewed", "anna", visitor="bruno")
        harness.tell("page.viewed", "bruno", visitor="anna")
    assert [event.type for event in harness.told].count("visitor.linked") == 2
    assert (kept(harness, "anna").views, kept(harness, "bruno").views) == (3, 3)
    assert harness.refusals == []


def test_two_undeclared_ids_that_become_each_other_end() -> None:
    harness = Harness().add("moka", "a").add("tazza", "b")
    harness.tell("customer.identified", "a", customer_id="b")
    harness.tell("customer.identified", "b", customer_id="a").add("piatto", "a").add("coppa", "b")
    assert len(harness.records) < 20
    lines = [line.product_id for key in ("a", "b") for line in kept(harness, key).cart.lines]
    assert sorted(lines) == ["coppa", "moka", "piatto", "tazza"]


# What was in doubt.


def test_a_record_in_doubt_is_adopted_whole_at_the_first_touch() -> None:
    harness = Harness().subscribed("w").add("moka", "w", id_="cart").at(HOUR - 1)
    before = kept(harness, "w")
    before.is_customer, before.consents = False, {}
    before.heard = 0
    harness.store[b"w"] = encode_customer(before)
    harness.build()
    said(harness, segment("page", "b", anonymousId="w"))
    visitor = kept(harness, of_visitor("w"))
    assert (visitor.key, visitor.profile.email) == (of_visitor("w"), "w@example.com")
    assert [line.product_id for line in visitor.cart.lines] == ["moka"]
    assert [run.workflow for run in visitor.runs] == [run.workflow for run in before.runs]
    assert is_erased(harness.store[b"w"]), "nothing is left under the bare id"
    assert harness.actors.timers_pending == 1
    harness.add("moka", "w", id_="cart")  # it comes again, undeclared: it is known where it went
    assert kept(harness, of_visitor("w")).cart.lines[0].quantity == 1


def test_a_visitors_mail_of_before_is_taken_back_and_told_of() -> None:
    harness = Harness().subscribed("w").add("moka", "w").at(HOUR)
    (mail,) = harness.commands
    raw = kept(harness, "w")
    raw.is_customer, raw.heard, raw.consents = False, 0, {}
    harness.store[b"w"] = encode_customer(raw)
    harness.build()
    said(harness, segment("page", "b", anonymousId="w"))
    harness.order("o1", "w", visitor="w")
    assert harness.cancels == [(mail.id, "w", "order.completed")]
    harness.tell("mail.sent", "w", sender="/ritorno/mailer", command_id=mail.id, message_id="<m>")
    assert mail.id not in {each.command_id for each in kept(harness, of_visitor("w")).pending}
    assert "w" not in {key.decode() for key, kept_ in harness.store.items() if not is_erased(kept_)}


def test_what_release_0_1_had_forwarded_goes_on_and_its_customer_begins_anew() -> None:
    harness = Harness()
    left = Customer(key="w", applied=0, became="anna")
    harness.store[b"w"] = encode_customer(left)
    harness.append(OutRecord(None, b"", (("ce_type", b"ritorno.tick"),)))
    harness.build()
    harness.add("moka", "w")
    assert [line.product_id for line in kept(harness, "anna").cart.lines] == ["moka"]
    assert kept(harness, of_visitor("w")).became == "anna"
    harness.tell("page.viewed", "w", named=True).order("o1", "w")
    assert (kept(harness, "w").became, kept(harness, "w").statistics.count) == ("", 1)
    assert kept(harness, "anna").statistics.count == 0


# Ours.


def test_what_is_told_of_a_visitor_by_reference_reaches_it() -> None:
    signer = RecordSigner([("k", "s" * 32)])
    harness = Harness(signer=signer).order("o1", "x").add("moka", "x", visitor="x")
    page = event("customer.updated", of_visitor("x"), 1, city="Roma")
    said(harness, signer.sign(CUSTOMER_EVENTS, page))
    assert kept(harness, of_visitor("x")).profile.city == "Roma"
    assert not kept(harness, of_visitor("x")).is_customer
    assert kept(harness, "x").profile.city == ""


def test_nobody_else_names_a_visitor_by_reference() -> None:
    harness = Harness(signer=RecordSigner([("k", "s" * 32)])).add("moka", "x", visitor="x")
    harness.tell("customer.updated", of_visitor("x"), city="Roma")
    said(harness, segment("page", "b", userId=of_visitor("x")))
    said(harness, segment("page", "c", userId="y", anonymousId=of_visitor("x")))
    assert [reason for reason, _ in harness.refusals] == ["unsigned", "unsigned", "reserved"]
    assert kept(harness, of_visitor("x")).profile.city == ""


def test_the_longest_id_fits_as_a_visitors_too() -> None:
    record = Record(CUSTOMER_EVENTS, 0, 0, 0, of_visitor("v" * 200).encode(), b"{}",
                    (("ce_id", b"i"), ("ce_type", b"page.viewed")))  # fmt: skip
    assert parse_record(record).customer == of_visitor("v" * 200)


def test_a_visitor_lives_in_the_partition_of_its_id() -> None:
    for number in range(50):
        name = f"c{number}"
        assert partition_of(of_visitor(name).encode(), 8) == partition_of(name.encode(), 8)


def test_references_are_told_apart_and_read() -> None:
    assert (of_visitor("x"), of_visitor(of_visitor("x"))) == (VISITOR + "x", VISITOR + "x")
    assert (id_of(of_visitor("x")), is_visitors("x"), shown(of_visitor("x")), shown("x")) == (
        "x", False, "visitor x", "x"
    )  # fmt: skip


# Erasure.


def test_who_is_erased_is_erased_as_a_visitor_of_the_same_id_too() -> None:
    harness = Harness().order("o1", "x").add("moka", "x", visitor="x")
    harness.tell("customer.erasure_requested", "x")
    assert is_erased(harness.store[b"x"])
    assert is_erased(harness.store[of_visitor("x").encode()])
    erased = [each.content.customer for each in harness.effects
              if isinstance(each.content, CustomerErased)]  # fmt: skip
    assert erased == ["x", of_visitor("x")]


def test_a_claim_goes_with_the_erasure_of_its_id_and_its_claimant_stays() -> None:
    harness = claim(Harness().subscribed("mallory")).order("o1", "anna")
    harness.tell("customer.erasure_requested", "anna")
    assert is_erased(harness.store[of_visitor("anna").encode()])
    assert kept(harness, "mallory").profile.email == "mallory@example.com"


def test_who_has_claimed_an_id_is_erased_without_its_customer() -> None:
    harness = claim(Harness().subscribed("mallory")).order("o1", "anna")
    harness.tell("customer.erasure_requested", "mallory")
    assert is_erased(harness.store[of_visitor("anna").encode()])
    assert kept(harness, "anna").statistics.count == 1


# A crash.


class Crashing(Harness):
    """Takes batches, and may crash when a part of a batch's states is written."""

    def put(self, outs: Sequence[OutRecord]) -> None:
        """Append without reading."""
        for out in outs:
            self.records.append(Record(CUSTOMER_EVENTS, 0, len(self.records), self.now, *out))

    def batch(self, size: int, written: float | None = None) -> None:
        """Take up to `size` records; with `written` only that share of the states is written."""
        start = self.progress.next_offset
        changes = self.actors.receive(self.records[start : start + size])
        self.put([each.record for each in changes.effects if each.topic == CUSTOMER_EVENTS])
        count = len(changes.states) if written is None else round(written * len(changes.states))
        for key, state in changes.states[:count]:
            if state is None:
                self.store.pop(key, None)
            else:
                self.store[key] = state
        if written is None:
            self.continue_with(**{name: getattr(changes.progress, name)
                                  for name in changes.progress.__struct_fields__})  # fmt: skip
        else:
            self.build()

    def known(self) -> dict[str, tuple[Any, ...]]:
        """What is known of everybody, but for where in the log it was learnt."""
        everybody = (
            decode_customer(key.decode(), state)
            for key, state in self.store.items()
            if not key.startswith(b"\0") and not is_erased(state)
        )
        return {
            each.key: (each.views, each.became, sorted(each.visitors), each.is_customer,
                       each.statistics.count, each.profile.email,
                       sorted((line.product_id, line.quantity) for line in each.cart.lines))
            for each in everybody
        }  # fmt: skip


def looked(who: str, number: int, visitor: str = "") -> OutRecord:
    headers = [("ce_id", b"l%d" % number), ("ce_type", b"page.viewed")]
    if visitor:
        headers.append(("ce_anonymousid", visitor.encode()))
    return OutRecord(who.encode(), b"{}", headers)


def event(
    type_: str, who: str, number: int, visitor: str = "", subject: str = "", **data: Any
) -> OutRecord:
    out = looked(who, number, visitor)
    headers = [each for each in out.headers if each[0] != "ce_type"]
    if subject:
        headers.append(("ce_subject", subject.encode()))
    return OutRecord(out.key, json.dumps(data).encode(), [*headers, ("ce_type", type_.encode())])


KINDS: dict[str, Callable[[str, int], OutRecord]] = {
    "undeclared": looked,
    "declared": lambda who, number: looked(who, number, who),
    "order": lambda who, number: event("order.completed", who, number, order_id=f"o{number}",
                                       total="1.00"),
    "cart": lambda who, number: event("cart.product_added", who, number, product_id="p",
                                      price="1.00"),
    "linked": lambda who, number: event("customer.identified", "rosa", number, anonymous_id=who),
    "becomes": lambda who, number: event("customer.identified", who, number, customer_id="rosa"),
    "erased": lambda who, number: event("customer.erasure_requested", who, number),
    "named": lambda who, number: event("page.viewed", who, number, subject=who),
    "same id": lambda who, number: event("customer.identified", who, number, who, customer_id=who),
    "erased with": lambda who, number: event("customer.erasure_requested", "rosa", number),
    "traits": lambda who, number: event("customer.updated", who, number, who, email="v@x.it"),
}  # fmt: skip

HISTORY = st.lists(
    st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(["x", "y"])), min_size=2, max_size=10
)
CRASHES = st.lists(st.tuples(st.integers(1, 8), st.floats(0, 1)), max_size=4)


def finished(harness: Crashing) -> Crashing:
    while harness.progress.next_offset < len(harness.records):
        harness.batch(3)
    return harness


@given(HISTORY, CRASHES)
def test_a_crash_between_the_states_of_a_batch_changes_nothing(
    history: list[tuple[str, str]], crashes: list[tuple[int, float]]
) -> None:
    outs = [KINDS[kind](who, number) for number, (kind, who) in enumerate(history)]
    straight, crashing = Crashing({}), Crashing({})
    for harness in (straight, crashing):
        harness.put(outs)
    finished(straight)
    for size, written in crashes:
        crashing.batch(size, written)
        crashing.batch(1)
    assert finished(crashing).known() == straight.known()


@pytest.mark.parametrize("written", [step / 10 for step in range(11)])
@pytest.mark.parametrize(
    "history",
    [
        # Undeclared, then an order makes it a customer's, then a visitor of that id comes.
        ["undeclared", "order", "declared"],
        # Claimed; undeclared events are the visitor's; then the shop speaks of the customer.
        ["linked", "undeclared", "order", "undeclared"],
        ["undeclared", "cart", "declared", "undeclared", "order"],
        ["undeclared", "becomes", "order", "becomes"],
        ["declared", "undeclared", "erased", "undeclared"],
        # Its visitor came later: of one who isn't there yet an erasure tells nobody.
        ["erased", "undeclared", "declared"],
    ],
)
def test_these_were_lost_or_counted_twice_where_routing_followed_who_was_ahead(
    history: list[str], written: float
) -> None:
    outs = [KINDS[kind]("x", number) for number, kind in enumerate(history)]
    straight, crashing = Crashing({}), Crashing({})
    for harness in (straight, crashing):
        harness.put(outs)
    finished(straight)
    crashing.batch(len(outs), written)
    assert finished(crashing).known() == straight.known()


def test_where_a_visitors_record_took_something_is_written_in_front_of_it() -> None:
    harness = Crashing({})
    harness.put([looked("x", 1), looked("x", 2, "x")])
    changes = harness.actors.receive(harness.records)
    keys = [key for key, _ in changes.states]
    visitor = of_visitor("x").encode()
    assert keys.index(NAMESPACE_DECISIONS_KEY) < keys.index(visitor) < keys.index(b"x")


# Who is held back.


def test_what_may_be_a_visitors_waits_while_its_record_cannot_be_read() -> None:
    harness = Harness().subscribed("mallory").add("moka", "w")
    right, broken = harness.store[b"w"], pack(2, NEVER, b"\xc1")
    harness.store[b"w"] = broken
    harness.build()
    said(harness, segment("page", "b", anonymousId="w"))
    harness.tell("customer.identified", "mallory", anonymous_id="w")
    harness.tell("customer.erasure_requested", "mallory")
    assert harness.store[b"w"] == broken, "an erasure of somebody else's ends nothing"
    assert harness.actors.held_back == 1
    harness.store[b"w"] = right
    harness.build()
    retry = retry_record(Retry(customer="w"))
    harness.append(retry)
    assert harness.actors.held_back == 0
    assert is_erased(harness.store[b"w"]), "adopted, as at its first touch"
    assert is_erased(harness.store[of_visitor("w").encode()]), "it was the one's who is erased"
    assert kept(harness, "mallory").first_seen == 0
    said(harness, segment("page", "c", anonymousId="w"))
    assert kept(harness, of_visitor("w")).views == 1


def held_back(harness: Harness, who: str = "x") -> Harness:
    """A release that can't read what is kept has held somebody back; this one could read it."""
    held = pack(-1, NEVER, msgspec.msgpack.encode(HeldBackCustomer(since=0, error="damaged")))
    harness.store[HELD_BACK_PREFIX + who.encode()] = held
    harness.build()
    assert harness.actors.held_back == 1
    return harness


RELEASE = retry_record(Retry(customer="x"))


@pytest.mark.parametrize("became", ["", "mallory"])
def test_who_was_erased_does_not_come_back_with_what_has_waited(became: str) -> None:
    harness = Harness().subscribed("mallory").add("moka", "x")
    if became:
        harness.store[b"x"] = encode_customer(Customer(key="x", applied=2, became=became))
    held_back(harness)
    said(harness, segment("page", "b", anonymousId="x"))
    harness.tell("customer.identified", "mallory", anonymous_id="x")
    said(harness, segment("page", "c", anonymousId="x"))
    harness.tell("customer.erasure_requested", "mallory")
    said(harness, segment("page", "d", anonymousId="x"))
    said(harness, RELEASE)
    assert is_erased(harness.store[b"mallory"])
    assert (kept(harness, of_visitor("x")).views, kept(harness, of_visitor("x")).became) == (1, "")
    erased = [each.content.customer for each in harness.effects
              if isinstance(each.content, CustomerErased)]  # fmt: skip
    assert erased == ["mallory", of_visitor("x")]


def test_an_erasure_that_waits_takes_back_the_mails_that_would_have_gone_with_its_customer() -> (
    None
):
    harness = Harness().subscribed("x").add("moka", "x").at(HOUR)
    (mail,) = harness.commands
    raw = kept(harness, "x")
    raw.is_customer, raw.heard, raw.consents = False, 0, {}
    harness.store[b"x"] = encode_customer(raw)
    held_back(harness)
    harness.tell("customer.identified", "mallory", anonymous_id="x")
    harness.tell("customer.erasure_requested", "mallory")
    said(harness, RELEASE)
    assert [(id_, reason) for id_, _, reason in harness.cancels] == [(mail.id, "customer.erased")]
    assert is_erased(harness.store[b"mallory"])


def test_a_device_that_has_changed_hands_is_not_erased_with_the_first_one() -> None:
    harness = held_back(Harness().add("moka", "x"))
    harness.tell("customer.identified", "mallory", anonymous_id="x")
    said(harness, segment("page", "b", anonymousId="x"))
    harness.tell("customer.identified", "rosa", anonymous_id="x")
    harness.tell("customer.erasure_requested", "mallory")
    said(harness, segment("page", "c", anonymousId="x"))
    said(harness, RELEASE)
    assert is_erased(harness.store[b"mallory"])
    assert kept(harness, of_visitor("x")).became == "rosa"
    assert (kept(harness, "rosa").views, kept(harness, "rosa").cart.lines) == (1, [])


def test_what_a_visitor_has_waited_with_under_a_customers_id_is_the_visitors() -> None:
    harnesses = [Harness().subscribed("mallory").order("o1", "x") for _ in range(2)]
    for harness in harnesses:
        if harness is harnesses[1]:
            held_back(harness)
        harness.tell("page.viewed", "x", named=True)
        said(harness, segment("page", "b", anonymousId="x"))
        said(harness, segment("track", "t", anonymousId="x", event="Product Added",
                              properties={"product_id": "moka", "price": "9.90"}))  # fmt: skip
        harness.tell("customer.identified", "mallory", anonymous_id="x")
        said(harness, RELEASE)
        said(harness, segment("page", "c", anonymousId="x"))
        assert harness.refusals == []
        assert (kept(harness, "x").views, kept(harness, "x").cart.lines) == (1, [])
        assert kept(harness, of_visitor("x")).became == "mallory"
        assert kept(harness, "mallory").views == 2
        assert [line.product_id for line in kept(harness, "mallory").cart.lines] == ["moka"]


def test_visitors_do_not_fill_the_room_of_a_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.partition.held_back.MOST_EVENTS", 4)
    harness = held_back(Harness().order("o1", "x"))
    for number in range(5):
        said(harness, segment("page", f"p{number}", anonymousId="x"))
    assert [reason for reason, _ in harness.refusals] == ["held_back"] * 3
    harness.tell("page.viewed", "x", named=True).tell("page.viewed", "x", named=True)
    assert len(harness.refusals) == 3, "the shop's wait"
    harness.tell("customer.identified", "mallory", anonymous_id="x")
    assert len(harness.refusals) == 4, "there is an end to it"
    harness.tell("customer.erasure_requested", "mallory")
    assert len(harness.refusals) == 4, "an erasure has a place of its own"


def released(
    before: Sequence[OutRecord], then: Sequence[OutRecord], crashes: Sequence[tuple[int, float]]
) -> Crashing:
    """Return a world in which x was held back between the two."""
    harness = Crashing({})
    harness.put(before)
    finished(harness)
    if b"x" in harness.store:
        held_back(harness)
    harness.put(then)
    for size, written in crashes:
        harness.batch(size, written)
        harness.batch(1)
    return finished(harness)


@given(HISTORY, HISTORY, HISTORY, CRASHES)
def test_a_crash_around_a_release_changes_nothing(
    before: list[tuple[str, str]],
    meanwhile: list[tuple[str, str]],
    after: list[tuple[str, str]],
    crashes: list[tuple[int, float]],
) -> None:
    numbers = itertools.count()
    first, second, third = (
        [KINDS[kind](who, next(numbers)) for kind, who in history]
        for history in (before, meanwhile, after)
    )
    then = [*second, RELEASE, *third]
    assert released(first, then, crashes).known() == released(first, then, []).known()


@pytest.mark.parametrize("written", [step / 20 for step in range(21)])
@pytest.mark.parametrize(
    "history",
    [
        # It was counted at the customer's record and at a new one of the visitor's.
        ["declared"],
        ["undeclared", "declared", "order", "undeclared", "declared"],
        ["order", "declared", "linked", "declared"],
        ["linked", "declared", "erased with", "declared"],
        ["declared", "erased", "declared"],
    ],
)
@pytest.mark.parametrize("first", ["undeclared", "order", "linked"])
def test_what_waits_and_is_released_within_a_batch_counts_once(
    first: str, history: list[str], written: float
) -> None:
    outs = [KINDS[kind]("x", number) for number, kind in enumerate([first, *history])]
    then = [*outs[1:], RELEASE]
    straight = released(outs[:1], then, [])
    assert released(outs[:1], then, [(len(then), written)]).known() == straight.known()
