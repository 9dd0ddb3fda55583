"""An event that comes again: known by source and id, for a span of time and never for a count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from agents import digests
from agents.customer.tracking import SOURCE as PAGES
from agents.definitions.settings import REMEMBERED_MS, DeduplicationRules, Sources
from schemas.customer import (
    MEMORY_BYTES,
    ORDER_IDS_BYTES,
    Customer,
    decode_customer,
    encode_customer,
)
from schemas.records import OutRecord
from schemas.stored import FORMAT, HEAD_SIZE, pack
from schemas.time_units import DAY_MS
from streams.tools.replay import replay_file
from tests.harness import DAY, FILES, HOUR, MINUTE, START, Harness
from tests.tools.replay.test_replay_file import LIVE

WEEK = 7 * DAY


def world_with(shops: Mapping[str, str] | None = None, remembered: int = REMEMBERED_MS) -> Harness:
    harness = Harness()
    harness.definitions.deduplication_rules = DeduplicationRules(remembered, Sources(shops or {}))
    return harness


def look(harness: Harness, *numbers: int, sender: str = "/shop", customer: str = "anna") -> Harness:
    for number in numbers:
        harness.tell("product.viewed", customer, id_=f"v{number}", sender=sender, product_id="p")
    return harness


def replayed(lines: list[dict[str, object]]) -> Customer:
    content = [json.dumps(line).encode() for line in lines]
    definitions = Harness().definitions
    outcome = replay_file(content, until=START + 30 * DAY_MS, definitions=definitions, live=LIVE)
    assert outcome.refusals == []
    return decode_customer("rosa", outcome.customers["rosa"])


def test_two_sources_may_count_alike() -> None:
    """An order was lost because a cart's event had the same id."""
    told = [
        ("1001", "/shop/carts", "cart.product_added", "10:00:00",
         {"cart_id": "c1", "product_id": "moka", "name": "Moka", "price": "34.90"}),
        ("c-1", "/shop/accounts", "customer.created", "10:00:01", {"email": "rosa@example.com"}),
        ("c-2", "/shop/accounts", "consent.given", "10:00:02", {"purpose": "marketing"}),
        ("1001", "/shop/orders", "order.completed", "10:30:00",
         {"order_id": "1001", "cart_id": "c1", "total": "34.90",
          "products": [{"product_id": "moka", "name": "Moka", "price": "34.90"}]}),
    ]  # fmt: skip
    rosa = replayed([
        {"specversion": "1.0", "id": id_, "source": source, "type": type_, "subject": "rosa",
         "time": f"2026-03-02T{time}Z", "data": data}
        for id_, source, type_, time, data in told
    ])  # fmt: skip
    assert rosa.statistics.count == 1
    assert rosa.cart.lines == []


def test_64_others_later_it_is_still_known() -> None:
    def track(event: str, id_: str, time: str, **properties: object) -> dict[str, object]:
        return {"type": "track", "event": event, "messageId": id_, "userId": "rosa",
                "timestamp": f"2026-03-02T{time}Z", "properties": properties}  # fmt: skip

    events = [
        track("Product Added", "m0", "10:00:00", product_id="p0", price="1.00", quantity=1),
        *(track("Product Viewed", f"v{n}", f"11:{n // 60:02}:{n % 60:02}", product_id=f"p{n}")
          for n in range(64)),
    ]  # fmt: skip
    rosa = replayed(events + events)
    assert rosa.views == 64
    assert [(line.product_id, line.quantity) for line in rosa.cart.lines] == [("p0", 1)]
    assert rosa.engagement.value == replayed(events).engagement.value


@pytest.mark.parametrize("others", [0, 63, 64, 1_000])
def test_it_is_known_whatever_came_in_between(others: int) -> None:
    harness = look(Harness(), *range(others + 1))
    look(harness.at(HOUR), *range(others + 1))
    assert harness.customer().views == others + 1


