"""No event fills a record: what gives way when there is too much, and what never does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.workflows.enrollment import RUNS_OF_ONE
from schemas.bounds import RECORD_BYTES, brought_within, kept_bytes
from schemas.customer import Customer
from schemas.customer.consent import EVIDENCE_TOTAL_BYTES, LISTS_KEPT
from schemas.customer.mail import BOUNCES_COUNTED
from schemas.customer.runs import DATED_KEPT, RUNS_TOTAL_BYTES
from schemas.customer.shopping import (
    CART_LINES_KEPT,
    CURRENCIES_KEPT,
    ORDERS_TOTAL_BYTES,
    URL_BYTES,
)
from schemas.reference import of_visitor
from schemas.validation import Unreadable
from schemas.wire import parse_published
from tests.harness import DAY, FILES, HOUR, START, Harness
from tests.workflows.test_enrollment import flow, kept_out

EMOJI = "🦊"
"""One character, four bytes, and twelve in escaped JSON."""


def keeps_to_its_bounds(customer: Customer) -> bool:
    """Whether everything in a record is within what its type says."""
    within = brought_within(customer)
    for name in customer.__struct_fields__:
        assert getattr(within, name) == getattr(customer, name), name
    return True


def longest(number: int) -> str:
    """Return another id of the most bytes that are taken."""
    return f"{number:04}" + EMOJI * 49


def test_three_events_full_of_emoji_were_two_megabytes() -> None:
    harness = Harness()
    text = EMOJI * 200
    products = [
        {"product_id": longest(number), "name": text, "category": text, "brand": EMOJI * 20,
         "url": f"https://{EMOJI * 118}", "price": "1.00"}
        for number in range(100)
    ]  # fmt: skip
    harness.tell(
        "checkout.started", "v1", products=products, step=text, cart_url=f"https://{EMOJI * 2000}"
    )
    harness.tell("order.completed", "v1", order_id="o1", products=products, coupon=text)
    harness.tell("order.completed", "v1", order_id="o2", products=products[:80], carrier=text)
    traits = dict.fromkeys(("name", "first_name", "last_name", "phone", "city", "locale"), text)
    harness.tell("customer.updated", "v1", source=text, **traits)
    assert harness.refusals == []
    customer = harness.customer("v1")
    assert keeps_to_its_bounds(customer)
    assert customer.orders[-1].id == "o2"
    assert customer.orders[-1].lines
    assert customer.statistics.items == 180
    assert customer.profile.name == EMOJI * 50
    assert len(harness.store[of_visitor("v1").encode()]) < RECORD_BYTES // 2


@pytest.mark.parametrize(
    ("type_", "data", "problem"),
    [
        ("product.viewed", {"product_id": EMOJI * 51}, "product_id: 204 bytes, at most 200"),
        ("list.subscribed", {"list": EMOJI * 26}, "list: 104 bytes, at most 100"),
        ("list.subscribed", {"list": "l" * 101}, "list: longer than 100"),
    ],
)  # fmt: skip
def test_what_must_not_be_cut_is_refused_by_its_bytes(
    type_: str, data: dict[str, Any], problem: str
) -> None:
    harness = Harness().tell(type_, **data)
    ((reason, detail),) = harness.refusals
    assert (reason, detail[: len(problem)]) == ("invalid_event", problem)
    assert harness.store == {}


@pytest.mark.parametrize("place", ["id", "subject", "anonymousid"])
def test_ids_of_envelopes_are_measured_in_bytes_too(place: str) -> None:
    event = {"specversion": "1.0", "type": "page.viewed", "id": "1", "subject": "anna"}
    event[place] = EMOJI * 60
    with pytest.raises(Unreadable, match=rf"{place}: 240 bytes, at most 200"):
        parse_published(json.dumps(event))


def test_a_source_has_an_end() -> None:
    harness = Harness().tell("page.viewed", sender="s" * 5000)
    assert harness.refusals[0][1].startswith("ce_source: 5000 bytes, at most 4000")


def test_a_cart_has_a_limit() -> None:
    harness = Harness()
    for number in range(CART_LINES_KEPT + 5):
        harness.add(f"p{number}")
    lines = harness.customer().cart.lines
    assert (len(lines), lines[0].product_id) == (CART_LINES_KEPT, "p5")


def test_a_long_address_is_left_out_and_a_long_name_cut() -> None:
    longest = "https://u.example/".ljust(URL_BYTES, "u")
    harness = Harness().add(url=f"{longest}u", image_url=longest, name="è" * 150)
    (line,) = harness.customer().cart.lines
    assert (line.url, line.image_url, line.name) == ("", longest, "è" * 100)


def test_a_wholesalers_orders_without_end() -> None:
    harness = Harness()
    products = [
        {"product_id": f"{number:0200}", "name": "n" * 1000, "url": "https://" + "u" * 480,
         "category": f"{number}" + "c" * 500, "price": "1.00"}
        for number in range(250)
    ]  # fmt: skip
    for number in range(25):
        harness.at(number).tell("order.completed", order_id=f"o{number}", products=products)
    customer = harness.customer()
    assert customer.statistics.items == 25 * 250
    assert [order.id for order in customer.orders] == ["o24"]
    assert ORDERS_TOTAL_BYTES - 2_000 < kept_bytes(customer.orders) <= ORDERS_TOTAL_BYTES
    assert keeps_to_its_bounds(customer)


def test_a_parcels_longest_links_take_no_more_than_there_is() -> None:
    harness = Harness()
    for number in range(20):
        harness.order(f"o{number}", products=[f"p{n}" for n in range(15)])
    before = [order.id for order in harness.customer().orders]
    assert len(before) == 20
    longest = "https://u.example/".ljust(1000, "u")
    for number in range(20):
        harness.tell("order.shipped", order_id=f"o{number}", tracking_url=longest,
                     order_url=longest[:500], tracking_number="n" * 900)  # fmt: skip
    kept = harness.customer().orders
    assert [order.id for order in kept] == before[-len(kept) :]
    assert kept[-1].tracking_url == longest
    assert keeps_to_its_bounds(harness.customer())


def test_each_code_of_three_letters_is_a_currency() -> None:
    harness = Harness()
    for number in range(40):
        currency = f"{chr(65 + number // 26)}{chr(65 + number % 26)}X"
        harness.order(f"o{number}", currency=currency)
        harness.tell("order.refunded", order_id=f"o{number}", total="1.00", currency=currency)
    customer = harness.customer()
    assert customer.statistics.count == 40
    assert len(customer.statistics.spent) == CURRENCIES_KEPT
    assert keeps_to_its_bounds(customer)


# Lists, consent and what proves them.


def test_a_flood_of_list_names_takes_nothing_away() -> None:
    harness = Harness().tell("list.subscribed", list="news", confirmed=True, id_="proof", mail="m")
    harness.tell("list.unsubscribed", list="offers", id_="objection")
    for number in range(1_100):
        harness.tell("list.subscribed", list=f"{number}" + EMOJI * 20, source=EMOJI * 900)
        harness.tell("list.unsubscribed", list=f"left{number}", wording=EMOJI * 900)
    customer = harness.customer()
    assert customer.lists["news"].subscribed
    assert not customer.lists["offers"].subscribed
    assert len(customer.lists) == LISTS_KEPT
    assert harness.refusals[-1][0] == "too_many_lists"
    proofs = {(each.purpose, each.list, each.event_id) for each in customer.evidence}
    assert {("list", "news", "proof"), ("marketing", "news", "proof")} <= proofs
    assert ("list", "offers", "objection") in proofs
    assert keeps_to_its_bounds(customer)
    assert customer.consented("marketing")


def test_what_still_waits_gives_way_to_another_list() -> None:
    harness = Harness().tell("list.unsubscribed", list="offers")
    for number in range(LISTS_KEPT + 9):
        harness.at(number).tell("list.subscribed", list=f"l{number}")
    kept = harness.customer().lists
    assert len(kept) == LISTS_KEPT
    assert (harness.refusals, kept["offers"].subscribed) == ([], False)
    assert kept.keys() >= {f"l{LISTS_KEPT + 8}", "l10"}
    assert "l9" not in kept


def test_leaving_a_list_that_is_not_known_is_heard_when_no_name_is_kept_any_more() -> None:
    harness = Harness().subscribed()
    for number in range(LISTS_KEPT):
        harness.tell("list.subscribed", list=f"l{number}")
    harness.at(HOUR).tell("list.unsubscribed", list="another")
    customer = harness.customer()
    assert customer.left_list == harness.now
    assert customer.evidence[-1].list == "another"
    for number in range(LISTS_KEPT):
        harness.tell("list.unsubscribed", list=f"l{number}")
    assert not harness.customer().consented("marketing")


def test_a_proof_survives_whoever_says_yes_and_no_without_end() -> None:
    harness = Harness().tell("consent.given", purpose="profiling", id_="yes", wording="w" * 100)
    harness.tell("consent.withdrawn", purpose="profiling", id_="no")
    for number in range(600):
        harness.at(number * 2 * HOUR)
        for purpose in ("marketing", "tracking"):
            kind = "given" if number % 2 else "withdrawn"
            harness.tell(f"consent.{kind}", purpose=purpose, source=EMOJI * 99, wording=EMOJI * 99,
                         mail=EMOJI * 49, ip=EMOJI * 20)  # fmt: skip
        kind = "subscribed" if number % 2 else "unsubscribed"
        harness.tell(f"list.{kind}", list="news", source=EMOJI * 99, wording=EMOJI * 99)
    evidence = harness.customer().evidence
    assert {"yes", "no"} <= {each.event_id for each in evidence}
    assert EVIDENCE_TOTAL_BYTES - 1_000 < kept_bytes(evidence) <= EVIDENCE_TOTAL_BYTES
    assert [each.time for each in evidence] == sorted(each.time for each in evidence)


def test_the_same_words_again_on_a_page_prove_nothing_new() -> None:
    harness = Harness()
    said = {"list": "news", "source": "preferences_page", "mail": "m1", "wording": "w1"}
    for second in range(0, 2 * HOUR, 60):
        harness.at(second).tell("list.subscribed", **said)
    assert [each.time - START for each in harness.customer().evidence] == [0, 3_660_000]
    harness.tell("list.subscribed", **said | {"mail": "m2"})
    assert len(harness.customer().evidence) == 3
    harness.tell("list.unsubscribed", **said)
    assert not harness.customer().evidence[-1].given


# Runs, and what is remembered of them.


def test_runs_end_where_their_room_does() -> None:
    harness = Harness.of(flow(steps="[{id: rest, wait: 1h, if: {event.topic: {is: x}}}]"))
    for number in range(RUNS_OF_ONE + 3):
        harness.tell("support.requested", order_id=longest(number), topic=EMOJI * 900)
    customer = harness.customer()
    assert 50 < len(customer.runs) < RUNS_OF_ONE
    assert kept_bytes(customer.runs) <= RUNS_TOTAL_BYTES
    assert "too_many_runs" in kept_out(harness)
    assert keeps_to_its_bounds(customer)


def test_soft_bounces_without_end() -> None:
    harness = Harness().subscribed()
    for _ in range(BOUNCES_COUNTED + 9):
        harness.tell("mail.bounced", code=452, kind="soft", reason="full")
    assert len(harness.customer().bounces.digests) == 8 * BOUNCES_COUNTED


def test_dates_are_remembered_for_so_many_workflows() -> None:
    texts = [
        flow(id=f"d{number}", trigger="{date: profile.birthday, at: '09:00'}",
             entry="{once_per: event}")
        for number in range(DATED_KEPT + 30)
    ]  # fmt: skip
    harness = Harness.of(*texts).tell("customer.updated", birthday="1990-03-03")
    assert keeps_to_its_bounds(harness.customer())
    harness.at(2 * DAY)
    assert keeps_to_its_bounds(harness.customer())


def test_a_number_that_no_record_can_keep_is_not_one() -> None:
    fields = """
