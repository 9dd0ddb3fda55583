"""An order ends the reminders of its cart, its checkout and its address, under whichever id they
run, whatever came first; and what many share is nobody's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.customer.grounds import RANK
from agents.links.link_actor import MOST_HOLDERS
from agents.links.names import PREFIX, is_link, of_address, of_id
from agents.links.registration import MOST_ADDRESSES
from schemas.bounds import kept_bytes
from schemas.customer import Customer, decode_customer
from schemas.customer.links import HOLDERS_BYTES
from schemas.events import Event
from schemas.records import OutRecord
from schemas.reference import of_visitor
from tests.harness import DAY, HOUR, MINUTE, Harness

CART = "w06-abandoned-cart-a"


def said(harness: Harness, **fields: Any) -> Harness:
    """Say a bare Segment object."""
    call = {"type": "track", "messageId": f"m{len(harness.records)}"} | fields
    who = call.get("userId", call.get("anonymousId"))
    harness.append(OutRecord(str(who).encode(), json.dumps(call).encode(), ()))
    return harness


def browsing(harness: Harness, who: str = "v", **data: Any) -> Harness:
    """A visitor agrees to mails and puts a moka into the cart."""
    harness.tell("consent.given", who, purpose="marketing")
    harness.add("moka", who, **{"cart_id": "c1", **data})
    return harness.at((harness.now - 1_772_445_600_000) / 1000 + MINUTE)


def link(harness: Harness, name: str) -> Customer | None:
    stored = harness.store.get((PREFIX + name).encode())
    return None if stored is None else decode_customer(PREFIX + name, stored)


def to_links(harness: Harness) -> list[Event]:
    return [event for event in harness.told if is_link(event.customer)]


def ends(harness: Harness) -> list[tuple[str, str]]:
    return [(each.decision, each.reason) for each in harness.said(CART)][-1:]


def checkout(harness: Harness, who: str = "v", **data: Any) -> Harness:
    return harness.tell("checkout.started", who, **data)


@pytest.mark.parametrize(
    ("named", "bought"),
    [
        ({"cart_id": "c1"}, {"cart_id": "c1"}),
        ({"cart_id": "c9", "checkout_id": "k1"}, {"checkout_id": "k1"}),
        ({"checkout_id": "k1"}, {"order_id": "k1"}),  # as Segment once named a checkout
        ({"email": "Rosa@Example.com "}, {"email": "rosa@example.com"}),
    ],
)
def test_an_order_under_another_id_ends_the_cart_series(
    named: dict[str, str], bought: dict[str, str]
) -> None:
    harness = checkout(browsing(Harness()), **named)
    harness.order(bought.pop("order_id", "o1"), "4711", **bought)
    visitor = harness.customer("v")
    assert (visitor.cart.lines, visitor.runs) == ([], [])
    assert ends(harness) == [("exited", "order.placed_elsewhere")]
    assert {mail.customer for mail in harness.at(8 * DAY).mails} <= {"4711"}
    assert visitor.statistics.count == 0
    assert harness.customer("4711").statistics.count == 1


def test_what_waits_at_the_mailer_is_taken_back() -> None:
    harness = checkout(browsing(Harness()), email="rosa@example.com", cart_id="c1")
    harness.at(2 * HOUR)
    sent = [command.id for command in harness.commands]
    assert len(sent) == 1
    harness.order("o1", "4711", cart_id="c1")
    assert [(each[0], each[2]) for each in harness.cancels] == [(sent[0], "order.placed_elsewhere")]
    later = [mail for mail in harness.at(8 * DAY).mails if mail.customer != "4711"]
    assert len(later) == 1


@pytest.mark.parametrize("by", [{"cart_id": "c1"}, {"email": "rosa@example.com"}])
def test_an_order_that_comes_before_the_browsing_ends_it_too(by: dict[str, str]) -> None:
    harness = Harness().at(HOUR).order("o1", "4711", happened=HOUR - MINUTE, **by)
    harness.at(2 * HOUR).tell("consent.given", "v", purpose="marketing", happened=10)
    harness.add("moka", "v", cart_id="c1", happened=20)
    if "email" in by:
        checkout(harness, email="rosa@example.com", happened=30)
    assert harness.customer("v").cart.lines == []
    assert ends(harness) == [("exited", "order.placed_elsewhere")]


def test_ids_that_are_addresses_are_one_in_whichever_case() -> None:
    harness = Harness()
    said(harness, type="identify", userId="Nina@Example.com", traits={"email": "Nina@Example.com"})
    harness.tell("consent.given", "Nina@Example.com", purpose="marketing")
    harness.add("moka", "Nina@Example.com")
    said(harness, event="Order Completed", userId="nina@example.com",
         properties={"order_id": "o2", "total": "34.90"})  # fmt: skip
    assert ends(harness) == [("exited", "order.placed_elsewhere")]


def test_who_is_alone_tells_an_address_once_and_no_order() -> None:
    harness = Harness().subscribed()
    assert [event.type for event in to_links(harness)] == ["link.registered"]
    for number in range(5):
        harness.at(number * MINUTE + MINUTE)
        harness.add("moka", cart_id=f"c{number}", checkout_id=f"k{number}")
        checkout(harness, "anna", checkout_id=f"o{number}")
        before = len(to_links(harness))
        harness.order(f"o{number}", cart_id=f"c{number}", email="anna@example.com")
        harness.subscribed()
        assert len(to_links(harness)) == before


def test_an_order_of_before_anybody_else_had_the_address_is_told_of() -> None:
    harness = Harness().subscribed().order("o1").at(HOUR)
    browsing(harness, "v")
    checkout(harness, "v", email="anna@example.com")
    assert harness.customer("v").cart.lines, "the cart was filled after the order"
    harness = Harness().subscribed().at(HOUR).order("o1")
    harness.tell("consent.given", "v", purpose="marketing")
    harness.add("moka", "v", happened=30)
    checkout(harness, "v", email="anna@example.com", happened=40)
    assert harness.customer("v").cart.lines == []


def test_a_cart_of_later_and_of_other_things_stays() -> None:
    harness = browsing(Harness(), "v")
    checkout(harness, "v", email="rosa@example.com")
    harness.at(2 * HOUR).add("tazza", "v").at(3 * HOUR)
    harness.order("o1", "4711", happened=HOUR, email="rosa@example.com")
    assert [line.product_id for line in harness.customer("v").cart.lines] == ["tazza"]
    assert [each.decision for each in harness.said(CART)][-3:-1] == ["exited", "entered"]


def test_an_order_of_something_else_by_the_address_leaves_the_cart_and_ends_the_series() -> None:
    harness = browsing(Harness(), "v")
    checkout(harness, "v", email="rosa@example.com")
    harness.order("o1", "4711", email="rosa@example.com", products=["tazza"])
    assert [line.product_id for line in harness.customer("v").cart.lines] == ["moka"]
    assert ends(harness) == [("exited", "order.placed_elsewhere")]


def sharing() -> Harness:
    """Two ids of one address; the till has sold a tea, and two days later a moka is in the cart."""
    harness = Harness()
    for id_ in ("web", "4711"):
        harness.tell("customer.updated", id_, named=True, email="rosa@example.com")
        harness.tell("consent.given", id_, named=True, purpose="marketing")
    harness.order("o1", "4711", products=["tea"])
    return harness.at(2 * DAY).add("moka", "web")


@pytest.mark.parametrize("products", [["tea", "cup"], ["tea", "moka"]])
def test_an_order_that_is_told_again_is_no_other_order(products: list[str]) -> None:
    harness = sharing().at(2 * DAY + MINUTE).order("o1", "4711", products=products)
    assert [line.product_id for line in harness.customer("web").cart.lines] == ["moka"]
    assert [each.decision for each in harness.said(CART)] == ["entered"]


def test_an_order_that_has_moved_is_told_of_with_what_it_holds_or_not_at_all() -> None:
    harness = Harness().add("moka", "web").at(HOUR)
    harness.tell("customer.updated", "4711", named=True, email="rosa@example.com")
    harness.order("o1", "4711", products=["tea"])
    harness.order("o1", "4711", products=["tea", "cup"], happened=HOUR - MINUTE)
    harness.tell("customer.updated", "web", named=True, email="rosa@example.com")
    assert [line.product_id for line in harness.customer("web").cart.lines] == ["moka"]


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
@pytest.mark.parametrize("told_of", ["at once", "before it"])
def test_an_order_that_will_not_be_ends_nothing(status: str, told_of: str) -> None:
    harness = sharing().at(2 * DAY + MINUTE)
    if told_of == "before it":
        harness.tell(f"order.{status}", "4711", order_id="o2")
        harness.order("o2", "4711", products=["moka"])
    else:
        harness.order("o2", "4711", products=["moka"], status=status)
    assert [line.product_id for line in harness.customer("web").cart.lines] == ["moka"]
    assert [each.decision for each in harness.said(CART)] == ["entered"]
    harness.tell("customer.updated", "app", named=True, email="rosa@example.com")
    assert not [e for e in harness.told if e.customer == "app" and "elsewhere" in e.type
                and e.time > harness.now - DAY]  # fmt: skip


def test_an_older_order_that_comes_late_is_told_of_as_what_it_is() -> None:
    harness = sharing().at(2 * DAY + HOUR).order("o2", "4711", products=["tea"])
    harness.at(2 * DAY + 2 * HOUR)
    harness.order("o3", "4711", products=["moka"], happened=2 * DAY + MINUTE)
    assert harness.customer("web").cart.lines == []


def test_a_cart_that_is_over_is_not_ended_again() -> None:
    harness = browsing(Harness(), "anna").order("o1", cart_id="c1")
    harness.add("tazza", cart_id="c2").order("o2", "4711", cart_id="c1")
    assert [line.product_id for line in harness.customer().cart.lines] == ["tazza"]


@pytest.mark.parametrize("id_", ["guest", "0", "null", "undefined", "Unknown", "anonymous", "N/A"])
def test_what_stands_for_nobody_links_nobody(id_: str) -> None:
    harness = browsing(Harness(), "v", cart_id=id_)
    checkout(harness, "v", checkout_id=id_)
    harness.order("o1", "4711", cart_id=id_, checkout_id=id_)
    assert harness.customer("v").cart.lines
    assert [each.decision for each in harness.said(CART)] == ["entered"]


@pytest.mark.parametrize("by", ["cart_id", "email"])
def test_what_many_customers_share_is_nobodys_and_stays_so(by: str) -> None:
    shared = {"cart_id": "till-7", "email": "till@example.com"}[by]
    name = of_address(shared, b"") if by == "email" else of_id("cart", shared, "", b"")
    harness = Harness()
    for number in range(MOST_HOLDERS + 1):
        harness.order(f"o{number}", f"c{number}", **{by: shared})
    harness.visitors.add("w")
    browsing(harness, "w", cart_id="till-7")
    checkout(harness, "w", email="till@example.com")
    harness.order("another", "c3", **{by: shared})
    assert harness.customer("w").cart.lines
    kept = link(harness, name)
    assert kept is not None and kept.links.customers_many
    assert kept.links.holders == {}
    assert (
        sum(
            (each.shared_by_many for each in harness.counts),
            start=type(harness.counts[0].shared_by_many)(),
        ).total()
        == 1
    )


def test_visitors_who_type_an_address_unlink_no_customer() -> None:
    harness = Harness().subscribed()
    for number in range(MOST_HOLDERS + 1):
        harness.visitors.add(f"u{number}")
        browsing(harness, f"u{number}", cart_id=f"x{number}")
        checkout(harness, f"u{number}", email="anna@example.com")
    harness.add("moka").at(20 * HOUR)
    harness.order("o1", "4711", email="anna@example.com")
    assert harness.customer().cart.lines == [], "the customers are linked"
    assert harness.customer("u3").cart.lines, "of the visitors none is"


def test_ids_that_are_too_long_together_leave_no_more_than_there_is_room_for() -> None:
    harness = checkout(Harness(), "v", email="rosa@example.com")
    for number in range(14):
        id_ = f"{number:02}" + "z" * 190
        harness.tell("customer.updated", id_, named=True, email="rosa@example.com")
        kept = link(harness, of_address("rosa@example.com", b""))
        assert kept is not None
        assert kept_bytes(kept.links.holders) <= HOLDERS_BYTES
    assert kept.links.customers_many


@pytest.mark.parametrize("addresses", [MOST_ADDRESSES, MOST_ADDRESSES + 1])
def test_a_visitor_who_becomes_nobody_in_particular_leaves_its_links(addresses: int) -> None:
    harness = Harness()
    for number in range(addresses):
        harness.order(f"o{number}", "till-3", email=f"c{number}@example.com")
    checkout(harness, "v", email="rosa@example.com", cart_id="c9")
    checkout(harness, "v", email="rosb@example.com")
    harness.tell("customer.identified", "till-3", anonymous_id="v")
    assert harness.customer("till-3").links.customers_many
    holders = [
        decode_customer(key.decode(), kept).links.holders
        for key, kept in harness.store.items()
        if key.startswith(PREFIX.encode())
    ]
    assert not any(holders)


def test_a_visitor_learns_nothing_but_that_and_when() -> None:
    harness = Harness().subscribed()
    browsing(harness, "v")
    checkout(harness, "v", email="anna@example.com")
    harness.order("o1", products=["moka", "tazza"], email="anna@example.com")
    told = [e for e in harness.told if e.customer == of_visitor("v")]
    assert {event.type for event in told} == {
        "link.shared", "order.placed_elsewhere", "address.told",
    }, "and what was said of the address, without which it would be mailed"  # fmt: skip
    assert not any("anna" in str(vars(event.data)) for event in told)


def test_an_address_that_is_typed_moves_nothing_of_the_customers() -> None:
    harness = Harness().subscribed().add()
    before = harness.customer()
    browsing(harness, "v")
    checkout(harness, "v", email="anna@example.com")
    harness.tell("list.unsubscribed", "v").tell("consent.withdrawn", "v", purpose="marketing")
    after = harness.customer()
    assert (after.profile, after.consents, after.lists) == (
        before.profile,
        before.consents,
        before.lists,
    )
    assert (after.cart, after.suppressed) == (before.cart, "")


def test_who_becomes_a_customer_is_no_other_holder_of_what_was_its_own() -> None:
    harness = browsing(Harness(), "v")
    checkout(harness, "v", email="anna@example.com")
    harness.tell("customer.identified", "anna", anonymous_id="v", email="anna@example.com")
    kept = link(harness, of_address("anna@example.com", b""))
    assert kept is not None
    assert kept.links.holders == {"anna": RANK["account"]}
    harness.order("o1", "4711", cart_id="c1")
    assert harness.customer().cart.lines == []


def test_erasure_reaches_every_link_also_of_an_address_of_before() -> None:
    harness = browsing(Harness().subscribed(), "anna").order("o1", email="gift@example.com")
    harness.tell("customer.updated", email="new@example.com")
    links = [key for key in harness.store if key.startswith(PREFIX.encode())]
    assert len(links) == 5
    harness.tell("customer.erasure_requested")
    for key in links:
        kept = decode_customer(key.decode(), harness.store[key])
        assert kept == Customer(key=key.decode(), applied=kept.applied)


def test_an_address_given_up_without_an_order_is_left() -> None:
    harness = Harness().subscribed().tell("customer.updated", email="new@example.com")
    kept = link(harness, of_address("anna@example.com", b""))
    assert kept is not None and not kept.links.holders


def test_carts_are_forgotten_after_a_month_and_addresses_are_not() -> None:
    harness = browsing(Harness().subscribed(), "anna")
    harness.order("o1", cart_id="c1").at(32 * DAY)
    harness.add("moka", "v", cart_id="c1")
    assert harness.customer("v").cart.lines
    name = of_id("cart", "c1", "", b"")
    kept = link(harness, name)
    assert kept is not None
    assert set(kept.links.holders) == {of_visitor("v")}
    assert "anna" in harness_holders(harness, of_address("anna@example.com", b""))


def harness_holders(harness: Harness, name: str) -> list[str]:
    kept = link(harness, name)
    return [] if kept is None else list(kept.links.holders)
