"""The demo's story is a story: the same for a seed, in order, and understood by the machine."""

from collections import Counter

import pytest

from schemas.records import Record
from schemas.topics import CUSTOMER_EVENTS, PRODUCTS
from schemas.wire import parse_published, parse_record
from streams.tools.demo.calls import CALLS_AT_ONCE, Sender, SentCall, postings
from streams.tools.demo.catalogue import ARTICLES
from streams.tools.demo.driver_events import DriverEvent, NoTime, recorded
from streams.tools.demo.shop import START, scenario
from streams.tools.publisher import NumberedLine
from tests.tools.demo.told import recorded as records_of

DAY_MS = 86_400_000


def as_record(happened: DriverEvent) -> Record:
    return Record(CUSTOMER_EVENTS, 0, 0, happened.time, *happened.record)


def test_a_seed_is_a_story() -> None:
    assert scenario(3, 10) == scenario(3, 10)
    assert scenario(3, 10) != scenario(4, 10)


def test_it_is_told_in_order_and_has_everything_that_workflows_wait_for() -> None:
    told = scenario(1, 35)
    times = [happened.time for happened in told]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + 35 * DAY_MS
    calls = [each for each in told if isinstance(each, SentCall)]
    assert len(told) - len(calls) > len(ARTICLES)  # the feed, and some of it changes
    assert sum(each.sender is Sender.PLUGIN for each in calls) == 3
    events, late = Counter[str](), 0
    ids = Counter[str]()
    for number, (time, record) in enumerate(records_of(told)):
        event = parse_record(Record(CUSTOMER_EVENTS, 0, number, time, *record))
        events[event.type] += 1
        ids[event.id] += 1
        assert (event.time or 0) <= time
        late += not event.backfill and time - (event.time or 0) > 3_600_000
    assert late > 5
    assert max(ids.values()) == 2  # some come twice
    assert set(events) >= {
        "product.viewed", "cart.product_added", "cart.product_removed", "checkout.started",
        "order.completed", "order.shipped", "order.delivered", "order.cancelled",
        "order.refunded", "product.reviewed", "list.subscribed", "list.unsubscribed",
        "consent.given", "customer.identified", "wishlist.added", "support.requested",
        "call.logged", "deal.stage_changed", "survey.answered",
    }  # fmt: skip


def sent(sender: Sender, person: str, id_: str) -> SentCall:
    return SentCall(START, sender, person, {"messageId": id_})


def test_what_is_said_of_a_person_keeps_its_order_whichever_system_says_it() -> None:
    pages, server = Sender.PAGES, Sender.SERVER
    calls = [
        sent(pages, "anna", "a1"), sent(server, "luca", "l1"), sent(pages, "anna", "a2"),
        sent(server, "anna", "a3"), sent(pages, "luca", "l2"), sent(pages, "anna", "a4"),
    ]  # fmt: skip
    together = [
        [(each.sender, [call["messageId"] for call in each.calls if isinstance(call, dict)])
         for each in postings_of]
        for postings_of in postings(calls)
    ]  # fmt: skip
    assert together == [
        [(pages, ["a1", "a2"])],  # each browser its own
        [(server, ["l1", "a3"])],  # the server everybody's
        [(pages, ["l2"]), (pages, ["a4"])],
    ]


def test_a_server_sends_so_many_at_once_and_the_plug_in_each_alone() -> None:
    many = [sent(Sender.IMPORT, "anna", f"{n}") for n in range(CALLS_AT_ONCE + 1)]
    [history] = postings(many)
    assert [len(each.calls) for each in history] == [CALLS_AT_ONCE, 1]
    [mistakes] = postings([sent(Sender.PLUGIN, "", "1"), sent(Sender.PLUGIN, "", "2")])
    assert [len(each.calls) for each in mistakes] == [1, 1]


def line(number: int, time: str = "") -> NumberedLine:
    stamp = f'"time": "{time}", ' if time else ""
    return NumberedLine(
        number,
        f'{{"specversion": "1.0", "id": "{number}", {stamp}"type": "page.viewed", '
        '"subject": "c", "data": {}}'.encode(),
    )


def test_a_recorded_log_is_played_as_it_came() -> None:
    lines = [
        NumberedLine(1, b"{broken"),
        line(2, "2026-03-01T10:00:00Z"),
        line(3, "2026-03-01T09:00:00Z"),
        line(4),
    ]
    played = list(recorded(lines))
    assert [happened.topic for happened in played] == ["dead-letters"] + ["customer-events"] * 3
    assert len({happened.time for happened in played}) == 1
    late = parse_record(as_record(played[2]))
    assert late.time == parse_published(lines[2].content).time


def test_a_products_line_in_it_is_news_of_the_feed() -> None:
    product = b'{"type": "product.updated", "data": {"sku": "M1", "name": "Moka", "price": "30"}}'
    (_, told) = recorded([line(1, "2026-03-01T10:00:00Z"), NumberedLine(2, product)])
    assert (told.topic, told.record.key) == (PRODUCTS, b"M1")


def test_a_recorded_log_needs_a_time_to_begin_with() -> None:
    with pytest.raises(NoTime, match="line 1"):
        list(recorded([line(1)]))
