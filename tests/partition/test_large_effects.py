"""Whatever actors ask for fits into a record of the log."""

from __future__ import annotations

import json
import typing
from decimal import Decimal

import pytest

from agents.customer import handover_state
from agents.effects import Effect
from agents.partition.partition import PartitionActors
from schemas import topics
from schemas.bounds import RECORD_BYTES
from schemas.customer import Customer
from schemas.customer.shopping import Cart, LineItem
from schemas.dead_letters import MAX_LETTER_BYTES, read_letter, refuse
from schemas.records import OutRecord, Record
from schemas.stored import Progress
from schemas.wire import MAX_EVENT_BYTES
from tests.harness import START, Harness
from tests.partition.test_full_records import EMOJI, keeps_to_its_bounds, longest

LIMIT = 1_048_576
"""What a log takes by default."""


def size(record: OutRecord) -> int:
    """Return what a log counts."""
    headers = sum(len(name) + len(content) for name, content in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def largest(effects: list[Effect]) -> int:
    return max(size(effect.record) for effect in effects)


# Merges.


def test_a_whole_record_fits_into_one_event() -> None:
    assert RECORD_BYTES * 4 // 3 + 1_000 < MAX_EVENT_BYTES
    quotes = Customer(key='"' * 200, cart=Cart(lines=[LineItem('"' * 200, 1)] * 640))
    assert size_of_text(quotes) < MAX_EVENT_BYTES


def size_of_text(visitor: Customer) -> int:
    state = handover_state.packed(visitor)
    assert state.startswith("[")
    return len(json.dumps({"state": state}))


@pytest.mark.parametrize("lines", [3, 2_000])
def test_what_travels_arrives(lines: int) -> None:
    visitor = Customer(key="v", cart=Cart(lines=[LineItem("🦊" * 50, 1, Decimal("9.90"))] * lines))
    visitor.order_ids = bytes(range(256))
    state = handover_state.packed(visitor)
    assert state.startswith("[") == (lines == 3)
    assert handover_state.unpacked(state) == visitor


@pytest.mark.parametrize("state", ["", "[", '["v", "x"]', "3AA", "Zm9v", "ä"])
def test_a_forged_state_is_refused(state: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        handover_state.unpacked(state)


def test_a_visitor_who_is_full_becomes_the_same_customer_as_a_customer_who_is() -> None:
    harness = Harness()
    for who in ("v1", "anna"):
        for number in range(60):
            product = longest(number)
            harness.tell("product.viewed", who, product_id=product, category=EMOJI * 90)
            harness.add(product, who, name=EMOJI * 50, category=EMOJI * 50, url="u" * 480)
            harness.tell("list.subscribed", who, list=f"{number}" + EMOJI * 20, source=EMOJI * 90)
        products = [{"product_id": longest(n), "name": EMOJI * 50, "price": "1"} for n in range(60)]
        harness.tell("order.completed", who, order_id=f"o-{who}", products=products)
        for number in range(60):
            harness.add(longest(number), who, name=EMOJI * 50, category=EMOJI * 50, url="u" * 480)
    twin = harness.customer()
    harness.tell("customer.identified", "berta", anonymous_id="v1")
    (handed,) = [
        each for each in harness.effects if getattr(each.content, "type", "") == "visitor.merged"
    ]
    assert size(handed.record) < LIMIT
    berta = harness.customer("berta")
    assert berta.cart.lines == twin.cart.lines
    assert berta.interests == twin.interests
    assert berta.lists == twin.lists
    assert [order.lines for order in berta.orders] == [order.lines for order in twin.orders]
    assert keeps_to_its_bounds(berta)
    assert harness.customer("v1").became == "berta"


# What is passed on.


@pytest.mark.parametrize("type_", ["customer.updated", "customer.identified"])
def test_an_event_that_grows_when_it_is_passed_on_is_refused(type_: str) -> None:
    harness = Harness().tell("customer.identified", "anna", anonymous_id="v1")
    number = len(harness.records)
    kept = dict(harness.store)
    value = b'{"x":[' + b",".join([b"1E9"] * 240_000) + b'],"customer_id":"anna"}'
    assert len(value) < MAX_EVENT_BYTES
    headers = (("ce_id", b"1"), ("ce_type", type_.encode()), ("ce_source", b"/shop"),
               ("ce_anonymousid", b"v1"))  # fmt: skip
    harness.append(OutRecord(b"v1", value, headers))
    assert [reason for reason, _ in harness.refusals] == ["too_large"]
    assert len(harness.records) == number + 1
    assert harness.store == kept
    assert largest(harness.effects) <= MAX_LETTER_BYTES


@pytest.mark.parametrize(("padding", "moved"), [(31_000, True), (47_000, False)])
def test_a_record_in_the_wrong_partition_is_moved_if_ours_fits_on_top(
    padding: int, moved: bool
) -> None:
    harness = Harness()
    actors = PartitionActors(
        partition=0, load=harness.store.get, definitions=harness.definitions,
        progress=Progress(live=harness.first), home=lambda _: 1,
    )  # fmt: skip
    value = b'{"x":"' + b"x" * 999_000 + b'"}'
    headers = (("ce_id", b"1"), ("ce_type", b"customer.updated"), ("x", b"x" * padding))
    record = Record(topics.CUSTOMER_EVENTS, 0, 0, START, b"anna", value, headers)
    (effect,) = actors.receive([record]).effects
    assert (effect.topic == topics.CUSTOMER_EVENTS) == moved
    if moved:
        assert size(effect.record) < LIMIT - 1_000


# Mails.


def test_a_receipt_for_more_than_a_mail_can_show() -> None:
    feed = [
        {"sku": f"p{n}", "name": EMOJI * 1000, "price": "1", "description": EMOJI * 1000,
         "url": EMOJI * 2000, "guide_url": "u" * 2048, "review_url": "r" * 2048,
         "image_url": "i" * 2048, "reviews": [{"author": EMOJI * 900, "text": EMOJI * 999}] * 5}
        for n in range(300)
    ]  # fmt: skip
    harness = Harness()
    for start in range(0, 300, 5):
        value = json.dumps({"products": feed[start : start + 5]}, ensure_ascii=False).encode()
        harness.append(OutRecord(None, value, (("ce_type", b"ritorno.products"),)))
    harness.subscribed().order("o1", products=[f"p{n}" for n in range(300)])
    (receipt,) = [each for each in harness.effects if each.topic == topics.SEND_COMMANDS]
    lines = typing.cast(dict, harness.commands[0].variables["order"])["lines"]
    assert 20 < len(lines) < 300
    assert size(receipt.record) < 500_000
    assert lines[0]["url"] == ""
    assert lines[0]["guide_url"] == "u" * 2048


# Dead letters.


def test_a_letter_keeps_the_beginning_of_what_it_does_not_take() -> None:
    huge = Record("t", 0, 7, START, b"k", b"v" * 5_000_000, (("h", b"x"),))
    letter = refuse(huge, reason="too_large", detail="5000000 bytes", time=START)
    assert size(letter) <= MAX_LETTER_BYTES
    read = read_letter(Record("dead-letters", 0, 0, START, *letter))
    assert read.original.value == b"v" * (MAX_LETTER_BYTES // 2)
    assert read.original.headers == (("h", b"x"),)
    assert read.detail == "5000000 bytes (the beginning of 5000003 bytes)"
    headers = huge._replace(headers=(("h", b"x" * 3_000_000),), value=b"v")
    letter = refuse(headers, reason="invalid_event", detail="", time=START)
    assert size(letter) <= MAX_LETTER_BYTES
    whole = huge._replace(value=b"v" * 1_048_000)
    letter = refuse(whole, reason="too_large", detail="d", time=START)
    assert (letter.value, letter.headers[0]) == (whole.value, ("h", b"x"))
