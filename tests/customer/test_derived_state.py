"""Segments, tags that end, dates and silences: true at the very moment, with nobody asking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer import derived_state
from agents.rules.evaluation import EvaluationContext
from schemas.signals import SegmentChanged
from tests.examples import examples
from tests.harness import DAY, HOUR, Harness
from tests.products.test_products import files

SEGMENTS = """
id: segments
definition: segments
segments:
  - {id: vip, if: {orders.spent: {at_least: 100}}}
  - {id: sleepers, if: {orders.last: {longer_ago_than: 60d}}}
  - {id: tagged, if: {tags: {contains: lead}}}
  - {id: both, if: {segments: {contains: vip}, tags: {contains: lead}}}
"""


def workflow(id_: str, trigger: str, step: str = "send: birthday, kind: informative") -> str:
    return (
        f"id: {id_}\ntitle: {{it: x}}\ntrigger: {trigger}\nentry: {{once_per: event}}\n"
        f"steps: [{{id: go, {step}}}]\n"
    )


def moves(harness: Harness) -> list[tuple[str, str]]:
    found = (e.content for e in harness.effects if isinstance(e.content, SegmentChanged))
    return [(each.segment, each.change) for each in found]


def test_a_segment_is_entered_and_left_in_the_state_change_that_makes_it_so() -> None:
    harness = Harness(files(SEGMENTS, workflow("w24-vip", "{segment: vip}"))).subscribed()
    harness.order("o1", total="99.00")
    assert moves(harness) == []
    harness.order("o2", total="1.00")
    assert moves(harness) == [("vip", "entered")]
    assert [mail.step for mail in harness.mails] == ["go"]
    harness.tell("order.refunded", order_id="o1")
    assert harness.customer().segments in ([], ["vip"])


def test_time_alone_moves_a_customer_too_at_that_instant() -> None:
    harness = Harness(files(SEGMENTS, workflow("w20-sleepers", "{segment: sleepers}"))).subscribed()
    harness.order("o1").at(59 * DAY)
    assert harness.mails == []
    harness.at(61 * DAY)
    assert [round(mail.at / DAY, 3) for mail in harness.mails] == [60]
    harness.order("o2")
    assert moves(harness) == [("sleepers", "entered"), ("sleepers", "left")]


def test_a_step_moves_segments_and_one_asks_for_another() -> None:
    tag = workflow("w27-tag", "order.completed", "tag: lead, lasts: 2d")
    harness = Harness(files(SEGMENTS, tag)).subscribed().order("o1", total="120.00")
    assert harness.customer().segments == ["both", "tagged", "vip"]
    harness.at(3 * DAY)
    assert harness.customer().segments == ["vip"]


def test_a_tag_that_ends_is_an_occurrence() -> None:
    tag = workflow("w33-active", "order.completed", "tag: active, lasts: 2d")
    gone = workflow("w33-inactive", "{tag: active, when: removed}", "tag: inactive")
    harness = (
        Harness(files(tag, gone)).subscribed().order("o1").at(DAY).order("o2").at(2 * DAY + HOUR)
    )
    assert sorted(harness.customer().tags) == ["active"]
    harness.at(3 * DAY)
    assert sorted(harness.customer().tags) == ["inactive"]


@pytest.mark.parametrize(
    ("birthday", "days"),
    [("1990-03-05", [3]), ("--03-05", [3]), ("05/03/1990", [3]), ("1990-03-01", [364]),
     ("2000-02-29", [363]), ("no date", [])],
)  # fmt: skip
def test_a_birthday_comes_at_nine_where_the_customer_lives(birthday: str, days: list[int]) -> None:
    harness = Harness(files(workflow("w25-birthday", '{date: profile.birthday, at: "09:00"}')))
    harness.subscribed().tell("customer.updated", birthday=birthday, zone="Europe/Rome")
    harness.at(365 * DAY)
    # The world begins on a Monday, 2 March 2026, at 11:00 in Rome.
    assert [(mail.at + 2 * HOUR) / DAY for mail in harness.mails] == days


def test_it_comes_every_year_and_moves_with_the_customer() -> None:
    harness = Harness(files(workflow("w25-birthday", "{date: profile.birthday}")))
    harness.subscribed().tell("customer.updated", birthday="1990-03-05", zone="America/New_York")
    harness.at(2 * 366 * DAY)
    assert [round((mail.at - 4 * HOUR) / DAY, 6) for mail in harness.mails] == [3, 368]


def test_a_sign_up_is_no_anniversary_of_itself() -> None:
    harness = Harness(files(workflow("w25-anniversary", "{date: lists.joined}")))
    harness.tell("list.subscribed", email="a@example.com", confirmed=True).at(300 * DAY)
    assert harness.mails == []
    harness.at(366 * DAY)
    assert len(harness.mails) == 1


def test_silence_is_counted_from_the_last_order_and_begins_once() -> None:
    harness = Harness(files(workflow("w20-win-back", "{inactive: orders, for: 60d}"))).subscribed()
    harness.order("o1").at(50 * DAY).order("o2").at(109 * DAY)
    assert harness.mails == []
    harness.at(400 * DAY)
    assert [mail.at for mail in harness.mails] == [110 * DAY]


def test_an_interaction_breaks_the_silence() -> None:
    harness = Harness(
        files(workflow("w21-sunset", "{inactive: interactions, for: 90d}"))
    ).subscribed()
    harness.at(80 * DAY).tell("product.viewed", product_id="moka").at(169 * DAY)
    assert harness.mails == []
    harness.at(171 * DAY)
    assert [mail.at for mail in harness.mails] == [170 * DAY]


def test_a_score_that_fades_below_a_threshold_is_noticed() -> None:
    scores = """
