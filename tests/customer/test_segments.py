"""S02: a segment is entered and left at the very instant at which it becomes true or untrue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer import derived_state
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import FieldRegistry
from agents.rules.fields.dependencies import CHANGED_BY
from agents.rules.segments import compile_segments
from agents.rules.validation_errors import InvalidDefinition
from schemas.customer import decode_customer
from schemas.definitions import DEFINITION, canonical
from schemas.definitions.shop import Segments
from schemas.signals import SegmentChanged
from tests.examples import examples
from tests.harness import DAY, FILES, HOUR, MINUTE, START, Harness, changed

SCORES = {"engagement": FILES["engagement"]}


def segments(**conditions: Any) -> dict[str, bytes]:
    """Return a definition of segments, as it is published; `_` stands for `-` in their names."""
    listed = [{"id": id_.replace("_", "-"), "if": each} for id_, each in conditions.items()]
    content = {"id": "segments", "definition": "segments", "segments": listed}
    return {"segments": canonical(DEFINITION.validate_python(content))}


def harness(files: dict[str, bytes] | None = None, **conditions: Any) -> Harness:
    return Harness(SCORES | segments(**conditions) | (files or {}))


def moves(harness: Harness, customer: str = "anna") -> list[tuple[float, str, str]]:
    """Return (seconds, segment, entered or left)."""
    found = (e.content for e in harness.effects if isinstance(e.content, SegmentChanged))
    return [((m.time - START) / 1000, m.segment, m.change) for m in found if m.customer == customer]


def test_what_a_customer_does_enters_and_leaves() -> None:
    there = harness(
        buyers={"orders.count": {"at_least": 1}}, full_cart={"cart.items": {"above": 0}}
    )
    there.add()
    assert there.customer().segments == ["full-cart"]
    there.at(MINUTE).order()
    assert there.customer().segments == ["buyers"]
    assert moves(there) == [
        (0, "full-cart", "entered"), (60, "buyers", "entered"), (60, "full-cart", "left"),
    ]  # fmt: skip


def test_no_order_for_60_days_is_entered_at_60_days() -> None:
    there = harness(dormant={"orders.last": {"longer_ago_than": "60d"}}).order()
    there.at(60 * DAY - 1)
    assert there.customer().segments == []
    there.at(60 * DAY)
    assert there.customer().segments == ["dormant"]
    there.at(61 * DAY).order("o2")
    assert moves(there) == [(60 * DAY, "dormant", "entered"), (61 * DAY, "dormant", "left")]


def test_an_order_in_between_begins_the_time_anew() -> None:
    there = harness(dormant={"orders.last": {"longer_ago_than": "60d"}}).order()
    there.at(59 * DAY).order("o2").at(118 * DAY)
    assert moves(there) == []
    there.at(119 * DAY)
    assert moves(there) == [(119 * DAY, "dormant", "entered")]


def test_a_score_that_fades_leaves() -> None:
    there = harness(
        keen={"scores.engagement": {"above": 5}}
    ).order()  # 10 points, halving in 30 days
    assert there.customer().segments == ["keen"]
    there.at(30 * DAY)
    assert there.customer().segments == []
    assert moves(there)[-1] == (30 * DAY, "keen", "left")


def test_a_band_is_the_one_that_the_score_is_in_now() -> None:
    there = harness(warm={"bands.engagement": {"in": ["warm", "hot"]}}).order().at(30 * DAY)
    assert there.customer().segments == ["warm"]  # exactly 5
    there.at(30 * DAY + 1)
    assert there.customer().segments == []
    assert there.customer().engagement.band == "warm"  # as it was announced last


def test_orders_per_month_thin_out() -> None:
    there = harness(often={"orders.per_month": {"at_least": 1}}).order().order("o2").at(60 * DAY)
    assert there.customer().segments == ["often"]
    there.at(61 * DAY)  # two orders in two months of 30.4375 days
    assert moves(there)[-1][0] == pytest.approx(2 * 30.4375 * DAY, abs=1)


def test_what_is_spent_in_30_days_ends_with_them() -> None:
    there = harness(big={"orders.spent_30d": {"at_least": 500}})
    there.order(total="300").at(10 * DAY).order("o2", total="300").at(40 * DAY)
    assert moves(there) == [(10 * DAY, "big", "entered"), (30 * DAY, "big", "left")]


def test_segments_of_segments_follow_in_the_same_record() -> None:
    there = harness(
        outer={"segments": {"contains": "inner"}, "profile.country": "IT"},
        inner={"orders.count": {"at_least": 1}},
        rest={"segments": {"lacks": "outer"}},
    )
    there.tell("customer.updated", country="IT")
    assert there.customer().segments == ["rest"]
    there.order()
    assert there.customer().segments == ["inner", "outer"]


def test_only_what_can_have_changed_is_looked_at() -> None:
    there = harness(dear={"orders.spent": {"above": 100}}, roman={"profile.city": "Roma"})
    segmentation = there.actors._state.live.derived_state.segmentation
    looked_at = {
        type_: [each.id for each in segmentation.reading(parts)]
        for type_, parts in CHANGED_BY.items()
    }
    assert looked_at["product.viewed"] == looked_at["mail.sent"] == []
    assert looked_at["customer.updated"] == ["roman"]
    assert looked_at["order.refunded"] == ["dear"]


def test_a_tag_of_a_step_counts_within_the_same_record() -> None:
    steps = [
        {"id": "mark", "tag": "vip"},
        {
            "id": "mail",
            "send": "cart-reminder",
            "class": "marketing",
            "kind": "informative",
            "if": {"segments": {"contains": "vips"}},
        },
    ]
    w06 = changed("w06-abandoned-cart-a", steps=steps)
    there = harness({"w06-abandoned-cart-a": w06}, vips={"tags": {"contains": "vip"}}).subscribed()
    there.add()
    assert there.customer().segments == ["vips"]
    assert [mail.step for mail in there.mails] == ["mail"]


def on_segment(name: str, when: str = "entered", **more: Any) -> bytes:
    content = {
        "id": f"on-{name}-{when}", "definition": "workflow", "title": {"it": "x"},
        "trigger": {"segment": name, "when": when}, "entry": {"once_per": "event"},
        "steps": [{"id": "mark", "tag": f"{name}-{when}"}],
    } | more  # fmt: skip
    return canonical(DEFINITION.validate_python(content))


def test_entering_and_leaving_begin_workflows() -> None:
    files = {"on-away-entered": on_segment("away"), "on-away-left": on_segment("away", "left")}
    there = harness(files, away={"orders.last": {"longer_ago_than": "60d"}}).order()
    there.at(60 * DAY)
    assert list(there.customer().tags) == ["away-entered"]
    there.at(70 * DAY).order("o2")
    assert list(there.customer().tags) == ["away-entered", "away-left"]
    entered = [said.at for said in there.said("on-away") if said.decision == "entered"]
    assert entered == [60 * DAY, 70 * DAY]


def test_history_enters_segments_and_begins_nothing() -> None:
    there = harness({"on-buyers-entered": on_segment("buyers")}, buyers={"orders.count": 1})
    there.order(backfill=True)
    assert there.customer().segments == ["buyers"]
    assert there.said("on-buyers") == []


def test_workflows_that_send_a_customer_to_and_fro_come_to_an_end() -> None:
    files = {
        "on-a-entered": on_segment("a", steps=[{"id": "s", "untag": "a"}]),
        "on-a-left": on_segment("a", "left", steps=[{"id": "s", "tag": "a"}]),
        "w06-abandoned-cart-a": changed("w06-abandoned-cart-a", steps=[{"id": "t", "tag": "a"}]),
    }
    there = harness(files, a={"tags": {"contains": "a"}}).add()
    customer = there.customer()
    assert (customer.segments == ["a"]) == ("a" in customer.tags)
    assert len([said for said in there.said("on-a") if said.decision == "entered"]) == 2


def test_other_definitions_count_from_the_next_event_on() -> None:
    there = harness(old={"orders.count": 1}).order()
    new = segments(new={"orders.count": {"at_least": 1}})["segments"]
    there.activate({"engagement": there.live["engagement"], "segments": there.publish(new)})
    assert there.customer().segments == ["old"]
    there.at(MINUTE).tell("page.viewed")
    assert there.customer().segments == ["new"]
    assert moves(there)[1:] == [(60, "old", "left"), (60, "new", "entered")]
    there.activate({"engagement": there.live["engagement"]}).tell("page.viewed")
    assert there.customer().segments == []


def test_a_review_reaches_silent_customers_but_nobody_unknown() -> None:
    there = Harness(SCORES).order().at(90 * DAY)
    new = segments(dormant={"orders.last": {"longer_ago_than": "60d"}})["segments"]
    there.activate({"segments": there.publish(new)}).at(91 * DAY)
    assert there.customer().segments == []
    there.tell("customer.reviewed").tell("customer.reviewed", "nobody")
    assert there.customer().segments == ["dormant"]
    assert there.customer().last_seen == START
    assert there.customer("nobody").applied == len(there.records) - 1
    assert there.customer("nobody").segments == []


def test_a_visitor_becomes_a_customer_with_the_right_segments() -> None:
    there = harness(
        seen_it={"interests.most_views": {"at_least": 2}}, known={"profile.email": {"known": True}}
    )
    for _ in range(2):
        there.tell("product.viewed", "v1", product_id="moka")
    assert there.customer("v1").segments == ["seen-it"]
    there.tell("customer.updated", email="anna@example.com")
    there.tell("customer.identified", "anna", anonymous_id="v1")
    assert there.customer().segments == ["known", "seen-it"]
    assert there.customer("v1").segments == []


@pytest.mark.parametrize(
    ("listed", "path", "problem"),
    [
        ({"a": {"orders.cout": 1}}, "segments.0.if.orders.cout", "did you mean orders.count?"),
        ({"a": {"event.price": {"above": 1}}}, "segments.0.if.event.price", "no event here"),
        ({"a": {"run.begun": {"known": True}}}, "segments.0.if", "isn't about one run"),
        ({"a": {"now.hour": 9}}, "segments.0.if", "with the clock"),
        ({"a": {"segments": {"contains": "a"}}}, "segments.0.if", "a depends on itself"),
        (
            {"a": {"segments": {"contains": "b"}}, "b": {"segments": {"lacks": "a"}}},
            "segments", "in a circle",
        ),
        ({"a": {"cel": "scores.engagement > 3.0"}}, "segments.0.if", "compare it by a rule"),
        ({"a": {"cel": "'b' in segments"}, "b": {}}, "segments.0.if", "use a rule, segments"),
        ({"a": {"any": [{"segments": {"known": True}}]}}, "segments.0.if", "say which ones"),
        ({"a": {"segments": {"contains": "vpi"}}, "vip": {}}, "segments.0.if.segments",
         "did you mean vip?"),
    ],
)  # fmt: skip
def test_mistakes_are_named(listed: dict[str, Any], path: str, problem: str) -> None:
    content = {"id": "segments", "definition": "segments",
               "segments": [{"id": id_, "if": each} for id_, each in listed.items()]}  # fmt: skip
    definition = Segments.model_validate(content)
    scoring = DEFINITION.validate_python(json.loads(FILES["engagement"]))
    with pytest.raises(InvalidDefinition) as caught:
        compile_segments(definition, FieldRegistry([definition, scoring]))
    assert caught.value.found[0].path == path
    assert problem in caught.value.found[0].problem


# The property: at every instant a customer is in exactly the segments whose condition holds.

EVERY_KIND = segments(
    recent={"orders.last": {"within": "3d"}},
    away={"orders.last": {"longer_ago_than": "2d"}, "orders.count": {"at_least": 1}},
    keen={"scores.engagement": {"above": 4.5}},
    cool={"bands.engagement": "cold"},
    lead={"scores.lead": {"at_least": 5}},
    often={"orders.per_month": {"above": 0.9}},
    big_lately={"orders.spent_30d": {"at_least": 30}},
    left_cart={"cart.items": {"above": 0}, "cart.changed": {"longer_ago_than": "1h"}},
    looked={"interests.repeated": {"known": True}, "orders.products": {"lacks": "a"}},
    tagged={"tags": {"contains": "hot"}},
    adult={"profile.age": {"at_least": 30}},
    grew={"any": [{"segments": {"contains": "adult"}}, {"visits": {"at_least": 3}}]},
    silent={"not": {"last_active": {"within": "12h"}}, "consents.marketing": True},
    silver={"tier": "silver"},
    ratio={"cel": "has(orders.last) && orders.spent / orders.count > 15.0"},
)
LEAD = {
    "id": "lead", "definition": "scoring", "half_life": "2d", "points": {"product.viewed": 3},
    "rules": [{"id": "prices", "on": "page.viewed", "where": {"event.url": {"contains": "prezzi"}},
               "add": 4, "within": "1d"}],
    "bands": [{"name": "low", "from": 0}, {"name": "high", "from": 6}],
}  # fmt: skip
TAGGING = {
    "id": "tagging", "definition": "workflow", "title": {"it": "x"}, "trigger": "product.viewed",
    "entry": {"once_per": "event"}, "steps": [{"id": "t", "tag": "hot", "lasts": "5h"}],
}  # fmt: skip
ALL = (
    SCORES
    | EVERY_KIND
    | {name: FILES[name] for name in ("loyalty",)}
    | {each["id"]: canonical(DEFINITION.validate_python(each)) for each in (LEAD, TAGGING)}
)

EVENTS = st.one_of(
    st.builds(lambda p: ("product.viewed", {"product_id": p}), st.sampled_from("ab")),
    st.builds(lambda p: ("cart.product_added", {"product_id": p, "price": "9.90"}),
              st.sampled_from("ab")),
    st.builds(lambda n, t: ("order.completed", {"order_id": f"o{n}", "total": t,
                                                "products": [{"product_id": "a", "price": t}]}),
              st.integers(0, 9), st.sampled_from(["10", "20", "160"])),
    st.builds(lambda n: ("order.refunded", {"order_id": f"o{n}"}), st.integers(0, 9)),
    st.just(("page.viewed", {"url": "https://shop.example/prezzi"})),
    st.just(("consent.given", {"purpose": "marketing"})),
    st.just(("consent.withdrawn", {"purpose": "marketing"})),
    st.builds(lambda d: ("customer.updated", {"birthday": d}),
              st.sampled_from(["1996-03-05", "1996-03-02", "--03-03", "nonsense"])),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 59, HOUR, 5 * HOUR, DAY, 2 * DAY, 3 * DAY, 31 * DAY, 366 * DAY]),
        st.none() | EVENTS,
        st.sampled_from(["anna", "v1"]),
        st.sampled_from([0, 0, 0, HOUR, 40 * DAY]),
        st.booleans(),
    ),
    max_size=14,
)


def differences(harness: Harness, now: int, keys: Iterable[str]) -> list[str]:
    """Return where the kept segments differ from all conditions asked at `now`."""
    found = []
    for key in keys:
        stored = harness.store.get(key.encode())
        if stored is None:
            continue
        customer = decode_customer(key, stored)
        if customer.became or not customer.reviewed:
            continue
        live = harness.actors._state.live
        for id_, check in live.derived_state.segmentation.all:
            holds = check(EvaluationContext(customer, now, rules=live))
            if holds != (id_ in customer.segments):
                found.append(f"{key} {id_} {holds} at {(now - START) / 1000}")
    return found


@given(STEPS, st.booleans())
@examples(150)
def test_segments_are_right_at_every_instant(steps: list[Any], merges: bool) -> None:
    there, time = Harness(ALL), 0.0
    for number, (pause, event, customer, ago, restarts) in enumerate(steps):
        time += pause
        there.at(time)
        assert differences(there, there.now, ("anna", "v1")) == []
        if event is not None:
            type_, data = event
            there.tell(type_, customer, happened=time - ago, **data)
        if merges and number == 6:
            there.tell("customer.identified", "anna", anonymous_id="v1")
        if restarts:
            there.build()
        assert differences(there, there.now, ("anna", "v1")) == []
        # No turn is missed between now and the next timer, up to the last millisecond before it.
        ahead = min(there.actors.next_timer, there.now + 400 * DAY * 1000)
        for instant in {there.now + 1, (there.now + ahead) // 2, ahead - 1}:
            if there.now < instant < ahead:
                assert differences(there, instant, ("anna", "v1")) == []


def test_the_property_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived_state, "_await", lambda customer, turns: None)
    there = Harness(ALL).order()
    assert differences(there, there.now + 4 * DAY * 1000, ("anna",))