def test_it_is_known_for_the_span_and_not_for_much_longer() -> None:
    harness = look(Harness(), 1)
    look(harness.at(WEEK - MINUTE), 1)
    assert harness.customer().views == 1
    look(harness.at(8 * DAY + 14 * HOUR), 1)
    assert harness.customer().views == 2


@pytest.mark.parametrize("days", [1, 3, 30])
def test_the_span_can_be_set(days: int) -> None:
    harness = look(world_with(remembered=days * DAY_MS), 1)
    look(harness.at(days * DAY - 1), 1)
    assert harness.customer().views == 1
    look(harness.at((days + 2) * DAY), 1)
    assert harness.customer().views == 2


def test_what_is_too_old_is_let_go() -> None:
    harness = Harness()
    for day in range(40):
        look(harness.at(day * DAY), day)
        assert len(harness.customer().memory) <= 8
    assert sum(map(len, harness.customer().memory.values())) == 8 * 8


def test_whether_it_is_still_known_does_not_depend_on_when_the_page_was_turned() -> None:
    """A repetition alone turns no page, so two customers may differ in what they still keep."""
    quiet, busy = look(Harness(), 1), look(Harness(), 1)
    for day in range(1, 12):
        look(quiet.at(day * DAY), 1)
        look(busy.at(day * DAY), 1, 100 + day)
        assert quiet.customer().views == busy.customer().views - day


def test_another_source_is_another_event() -> None:
    harness = look(Harness(), 1, sender="/shop")
    look(harness, 1, sender="/app")
    assert harness.customer().views == 2


def test_a_shops_sources_can_be_one() -> None:
    harness = world_with({"/segment": "shop", "/shop/": "shop"})
    look(harness, 1, sender="/segment")
    look(harness, 1, sender="/shop/events")
    look(harness, 1, sender="/elsewhere")
    assert harness.customer().views == 2


def test_an_order_counts_once_on_whichever_way_it_comes() -> None:
    harness = Harness().tell("order.completed", order_id="o1", total="10", sender="/segment")
    harness.tell("order.completed", order_id="o1", total="10", sender="/shop/orders")
    assert harness.customer().statistics.count == 1


def test_several_shops_have_order_numbers_of_their_own() -> None:
    harness = world_with({"/it/": "it", "/de/": "de", "/segment-it": "it"})
    for sender in ("/it/orders", "/segment-it", "/de/orders", "/it/orders"):
        harness.tell("order.completed", order_id="1001", total="10", sender=sender)
    assert harness.customer().statistics.count == 2
    harness.tell("order.shipped", order_id="1001", sender="/de/orders")
    assert {o.shop: o.status for o in harness.customer().orders} == {
        "de": "shipped", "it": "completed"
    }  # fmt: skip
    harness.tell("order.cancelled", order_id="1001", sender="/it/orders")
    assert {o.shop: o.status for o in harness.customer().orders} == {
        "de": "shipped", "it": "cancelled"
    }  # fmt: skip


SHIPPED = """
id: w90-shipped
title: {it: x}
trigger: {on: order.shipped}
entry: {once_per: order}
steps:
  - id: how
    branch: [{if: {order.total: {at_least: 50}}, steps: [{id: a, tag: dear}]}]
    else: [{id: b, tag: cheap}]
  - {id: arrived, wait: {event: order.delivered, timeout: 20d}}
"""


def two_shops() -> Harness:
    harness = Harness.of(SHIPPED)
    harness.definitions.deduplication_rules = DeduplicationRules(
        sources=Sources({"/it/": "it", "/de/": "de"})
    )
    return harness


def of_orders(harness: Harness) -> list[tuple[str, str]]:
    return sorted((run.shop, run.order_id) for run in harness.customer().runs)