definition: fields
fields:
  - {id: size, type: number}
"""
    harness = Harness.of(
        fields,
        flow(trigger="customer.updated", steps="[{id: rest, wait: 1h, if: {event.size: {is: 1}}}]"),
    )
    harness.tell("customer.updated", size=10**30)
    assert harness.customer().fields == {"size": 1e30}
    harness.tell("customer.updated", size=10**400)
    assert harness.customer().fields == {"size": 1e30}
    assert harness.counts[-1].refused_fields == {"size": 1}
    harness.tell("customer.updated", size="1e999")
    assert harness.customer().fields == {"size": 1e30}


# Merges.


@pytest.mark.parametrize("shipped", [True, False])
def test_a_customer_made_of_many_full_visitors(shipped: bool) -> None:
    harness = Harness(FILES if shipped else {})
    for visitor in range(6):
        id_ = longest(visitor)
        harness.visitors.add(id_)
        for number in range(60):
            product = f"{visitor}-{number}" + EMOJI * 45
            harness.tell("product.viewed", id_, product_id=product, category=EMOJI * 900)
            harness.add(product, id_, name=EMOJI * 900, url=EMOJI * 120)
            harness.tell("list.subscribed", id_, list=f"{visitor}-{number}", source=EMOJI * 900)
        harness.order(f"o{visitor}", id_, products=[f"{visitor}-{n}" for n in range(90)])
        harness.at(visitor * DAY).tell("customer.identified", "anna", anonymous_id=id_)
    customer = harness.customer()
    assert customer.statistics.count == 6
    assert len(customer.visitors) == 6
    assert keeps_to_its_bounds(customer)
    assert {reason for reason, _ in harness.refusals} <= {"too_many_lists"}


def test_ten_thousand_posts_to_a_page_leave_a_record_as_it_was() -> None:
    harness = Harness().tell("list.subscribed", list="news", confirmed=True)
    said = {"source": "preferences_page", "mail": "m1", "wording": "w1"}
    sizes = []
    for number in range(10_000):
        on = "subscribed" if number % 2 else "unsubscribed"
        harness.tell(
            f"list.{on}", id_=f"post{number}", sender="/ritorno/public", list="news", **said
        )
        if number % 1_000 == 200:
            sizes.append(len(harness.store[b"anna"]))
    harness.tell("page.viewed").order("o1")
    assert harness.refusals == []
    assert max(sizes) - min(sizes) < 10
    assert sum(map(len, harness.customer().memory.values())) < 100
    assert harness.customer().statistics.count == 1
