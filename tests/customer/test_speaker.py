"""Nobody takes a customer over: not by an anonymous id, nor by what visitors or the public say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer.speaker import is_customers
from schemas.customer import Customer, encode_customer
from schemas.origin import Origin
from schemas.records import OutRecord, Record
from schemas.signing import SPEAKER
from schemas.wire import parse_published, parse_record, to_record
from tests.harness import START, Harness

Attack = Callable[[Harness], Harness]


def said(harness: Harness, line: dict[str, Any], *, public: bool = False) -> Harness:
    """Append a line as `publish` would, said by the shop or, through a door, in public."""
    event = parse_published(json.dumps(line))._replace(public=public)
    harness.append(to_record(event))
    return harness


def segment(type_: str, id_: str, **fields: Any) -> dict[str, Any]:
    return {"type": type_, "messageId": id_, "timestamp": "2026-03-02T10:00:00Z", **fields}


def anna() -> Harness:
    """A customer with all that is worth being taken."""
    harness = Harness().subscribed("anna").add("moka", "anna").order("o1", "anna")
    return harness.tell("customer.updated", "anna", first_name="Anna")


def hers(harness: Harness) -> tuple[Any, ...]:
    """What nobody else may move."""
    customer = harness.customer("anna")
    return (customer.profile, customer.consents, customer.lists, customer.evidence,
            customer.orders, customer.order_ids, customer.statistics, customer.coupons,
            customer.suppressed, customer.became, customer.points)  # fmt: skip


ATTACKS: dict[str, Attack] = {
    "identify": lambda w: said(
        w, segment("identify", "a", userId="mallory", anonymousId="anna", traits={"name": "M"})
    ),
    "alias": lambda w: said(w, segment("alias", "a", userId="mallory", previousId="anna")),
    "any event": lambda w: w.tell("page.viewed", "mallory", visitor="anna"),
    "any Segment event": lambda w: said(
        w, segment("page", "a", userId="mallory", anonymousId="anna")
    ),
    "keyed to her": lambda w: w.tell("customer.identified", "anna", customer_id="mallory"),
    "keyed to the other": lambda w: w.tell(
        "customer.identified", "mallory", anonymous_id="anna", email="m@x.it"
    ),
    "as a visitor": lambda w: w.tell(
        "customer.identified", "anna", visitor="anna", customer_id="mallory"
    ),
    "structured": lambda w: said(
        w, {"specversion": "1.0", "id": "a", "type": "customer.identified", "subject": "mallory",
            "anonymousid": "anna"}
    ),
    "twice over": lambda w: w.tell("customer.identified", "mallory", anonymous_id="v").tell(
        "customer.identified", "v", visitor="v", customer_id="anna"
    ).tell("page.viewed", "mallory", visitor="anna"),
}  # fmt: skip


@pytest.mark.parametrize("how", ATTACKS)
def test_a_customer_never_becomes_another(how: str) -> None:
    harness = anna()
    before = hers(harness)
    ATTACKS[how](harness).subscribed("mallory")
    assert hers(harness) == before
    mallory = harness.customer("mallory")
    assert not mallory.orders
    assert mallory.statistics.count == 0
    harness.tell("product.viewed", "anna", product_id="p").order("o2", "anna")
    assert harness.customer("anna").statistics.count == 2
    assert harness.customer("mallory").statistics.count == 0


@pytest.mark.parametrize("how", ATTACKS)
def test_who_is_erased_takes_nobody_along(how: str) -> None:
    harness = ATTACKS[how](anna())
    before = hers(harness)
    harness.tell("customer.erasure_requested", "mallory")
    assert hers(harness) == before


@pytest.mark.parametrize(
    "first",
    [
        lambda w: w.tell("customer.created", "anna"),
        lambda w: w.order("o1", "anna"),
        lambda w: said(w, segment("page", "p", userId="anna")),
        lambda w: said(w, {"specversion": "1.0", "id": "p", "type": "page.viewed",
                           "subject": "anna"}),
        lambda w: w.append(OutRecord(b"anna", b"{}", (("ce_id", b"p"), ("ce_type", b"page.viewed"),
                                                      ("ce_subject", b"anna")))) or w,
        lambda w: w.tell("customer.identified", "anna", anonymous_id="other"),
        lambda w: w.append(OutRecord(b"anna", b'{"order_id":"o","total":"1.00"}', (
            ("ce_id", b"p"), ("ce_type", b"order.completed"), Origin(1, START, 0, 0).header(),
        ))) or w,  # moved from the partition of a foreign partitioner
        lambda w: w.tell("customer.identified", "w", visitor="w", customer_id="anna").order(
            "o1", "w", visitor="w"
        ),
        lambda w: w.tell("page.viewed", "anna", visitor="w").order("o1", "w", visitor="w"),
        lambda w: w.order("o1", "w", visitor="w").tell("page.viewed", "anna", visitor="w"),
    ],
)  # fmt: skip
def test_whoever_the_shop_speaks_of_is_a_customer(first: Attack) -> None:
    harness = first(Harness())
    assert harness.customer("anna").is_customer
    harness.tell("customer.identified", "mallory", anonymous_id="anna")
    assert harness.customer("anna").became == ""
    harness.build()
    assert harness.customer("anna").is_customer


@pytest.mark.parametrize(
    "first",
    [
        lambda w: w.tell("page.viewed", "anna"),
        lambda w: w.order("o1", "anna", visitor="anna"),
        lambda w: said(w, segment("identify", "p", anonymousId="anna", traits={"email": "a@x.it"})),
        lambda w: said(w, {"specversion": "1.0", "id": "p", "type": "order.completed",
                           "anonymousid": "anna", "data": {"order_id": "o", "total": "1.00"}}),
    ],
)  # fmt: skip
def test_a_visitor_becomes_a_customer_as_ever(first: Attack) -> None:
    harness = first(Harness())
    assert not harness.customer("anna").is_customer
    harness.tell("customer.identified", "rosa", anonymous_id="anna")
    assert harness.customer("anna").became == "rosa"
    assert harness.customer("rosa").visitors == ["anna"]


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize(
    ("first", "is_hers"),
    [
        (lambda w: w.order("o1", "anna"), True),
        (lambda w: w.subscribed("anna"), True),
        (lambda w: w.tell("consent.given", "anna", purpose="tracking"), False),
        (lambda w: w.tell("customer.updated", "anna", email="a@x.it"), False),
    ],
)
def test_what_release_0_1_has_kept_with_an_order_or_a_consent_is_a_customers(
    first: Attack, is_hers: bool, touched: bool
) -> None:
    harness = first(Harness())
    kept = harness.customer("anna")
    kept.heard, kept.is_customer, kept.memory = 0, False, {}
    harness.store[b"anna"] = encode_customer(kept)
    harness.build()
    if touched:
        harness.tell("page.viewed", "anna")
    harness.tell("customer.identified", "mallory", anonymous_id="anna")
    harness.tell("customer.identified", "anna", customer_id="mallory")
    assert harness.customer("anna").became == ("" if is_hers else "mallory")
    assert is_customers(harness.customer("anna")) == is_hers


def test_the_public_speaks_of_itself_only() -> None:
    harness = anna()
    before = hers(harness)
    said(harness, segment("identify", "a", userId="anna", traits={"email": "m@x.it"}), public=True)
    said(harness, segment("track", "b", userId="anna", event="Consent Withdrawn",
                          properties={"purpose": "marketing"}), public=True)  # fmt: skip
    said(harness, segment("identify", "c", userId="mallory", anonymousId="w"), public=True)
    harness.tell("customer.identified", "w", visitor="w", customer_id="anna")
    assert harness.customer("w").became == "anna"
    said(
        harness, segment("identify", "d", anonymousId="w", traits={"email": "m@x.it"}), public=True
    )
    assert hers(harness) == before
    assert {reason for reason, _ in harness.refusals} == {"reserved"}


def test_who_spoke_travels_with_the_event() -> None:
    event = parse_published(json.dumps(segment("page", "p", userId="anna")))
    assert (event.named, event.public) == (True, False)
    for public in (False, True):
        out = to_record(event._replace(public=public))
        assert dict(out.headers).get(SPEAKER) == (b"public" if public else None)
        read = parse_record(Record("customer-events", 0, 0, 0, *out))
        assert (read.named, read.public) == (True, public)


TYPES: dict[str, dict[str, Any]] = {
    "customer.updated": {"email": "m@x.it", "first_name": "M"},
    "customer.identified": {"email": "m@x.it"},
    "customer.erasure_requested": {},
    "consent.given": {"purpose": "tracking"},
    "consent.withdrawn": {"purpose": "marketing"},
    "list.subscribed": {"list": "x", "email": "m@x.it", "confirmed": True},
    "list.unsubscribed": {"list": "newsletter"},
    "order.completed": {"order_id": "o9", "total": "1.00"},
    "order.cancelled": {"order_id": "o1"},
    "order.refunded": {"order_id": "o1", "total": "1.00"},
    "checkout.started": {"email": "m@x.it"},
    "product.viewed": {"product_id": "p"},
    "cart.product_added": {"product_id": "p", "price": "1.00"},
    "survey.answered": {"survey_id": "s", "answer": "no"},
    "page.viewed": {},
}
WORDS = st.lists(
    st.tuples(st.sampled_from(sorted(TYPES)), st.sampled_from(["anna", "w", "mallory"]),
              st.sampled_from(["anna", "w", "mallory", None]), st.booleans()),
    max_size=12,
)  # fmt: skip


@given(WORDS)
def test_nothing_that_visitors_say_moves_what_is_a_customers(
    words: list[tuple[str, str, str | None, bool]],
) -> None:
    harness = anna()
    before = hers(harness)
    for number, (type_, about, named, public) in enumerate(words):
        data = dict(TYPES[type_])
        if type_ == "customer.identified" and named and public:
            data["customer_id"] = named
        headers = [("ce_id", b"w%d" % number), ("ce_type", type_.encode())]
        if not public or named is None:
            headers.append(("ce_anonymousid", about.encode()))
        elif named != about:
            headers.append(("ce_anonymousid", named.encode()))
        if public:
            headers.append((SPEAKER, b"public"))
        harness.append(OutRecord(about.encode(), json.dumps(data).encode(), headers))
    assert hers(harness) == before
    assert isinstance(harness.customer("anna"), Customer)