def test_conversations_are_about_a_shop_s_order() -> None:
    """Two shops' order 1001 are two, and what becomes of one is no news of the other."""
    harness = two_shops()
    for sender, total in (("/it/", "10"), ("/de/", "90")):
        harness.tell("order.completed", order_id="1001", total=total, sender=sender)
    for sender in ("/it/", "/de/", "/it/", "/de/"):
        harness.tell("order.shipped", order_id="1001", sender=sender)
    assert of_orders(harness) == [("de", "1001"), ("it", "1001")]
    assert set(harness.customer().tags) == {"dear", "cheap"}
    harness.at(DAY).tell("order.delivered", order_id="1001", sender="/de/")
    assert of_orders(harness) == [("it", "1001")]
    harness.tell("order.shipped", order_id="1001", sender="/de/")
    assert of_orders(harness) == [("it", "1001")]


def test_conversations_from_before_the_shops_were_told_apart_go_on() -> None:
    harness = Harness.of(SHIPPED)
    for number in ("1001", "1002"):
        harness.tell("order.shipped", order_id=number, sender="/it/")
    harness.tell("order.delivered", order_id="1002", sender="/it/")
    harness.definitions.deduplication_rules = DeduplicationRules(
        sources=Sources({"/it/": "it", "/de/": "de"})
    )
    for number in ("1001", "1002", "1003"):
        harness.tell("order.shipped", order_id=number, sender="/it/")
    assert of_orders(harness) == [("", "1001"), ("it", "1003")]
    harness.tell("order.delivered", order_id="1001", sender="/it/")
    assert of_orders(harness) == [("it", "1003")]


def test_a_visitors_order_of_another_shop_is_another_order() -> None:
    harness = world_with({"/it/": "it", "/de/": "de"})
    harness.tell("order.completed", "v", order_id="1001", total="10", sender="/de/orders")
    harness.tell("order.completed", order_id="1001", total="10", sender="/it/orders")
    harness.tell("customer.identified", anonymous_id="v")
    assert harness.customer().statistics.count == 2


def test_orders_from_before_the_shops_were_told_apart_stay_counted() -> None:
    harness = Harness().tell("order.completed", order_id="1001", total="10", sender="/it/orders")
    harness.definitions.deduplication_rules = DeduplicationRules(
        sources=Sources({"/it/": "it", "/de/": "de"})
    )
    harness.tell("order.completed", order_id="1001", total="10", sender="/it/orders")
    harness.tell("order.shipped", order_id="1001", sender="/it/orders")
    assert harness.customer().statistics.count == 1
    assert harness.customer().orders[0].status == "shipped"


ANSWERED = """
id: w90-answered
title: {it: x}
trigger: {on: survey.answered}
entry: {once_per: event}
steps:
  - {id: note, tag: asked}
"""


def answer(harness: Harness, id_: str) -> Harness:
    data = {"survey": "s", "question": "q", "answer": "yes"}
    return harness.tell("survey.answered", id_=id_, sender=PAGES, **data)


def test_what_our_pages_say_counts_once() -> None:
    harness = Harness.of(ANSWERED).tell("consent.given", purpose="tracking")
    for id_ in ("a1", "a1", "a2", "a1"):
        answer(harness, id_)
    assert len([s for s in harness.said("w90-answered") if s.decision == "entered"]) == 2


def test_who_clicks_ten_thousand_times_keeps_no_producer_out() -> None:
    harness = Harness.of(ANSWERED)
    for number in range(10_000):
        answer(harness, f"a{number}")
    assert sum(map(len, harness.customer().memory.values())) <= MEMORY_BYTES // 2
    assert look(harness, 1).customer().views == 1
    assert harness.counts[-1].refused == {}


def test_the_longest_prefix_counts() -> None:
    sources = Sources({"/": "all", "/shop/de": "de"})
    assert [sources.of(s) for s in ("/shop/de/x", "/shop/it", "urn:x")] == ["de", "all", "urn:x"]
    assert [sources.shop(s) for s in ("/shop/de/x", "/shop/it", "urn:x")] == ["de", "all", ""]
    alone = Sources({"/": "all"})
    assert (alone.of("/x"), alone.shop("/x")) == ("all", ""), "one shop, however it is called"


