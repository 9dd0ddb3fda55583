"""One fact is one event: ids, sources and whom an event is about."""

from __future__ import annotations

import pytest

from schemas.bounds import KEY_BYTES
from schemas.records import Record
from schemas.validation import Unreadable
from schemas.wire import parse_record, to_record
from streams.connect.facts import (
    Subject,
    as_history,
    content_digest,
    event_of,
    fact,
    guest_key,
    source_of,
    subject_of,
    with_old_as_history,
)
from tests.harness import START

DAY_MS = 86_400_000


def order(**data: object) -> dict[str, object]:
    return {"order_id": "820001", "total": "52.00", "currency": "EUR", **data}


def test_a_fact_names_what_it_is_about() -> None:
    assert source_of("shopify", "Negozio.MyShopify.com") == "shopify:negozio.myshopify.com"
    assert fact("order", 820001, "completed") == "order:820001:completed"
    assert fact("fulfillment", "7", "shipped", "") == "fulfillment:7:shipped"


def test_ids_that_are_too_long_stay_apart() -> None:
    one, other = (fact("cart", "x" * 500, each) for each in ("a", "b"))
    assert one != other
    assert len(one) <= KEY_BYTES


def test_a_guest_is_known_by_the_address_in_any_spelling() -> None:
    assert guest_key(" Anna.Verdi@Example.it") == guest_key("anna.verdi@example.it")
    assert guest_key("anna.verdi@example.it").startswith("email:")
    assert "anna" not in guest_key("anna.verdi@example.it")
    assert guest_key("nobody") == guest_key("") == ""


def test_whom_a_fact_is_about() -> None:
    guest = guest_key("anna@example.it")
    assert subject_of(70001, "anna@example.it") == Subject("70001", guest)
    assert subject_of("70001", "anna@example.it", visitor="a-7", prefix="it-") == Subject(
        "it-70001", "a-7"
    )
    assert subject_of(None, "anna@example.it", visitor="a-7") == Subject(guest, guest)
    assert subject_of(0, "", visitor="a-7") == Subject("a-7", "a-7")
    assert subject_of("0", "nobody") is None


@pytest.mark.parametrize(
    "said",
    ["x" * 3_000, "a\nb", "\0feed", "ritorno/x", " ritorno:visitor/a", "cart:c1", "checkout:k1",
     guest_key("victim@example.it"), "   "],
)  # fmt: skip
def test_what_a_browser_may_not_be_costs_no_order_and_takes_nobodys(said: str) -> None:
    guest = guest_key("anna@example.it")
    assert subject_of(70001, "anna@example.it", visitor=said) == Subject("70001", guest)
    assert subject_of(None, "anna@example.it", visitor=said) == Subject(guest, guest)
    assert subject_of(None, "", visitor=said) is None


def test_an_order_that_names_its_buyer_as_the_browser_is_the_buyers() -> None:
    own = subject_of(70001, "anna@example.it", prefix="it-", visitor="it-70001")
    assert own == Subject("it-70001", guest_key("anna@example.it"))
    assert own.named


def test_an_event_goes_into_the_log_as_it_is() -> None:
    event = event_of(
        "order.completed", "order:820001:completed", source="shopify:n", time=START,
        subject=Subject("70001", "email:x"), data=order(),
    )  # fmt: skip
    assert event.named
    record = to_record(event)

    again = parse_record(Record("customer-events", 0, 0, START, *record))
    assert again == event


def test_odd_fields_never_cost_an_event_and_missing_ones_are_named() -> None:
    event = event_of(
        "order.completed", "o", source="s", time=START, subject=Subject("1"),
        data=order(total="52,00", order_url="javascript:"),
    )  # fmt: skip
    assert str(event.data.total) == "52.00"
    assert {each.field for each in event.odd} >= {"total"}
    with pytest.raises(Unreadable, match="order_id"):
        event_of("order.completed", "o", source="s", time=START, subject=Subject("1"), data={})


def test_what_is_old_is_history_but_for_who_wants_to_be_forgotten() -> None:
    subject = Subject("1")
    old = event_of("order.completed", "o", source="s", time=START, subject=subject, data=order())
    erasure = event_of(
        "customer.erasure_requested", "e", source="s", time=START, subject=subject, data={}
    )
    later = START + 8 * DAY_MS
    assert [e.backfill for e in with_old_as_history([old, erasure], now=later)] == [True, False]
    assert [e.backfill for e in with_old_as_history([old], now=START + DAY_MS)] == [False]
    began = START + 1
    assert [e.backfill for e in with_old_as_history([old], now=began, began=began)] == [True]
    assert [e.backfill for e in as_history([old, erasure])] == [True, False]


def test_content_is_told_apart() -> None:
    assert content_digest({"a": 1, "b": 2}) == content_digest({"b": 2, "a": 1})
    assert content_digest({"a": 1}) != content_digest({"a": 2})
