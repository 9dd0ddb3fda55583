"""The kept record: head and body round trip, older records stay readable, the description."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import customer as record
from schemas.customer import (
    Customer,
    consent,
    decode_customer,
    encode_customer,
    encode_erased,
    mail,
    person,
    runs,
    shopping,
)
from schemas.customer.mail import Pending
from schemas.customer.shopping import LineItem
from schemas.description import describe
from schemas.records import Record
from schemas.stored import (
    FORMAT,
    HEAD_SIZE,
    NEVER,
    FutureFormat,
    Progress,
    format_of,
    head,
    is_newer,
    pack,
    pack_progress,
    unpack_progress,
)
from schemas.stored import body as body_of
from tests.harness import HOUR, START, Harness

offsets = st.integers(-1, 2**62)


def full() -> Harness:
    harness = Harness().subscribed().tell("list.subscribed", confirmed=True).add().at(2 * HOUR)
    harness.order("o1").tell("order.refunded", order_id="o1", refund_id="r", total="1").add("tazza")
    return harness.tell("customer.identified", anonymous_id="v")


@given(offsets, st.integers(0, NEVER), st.binary())
def test_the_head_is_read_without_the_body(applied: int, due: int, body: bytes) -> None:
    stored = pack(applied, due, body)
    assert head(stored) == (applied, due)
    assert bytes(body_of(stored)) == body
    assert format_of(stored) == (FORMAT if body else 1)


@given(st.integers(0, 2**62), offsets, st.dictionaries(st.text(), st.text()))
def test_progress_round_trip(offset: int, time: int, live: dict[str, str]) -> None:
    progress = Progress(offset, time, live)
    stored = pack_progress(progress)
    assert unpack_progress(stored) == progress
    assert head(stored) == (offset - 1, NEVER)


def test_a_customer_round_trip() -> None:
    harness = full()
    customer, stored = harness.customer(), harness.store[b"anna"]
    assert encode_customer(customer) == stored
    assert head(stored) == (customer.applied, customer.due())
    assert customer.due() == START + 3 * HOUR * 1000
    assert customer.statistics.spent == {"EUR": Decimal("9.90")}


def test_an_erased_customer_is_a_head_only() -> None:
    assert decode_customer("anna", encode_erased(7)) == Customer(key="anna", applied=7)


STRUCTS = dict.fromkeys(
    each
    for room in (record, consent, mail, person, runs, shopping)
    for each in vars(room).values()
    if isinstance(each, type) and issubclass(each, msgspec.Struct)
)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda each: each.__name__)
def test_fields_are_only_ever_added_with_a_default(struct: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(struct)
    required = [field.required for field in fields]
    assert required == sorted(required, reverse=True), "what is required comes first"
    assert struct.__struct_config__.array_like


def test_a_record_of_an_older_version_is_readable() -> None:
    harness = full()
    stored = harness.store[b"anna"]
    array = msgspec.msgpack.decode(body_of(stored))
    for length in range(1, len(array)):
        older = stored[: HEAD_SIZE + 1] + msgspec.msgpack.encode(array[:length])
        customer = decode_customer("anna", older)
        assert customer.key == "anna"
        assert encode_customer(customer)
    assert customer.views == harness.customer().views
    pending = msgspec.msgpack.encode(["c", "r", "w", "s", "marketing", 5])
    assert msgspec.msgpack.decode(pending, type=Pending).customer == ""


def test_a_record_of_the_first_release_names_no_format() -> None:
    stored = full().store[b"anna"]
    unmarked = stored[:HEAD_SIZE] + stored[HEAD_SIZE + 1 :]
    assert (format_of(unmarked), format_of(stored)) == (1, FORMAT)
    assert decode_customer("anna", unmarked) == decode_customer("anna", stored)


@pytest.mark.parametrize("number", [FORMAT + 1, 0x1F])
def test_the_future_is_refused_and_says_what_to_do(number: int) -> None:
    stored = full().store[b"anna"]
    newer = stored[:HEAD_SIZE] + bytes([number]) + stored[HEAD_SIZE + 1 :]
    with pytest.raises(FutureFormat, match=f"format {number}, and this one reads up to {FORMAT}"):
        decode_customer("anna", newer)
    with pytest.raises(FutureFormat, match="run the newer one"):
        unpack_progress(newer)


def test_what_a_newer_release_wrote_is_newer_when_both_have_read_as_much() -> None:
    ours = pack(7, NEVER, b"[]")
    theirs = ours[:HEAD_SIZE] + bytes([FORMAT + 1]) + ours[HEAD_SIZE + 1 :]
    assert is_newer(theirs, ours)
    assert not is_newer(ours, theirs)
    assert not is_newer(ours, ours)
    assert is_newer(pack(8, NEVER, b"[]"), theirs)


def test_mutable_defaults_are_not_shared() -> None:
    one, other = Customer(key="a"), Customer(key="b")
    one.consents["x"] = consent.Consent(True, 1, "", "")
    one.cart.lines.append(LineItem("p", 1))
    one.statistics.spent["EUR"] = Decimal(1)
    assert (other.consents, other.cart.lines, other.statistics.spent) == ({}, [], {})


def test_the_description_is_for_people() -> None:
    described = describe(full().customer())
    json.dumps(described)
    assert described["cart"]["lines"][0]["price"] == "9.90"
    assert described["cart"]["changed"] == "2026-03-02T12:00:00Z"
    assert described["orders"][0]["delivered"] is None
    assert described["statistics"]["refunded"] == {"EUR": "1.00"}
    anchors = [run["anchors"] for run in described["runs"] if "cart.changed" in run["anchors"]]
    assert anchors[0]["cart.changed"] == "2026-03-02T12:00:00Z"
    assert not {"seen", "order_ids"} & described.keys()


def test_the_last_header_of_a_name_counts() -> None:
    record = Record("t", 0, 0, 0, None, None, (("a", b"1"), ("b", b"2"), ("a", b"3")))
    assert (record.header("a"), record.header("c")) == (b"3", None)