def from_before(customer: Customer) -> bytes:
    """Return a record as release 0.1 has left it."""
    stored = encode_customer(customer)
    assert stored[HEAD_SIZE] == FORMAT
    return stored[:HEAD_SIZE] + stored[HEAD_SIZE + 1 :]


def test_ids_that_release_0_1_has_left_are_known_until_they_are_as_old_as_the_span() -> None:
    """It knew no source, so it is known from whichever it comes."""
    seen = b"".join(digests.digest(f"v{n}") for n in range(64))
    old = Customer(key="anna", applied=-1, seen=seen, views=64, first_seen=START)
    harness = Harness()
    harness.store[b"anna"] = from_before(old)
    look(harness, *range(64), sender="/app")
    assert harness.customer().views == 64
    look(harness.at(HOUR), 100)
    assert harness.customer().seen == b"", "they have a day now"
    look(harness.at(WEEK), *range(64), sender="/anything")
    assert harness.customer().views == 65
    look(harness.at(WEEK + 2 * DAY), 3, 101)
    assert harness.customer().views == 67
    assert all(key >= 0 for key in harness.customer().memory)


def fill(harness: Harness, count: int) -> None:
    """Let the customer have had so many events, without telling each."""
    look(harness, 0)
    kept = harness.customer()
    today = max(kept.memory)
    kept.memory = {today: b"".join(digests.digest(f"/shop\0old {n}") for n in range(count))}
    harness.store[b"anna"] = encode_customer(kept)
    harness.build()


FULL = (MEMORY_BYTES - 33 * 16) // 8


def test_who_fills_the_room_is_refused_and_nothing_is_forgotten() -> None:
    harness = Harness()
    fill(harness, FULL - 512)
    before = harness.customer()
    look(harness, 1)
    assert harness.refusals == [
        ("memory_full", f"{FULL - 512} events of this customer are remembered, and no more fit")
    ]
    assert harness.counts[-1].refused["memory_full"] == 1
    assert harness.customer().views == before.views
    harness.tell("product.viewed", id_="old 0", product_id="p")
    assert len(harness.refusals) == 1, "what is known is a repetition still"
    look(harness.at(9 * DAY), 2)
    assert harness.customer().views == before.views + 1, "there is room when they are too old"


def test_what_our_mailer_says_has_room_of_its_own() -> None:
    harness = Harness()
    later: dict[str, Any] = {"command_id": "c", "attempt": 1, "reason": "greylisted"}
    fill(harness, FULL - 512)
    for number in range(512):
        harness.tell("mail.deferred", id_=f"m{number}", sender="/ritorno/mailer", **later)
    assert harness.refusals == []
    harness.tell("mail.deferred", id_="m512", sender="/ritorno/mailer", **later)
    assert [reason for reason, _ in harness.refusals] == ["memory_full"]


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("consent.withdrawn", {"purpose": "marketing"}),
        ("list.unsubscribed", {"list": "news"}),
        ("order.completed", {"order_id": "o1", "total": "5"}),
        ("customer.erasure_requested", {}),
    ],
)
def test_what_must_not_be_lost_is_heard_all_the_same(type_: str, data: dict[str, str]) -> None:
    harness = Harness()
    fill(harness, FULL)
    harness.tell(type_, **data)
    assert harness.refusals == []
    assert len(encode_customer(harness.customer())) < MEMORY_BYTES + 4_000
    harness.tell("order.completed", order_id="o1", total="5", id_="another")
    assert harness.customer().statistics.count == 1


def test_orders_are_remembered_for_ever_and_refused_when_no_more_fit() -> None:
    harness = Harness()
    many = ORDER_IDS_BYTES // 8 - 1
    ids = b"".join(digests.digest(f"order:o{n}") for n in range(many))
    harness.store[b"anna"] = encode_customer(Customer(key="anna", order_ids=ids, first_seen=START))
    harness.tell("order.completed", order_id="last", total="5")
    harness.tell("order.completed", order_id="one more", total="5")
    harness.tell("order.refunded", order_id="last", total="5")
    assert [reason for reason, _ in harness.refusals] == ["orders_full", "orders_full"]
    assert f"{many + 1} orders" in harness.refusals[0][1]
    harness.at(400 * DAY).tell("order.completed", order_id="o0", total="5")
    assert harness.customer().statistics.count == 1
    assert len(harness.refusals) == 2