id: engagement
definition: scoring
half_life: 10d
points: {order.completed: 10}
bands: [{name: cold, from: 0}]
"""
    harness = Harness(files(scores, workflow("w21-cold", "{score: engagement, below: 5}")))
    harness.subscribed().order("o1").at(9 * DAY)
    assert harness.mails == []
    harness.at(11 * DAY)
    assert [round(mail.at / DAY, 2) for mail in harness.mails] == [10]


def test_a_new_definition_counts_from_the_next_event() -> None:
    harness = Harness(files(SEGMENTS.replace("at_least: 100", "at_least: 500"))).subscribed()
    harness.order("o1", total="120.00")
    version = harness.publish(files(SEGMENTS)["segments"])
    harness.activate({"segments": version})
    assert harness.customer().segments == []
    harness.tell("page.viewed")
    assert harness.customer().segments == ["vip"]


def test_history_moves_segments_and_mails_nobody() -> None:
    harness = Harness(files(SEGMENTS, workflow("w24-vip", "{segment: vip}"))).subscribed()
    harness.order("o1", total="120.00", backfill=True)
    assert harness.customer().segments == ["vip"]
    assert harness.mails == []


EVENTS = st.sampled_from(
    [("order.completed", {"total": "60.00"}), ("order.refunded", {}), ("page.viewed", {}),
     ("product.viewed", {"product_id": "moka"}), ("wishlist.added", {"product_id": "tazza"}),
     ("cart.product_added", {"product_id": "moka", "price": "80.00"}),
     ("cart.product_removed", {"product_id": "moka"}), ("checkout.started", {"step": "payment"}),
     ("customer.updated", {"country": "IT", "birthday": "1990-03-05"}),
     ("list.subscribed", {"confirmed": True}), ("list.unsubscribed", {}),
     ("consent.withdrawn", {"purpose": "marketing"})]
)  # fmt: skip
MANY = """
id: segments
definition: segments
segments:
  - {id: spent, if: {orders.spent: {at_least: 100}}}
  - {id: silent, if: {last_active: {longer_ago_than: 3d}}}
  - {id: recent, if: {orders.last: {within: 2d}}}
  - {id: cart, if: {cart.total: {above: 50}, cart.step: payment}}
  - {id: wishes, if: {interests.wished: {contains: tazza}}}
  - {id: italians, if: {profile.country: IT}}
  - {id: readers, if: {lists: {contains: newsletter}, consents.marketing: true}}
  - {id: regulars, if: {visits: {at_least: 3}}}
  - {id: warm, if: {scores.engagement: {at_least: 6}}}
"""
POINTS = """
id: engagement
definition: scoring
half_life: 2d
points: {order.completed: 10, product.viewed: 2}
bands: [{name: cold, from: 0}]
"""


@examples(60)
@given(st.lists(st.tuples(EVENTS, st.integers(0, 5 * 24)), max_size=25))
def test_membership_is_always_what_the_conditions_say(story: list[tuple[object, int]]) -> None:
    harness = Harness(files(MANY, POINTS))
    live, now, orders = harness.actors._state.live, 0.0, 0
    for (type_, data), hours in story:  # type: ignore[misc]  # pairs of EVENTS
        orders += type_ == "order.completed"
        extra = {"order_id": f"o{orders}"} if type_.startswith("order.") else {}
        now += hours * HOUR
        harness.at(now).tell(type_, **data, **extra)
        for moment in (harness.now, harness.now + 1):
            customer = harness.customer()
            evaluation = EvaluationContext(customer, moment, rules=live)
            every = live.derived_state.segmentation.all
            said = sorted(each.id for each in every if each.check(evaluation))
            if (
                moment == harness.now
                or customer.watches.get(derived_state.SEGMENTS, moment + 1) > moment
            ):
                assert customer.segments == said


def test_rules_of_a_score_count_while_they_hold() -> None:
    scores = """
id: lead
definition: scoring
points: {page.viewed: 1}
rules:
  - {id: prices, on: page.viewed, where: {event.path: /prezzi}, add: 20, within: 7d}
  - {id: call, on: call.logged, add: 30}
bands: [{name: cold, from: 0}, {name: hot, from: 50}]
"""
    harness = Harness(files(scores, workflow("w28-hot", "{score: lead, above: 50}"))).subscribed()
    harness.tell("page.viewed", path="/prezzi").tell("page.viewed", path="/prezzi")
    assert harness.mails == []
    harness.tell("call.logged")
    assert [mail.step for mail in harness.mails] == ["go"]
    assert harness.customer().scores["lead"].band == "hot"