def test_a_merge_that_brings_more_orders_than_fit_is_refused_whole() -> None:
    harness = Harness()
    half = ORDER_IDS_BYTES // 8 // 2 + 1
    for name in ("anna", "v"):
        ids = b"".join(digests.digest(f"order:{name}{n}") for n in range(half))
        harness.store[name.encode()] = encode_customer(
            Customer(key=name, order_ids=ids, first_seen=START, views=1, heard=START // DAY)
        )
    harness.tell("customer.identified", anonymous_id="v")
    assert [reason for reason, _ in harness.refusals] == ["orders_full"]
    assert (harness.customer().views, len(harness.customer().order_ids)) == (1, half * 8)


def test_a_workflow_that_begins_once_an_order_does_not_begin_when_that_can_not_be_kept() -> None:
    harness = Harness(FILES)
    ids = bytes(ORDER_IDS_BYTES)
    harness.store[b"anna"] = encode_customer(Customer(key="anna", order_ids=ids, first_seen=START))
    harness.tell("order.shipped", order_id="o1")
    assert harness.refusals == []


def test_what_actors_tell_each_other_takes_no_room() -> None:
    harness = Harness().tell("product.viewed", "v", product_id="p")
    harness.tell("customer.identified", "v", customer_id="anna")
    assert sum(map(len, harness.customer().memory.values())) <= 8, "the news about its traits"
    harness.tell("product.viewed", "v", id_="later", product_id="p")
    before = harness.customer().views
    harness.tell("product.viewed", "anna", id_="later", product_id="p")
    assert harness.customer().views == before, "what was forwarded is known by its own id, too"


def test_it_costs_eight_bytes_an_event() -> None:
    harness = look(Harness(), *range(100))
    before = len(harness.store[b"anna"])
    look(harness, *range(100, 200))
    assert len(harness.store[b"anna"]) - before <= 100 * 8 + 4


def test_a_grave_has_no_memory() -> None:
    harness = look(Harness(), 1, 2, 3).tell("customer.erasure_requested")
    assert harness.store[b"anna"] == pack(harness.customer().applied, 2**63 - 1, b"")


SUPPORT = """
id: w30-asked
title: {it: Domanda}
trigger: support.requested
entry: {once_per: event}
steps:
  - {id: wait, wait: 20d, tag: asked}
"""


def test_events_that_two_sources_call_alike_begin_a_run_each() -> None:
    harness = Harness.of(SUPPORT)
    for minute, sender in enumerate(("/desk", "/chat", "/desk")):
        harness.at(minute * MINUTE).tell("support.requested", id_="1", sender=sender)
    assert len(harness.customer().runs) == 2


def test_an_event_that_nobody_remembers_any_more_begins_no_second_run() -> None:
    harness = Harness.of(SUPPORT)
    for day in (0, 10):
        harness.at(day * DAY).tell("support.requested", id_="1", happened=0)
    assert len(harness.customer().runs) == 1


def test_what_release_0_1_has_told_is_known_when_it_is_told_again_with_an_origin() -> None:
    """It was killed between the effects and the state, and a worker of this release took over."""
    harness = Harness().tell("product.viewed", "v", product_id="p")
    harness.tell("customer.identified", "v", customer_id="anna")
    (merge,) = [r for r in harness.records if r.header("ce_type") == b"visitor.merged"]
    again = Harness()
    plain = [(name, value) for name, value in merge.headers if not name.startswith("ritorno_")]
    for headers in (plain, merge.headers):
        again.append(OutRecord(merge.key, merge.value, tuple(headers)))
    assert again.refusals == []
    assert again.customer().views == 1
