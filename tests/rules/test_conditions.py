"""Conditions: what can't be meant is an error that helps; what can be answers for everybody."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.rules.conditions import ConditionError, check_text, compile_condition, fill, find_date
from agents.rules.evaluation import EvaluationContext
from agents.rules.event_properties import Properties
from agents.rules.fields import FieldRegistry
from agents.rules.local_time import day_begins
from agents.rules.values import spoken_amount
from schemas.customer import Customer
from schemas.customer.person import CustomerTag, Profile
from schemas.customer.runs import Run
from schemas.customer.shopping import Cart, LineItem, Order, OrderStatistics
from schemas.days import Day, parse_day
from schemas.definitions import DEFINITION
from schemas.definitions.conditions import Condition
from schemas.events.shopping import CouponApplied, ProductReviewed
from schemas.notation import DEFAULT_ZONE
from tests.examples import examples
from tests.harness import FILES

NOW = 1_772_445_600_000  # Monday 2026-03-02, 11:00 in Rome
DAY = 86_400_000

CUSTOM = [{"id": "size", "type": "text"}, {"id": "budget", "type": "number"},
          {"id": "wedding", "type": "date"}, {"id": "business", "type": "flag"}]  # fmt: skip
SHOP = [
    DEFINITION.validate_python({"id": "fields", "definition": "fields", "fields": CUSTOM}),
    DEFINITION.validate_json(FILES["engagement"]),
    DEFINITION.validate_json(FILES["loyalty"]),
    DEFINITION.validate_python({"id": "segments", "definition": "segments",
                                "segments": [{"id": "vip", "if": {}}, {"id": "new", "if": {}}]}),
]  # fmt: skip
REGISTRY = FieldRegistry(SHOP)


def check(given: Any, about: str = "") -> Any:
    return compile_condition(Condition.model_validate(given), REGISTRY, about=about)


def anna() -> Customer:
    return Customer(
        key="anna",
        profile=Profile(first_name="Anna", country="IT", city="Roma", birthday="1990-03-02"),
        cart=Cart(
            lines=[LineItem("moka", 2, Decimal("9.90"), category="Caffè")], changed=NOW - DAY
        ),
        orders=[Order("o1", NOW - 3 * DAY, Decimal("49.90"), "EUR", "shipped")],
        statistics=OrderStatistics(
            count=1, spent={"EUR": Decimal("49.90")}, first=NOW - 3 * DAY, last=NOW - 3 * DAY
        ),
        tags={"vip": CustomerTag(NOW), "old": CustomerTag(0, NOW)},
        fields={"size": "M", "budget": 120, "wedding": "2026-06-20"},
        segments=["vip"],
    )


@pytest.mark.parametrize(
    ("condition", "path", "words"),
    [
        ({"orders.cout": {"above": 1}}, "orders.cout", ["no such field", "orders.count?"]),
        ({"orders.count": {"contains": "x"}}, "orders.count", ["'x'", "a number", "at_least"]),
        ({"profile.country": {"above": 3}}, "profile.country", ["3", "a text", "contains"]),
        ({"profile.country": 3}, "profile.country", ["3", "a text", "quotes"]),
        ({"orders.count": "two"}, "orders.count", ["'two'", "a number"]),
        ({"orders.count": True}, "orders.count", ["True", "a number"]),
        ({"consents.marketing": "yes"}, "consents.marketing", ["'yes'", "true or false"]),
        ({"tags": "vip"}, "tags", ["'vip'", "a set of texts", "contains"]),
        ({"orders.last": "2026-01-01"}, "orders.last", ["point in time", "longer_ago_than"]),
        ({"profile.birthday": "yesterday"}, "profile.birthday", ["'yesterday'", "a date"]),
        ({"scores.engagement": 5}, "scores.engagement", ["changes all the time", "at_least"]),
        ({"scores.engagment": {"above": 5}}, "scores.engagment", ["scores.engagement?"]),
        ({"scores.lead": {"above": 5}}, "scores.lead", ["definition: scoring"]),
        ({"fields.sise": "M"}, "fields.sise", ["fields.size?"]),
        ({"fields.shoe": 42}, "fields.shoe", ["fields.yaml"]),
        ({"segments": {"contains": "vpi"}}, "segments", ["'vpi'", "vip?"]),
        ({"tier": "godl"}, "tier", ["'godl'", "gold?"]),
        ({"bands.engagement": "xyz"}, "bands.engagement", ["cold, hot, warm"]),
        ({"now.weekday": "monday"}, "now.weekday", ["'monday'", "mon?"]),
        ({"event.price": {"above": 1}}, "event.price", ["no event here"]),
        ({"orders.count": {"is": None}}, "orders.count", ["known: false"]),
        ({"orders.count": {"above": math.inf}}, "orders.count", ["inf"]),
        ({"weather": "fine"}, "weather", ["ritorno workflows fields"]),
        ({"all": [{"any": [{}, {"not": {"orders.cout": 1}}]}]}, "all.0.any.1.not.orders.cout", []),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_named(condition: Any, path: str, words: list[str]) -> None:
    with pytest.raises(ConditionError) as caught:
        check(condition)
    assert caught.value.path == path
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("given", [{"orders.count": {}}, {"orders.last": {"within": "soon"}},
                                   {"orders.count": {"at_lest": 2}}])  # fmt: skip
def test_what_is_no_test_at_all_is_refused_by_the_language(given: Any) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(given)


@pytest.mark.parametrize(
    ("about", "condition", "words"),
    [
        ("product.viewed", {"event.prize": {"above": 5}}, "event.price?"),
        ("consent.given", {"event.purpose": "markting"}, "marketing?"),
        ("segment:vip:entered", {"event.price": {"above": 5}}, "event has segment"),
    ],
)
def test_properties_are_those_of_the_event(about: str, condition: Any, words: str) -> None:
    with pytest.raises(ConditionError, match=words.replace("?", r"\?")):
        check(condition, about)


HOLD: list[Any] = [
    {}, {"profile.country": "IT"}, {"profile.country": {"in": ["IT", "SM"]}},
    {"profile.city": {"contains": "ROM"}}, {"profile.city": {"lacks": "milan"}},
    {"profile.email": {"known": False}}, {"orders.count": 1}, {"orders.count": {"at_least": 1}},
    {"orders.spent": {"at_least": 49.9, "at_most": 49.9}}, {"orders.spent": 49.9},
    {"orders.last": {"within": "4d"}}, {"orders.last": {"longer_ago_than": "3d"}},
    {"cart.categories": {"contains": "Caffè"}}, {"cart.products": {"in": ["moka", "tazza"]}},
    {"cart.items": 2}, {"tags": {"contains": "vip", "lacks": "old"}}, {"tags": {"not_in": ["old"]}},
    {"profile.birthday": "1990-03-02"}, {"profile.age": 36}, {"profile.birthday": {"known": True}},
    {"now.weekday": {"in": ["mon"]}, "now.hour": 11, "now.month": 3, "now.date": "2026-03-02"},
    {"fields.size": "M", "fields.budget": {"above": 100}, "fields.business": False},
    {"fields.wedding": "20/06/2026"}, {"consents.marketing": False},
    {"orders.months": {"lacks": 7}}, {"orders.largest": {"known": False}},
    {"orders.largest": {"is_not": 3}},
    {"any": [{"orders.count": 9}, {"points": 0}]}, {"not": {"segments": {"lacks": "vip"}}},
    {"all": [{"views": 0}, {"visits": {"below": 1}}]}, {"orders.per_month": {"at_most": 1}},
]  # fmt: skip


@pytest.mark.parametrize("condition", HOLD, ids=str)
def test_what_is_true_of_anna(condition: Any) -> None:
    evaluation = EvaluationContext(anna(), NOW)
    assert check(condition)(evaluation)
    assert not check({"not": condition})(evaluation)


def test_money_is_compared_to_the_cent() -> None:
    evaluation = EvaluationContext(anna(), NOW)  # 49.90, which no float is
    assert not check({"orders.spent": {"above": 49.9}})(evaluation)
    assert not check({"orders.spent": {"below": 49.9}})(evaluation)


def test_a_run_knows_its_order_and_the_results_of_its_steps() -> None:
    run = Run("r", "w", "v", NOW, 0, NOW, order_id="o1", results={"reminder": "event"})
    evaluation = EvaluationContext(anna(), NOW, run)
    assert check({"order.status": "shipped", "order.total": {"above": 40}})(evaluation)
    assert check({"run.results.reminder": "event"})(evaluation)
    assert not check({"order.status": "shipped"})(EvaluationContext(anna(), NOW))
    assert check({"order.status": "shipped"})(
        EvaluationContext(anna(), NOW, None, {"order_id": "o1"})
    )


def test_properties_come_as_json_has_them() -> None:
    event = {"price": "12.50", "quantity": 2, "products": [{"product_id": "a", "category": "tè"}]}
    evaluation = EvaluationContext(anna(), NOW, None, event)
    assert check({"event.price": {"at_least": 12.5}}, "product.viewed")(evaluation)
    assert check({"event.quantity": 2}, "product.viewed")(evaluation)
    assert check({"event.categories": {"contains": "tè"}}, "order.completed")(evaluation)
    odd = EvaluationContext(anna(), NOW, None, {"price": "NaN", "quantity": [1], "products": None})
    assert not check({"event.price": {"at_least": 0}}, "product.viewed")(odd)
    assert not check({"event.quantity": {"below": 3}}, "product.viewed")(odd)


def test_a_worker_takes_custom_fields_that_it_does_not_know() -> None:
    worker = FieldRegistry()
    rules: Any = {
        "fields.size": "M", "fields.budget": {"above": 100}, "fields.x": {"lacks": "y"},
        "fields.wedding": {"within": "30d"}, "fields.business": {"is_not": True},
    }  # fmt: skip
    assert compile_condition(Condition.model_validate(rules), worker)(
        EvaluationContext(anna(), NOW)
    )
    with pytest.raises(ConditionError):
        compile_condition(Condition.model_validate({"orders.cout": 1}), worker)


def test_every_property_of_an_event_can_be_asked_for() -> None:
    """Also those that only conditions read, under whatever name a shop sends them."""
    applied = Properties(CouponApplied.model_validate({"coupon": "ESTATE"}))
    reviewed = Properties(ProductReviewed.model_validate({"product_id": "p", "review_id": 7}))
    for about, name, value, event in (
        ("coupon.applied", "coupon_id", "ESTATE", applied),
        ("product.reviewed", "review_id", "7", reviewed),
    ):
        asked = check({f"event.{name}": value}, about)
        assert asked(EvaluationContext(anna(), NOW, None, event))
        assert not asked(EvaluationContext(anna(), NOW, None, {name: "other"}))


def test_texts_name_fields() -> None:
    run = Run("r", "w", "v", NOW, 0, NOW, order_id="o1")
    evaluation = EvaluationContext(anna(), NOW, run, {"category": "tè", "price": "12.5"})
    assert fill("interest:{event.category}", evaluation) == "interest:tè"
    assert fill("{profile.first_name}: {orders.spent} {orders.last}", evaluation) == (
        "Anna: 49.90 2026-02-27 11:00"
    )
    assert fill("{fields.budget} {fields.wedding} {cart.products} {orders.count}", evaluation) == (
        "120 2026-06-20 moka 1"
    )
    assert fill("x:{event.brand}", evaluation) == "x:"
    assert fill("x:{event.brand}", evaluation, whole=True) == ""
    assert fill("/s?c={event.category}&n=1", evaluation, link=True) == "/s?c=t%C3%A8&n=1"
    assert fill("{event.category}", evaluation, link=True) == "tè"
    check_text("{event.category}", REGISTRY, about="product.viewed")
    with pytest.raises(ConditionError, match=r"profile\.first_name"):
        check_text("{profile.fist_name}", REGISTRY)
    with pytest.raises(ConditionError, match="neither a date"):
        find_date("profile.city", REGISTRY)


def test_amounts_in_words_for_people_are_written_as_in_their_language() -> None:
    evaluation = EvaluationContext(anna(), NOW, None, {"total": "1234.5"})
    assert fill("{orders.spent}", evaluation, language="it") == "49,90"
    assert fill("{orders.spent} {orders.count}", evaluation, language="en") == "49.90 1"
    assert spoken_amount(Decimal("1234567.5"), "it") == "1.234.567,50"
    assert spoken_amount(Decimal("1234567.5"), "en") == "1,234,567.50"


def test_a_check_says_when_time_changes_it() -> None:
    evaluation = EvaluationContext(anna(), NOW)
    assert check({"orders.last": {"within": "4d"}}).changes_at(evaluation) == NOW + DAY
    assert check({"now.hour": {"below": 12}}).changes_at(evaluation) == NOW + DAY // 48
    both = check({"any": [{"orders.last": {"within": "4d"}}, {"cart.changed": {"within": "25h"}}]})
    assert both.changes_at(evaluation) == NOW + DAY // 24
    assert check({"orders.count": 1}).changes == ()
    assert check({"orders.last": {"within": "4d"}, "orders.count": 1}).parts == {"orders"}


# A compiled condition answers as a plain reading of the rules does, for whatever is known.

WANTED: dict[str, Any] = {
    "profile.country": st.sampled_from(["IT", "it", "", "SM"]),
    "profile.birthday": st.sampled_from(["1990-03-02", "--02-29"]),
    "orders.count": st.integers(-1, 3) | st.floats(-1, 3),
    "orders.spent": st.sampled_from([0, 49.9, 50, 0.1]),
    "orders.average": st.sampled_from([0, 49.9]),
    "orders.last": st.just(None),
    "orders.products": st.sampled_from(["moka", "tazza"]),
    "orders.months": st.integers(1, 12),
    "fields.size": st.sampled_from(["M", "L", ""]),
    "fields.budget": st.integers(0, 200),
    "fields.wedding": st.sampled_from(["2026-06-20", "2026-03-01"]),
    "fields.business": st.booleans(),
    "event.price": st.sampled_from([9.9, 10]),
    "tags": st.sampled_from(["vip", "old"]),
}
ASKED = {
    "text": ["is", "is_not", "in", "not_in", "contains", "lacks", "known"],
    "number": ["is", "is_not", "in", "not_in", "above", "at_least", "below", "at_most", "known"],
    "money": ["is", "is_not", "in", "not_in", "above", "at_least", "below", "at_most", "known"],
    "flag": ["is", "is_not", "known"],
    "instant": ["within", "longer_ago_than", "known"],
    "date": ["is", "is_not", "in", "not_in", "within", "longer_ago_than", "known"],
    "texts": ["contains", "lacks", "in", "not_in", "known"],
    "numbers": ["contains", "lacks", "in", "not_in", "known"],
}


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(WANTED)))
    asked = {}
    type_ = REGISTRY.fields("product.viewed")[name].type
    for key in draw(st.lists(st.sampled_from(ASKED[type_]), min_size=1, max_size=2, unique=True)):
        if key == "known":
            asked[key] = draw(st.booleans())
        elif key in ("within", "longer_ago_than"):
            asked[key] = draw(st.sampled_from(["0s", "1h", "3d", "3000d"]))
        elif key in ("in", "not_in"):
            asked[key] = draw(st.lists(WANTED[name], min_size=1, max_size=2))
        else:
            asked[key] = draw(WANTED[name])
    return {name: asked}


CONDITIONS = st.recursive(
    leaves(),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"all": st.lists(inner, max_size=2), "any": st.lists(inner, max_size=2),
                      "not": inner},
    ),
    max_leaves=6,
)  # fmt: skip

CUSTOMERS = st.builds(
    lambda country, birthday, count, spent, last, products, fields, tags: Customer(
        key="anna",
        profile=Profile(country=country, birthday=birthday),
        orders=[Order("o", last, spent, "EUR")] if count else [],
        statistics=OrderStatistics(
            count=count, spent={"EUR": spent} if count else {}, first=last, last=last
        ),
        fields=fields,
        tags={tag: CustomerTag(0, expires) for tag, expires in tags.items()},
    ),
    st.sampled_from(["", "IT", "italia"]),
    st.sampled_from(["", "1990-03-02", "--02-29", "soon"]),
    st.integers(0, 2),
    st.sampled_from([Decimal("49.90"), Decimal("0.1"), Decimal("1E+3"), Decimal("-5")]),
    st.sampled_from([0, NOW, NOW - 3_600_000, NOW - 3 * DAY, NOW + DAY]),
    st.none(),
    st.dictionaries(
        st.sampled_from(["size", "budget", "wedding", "business"]),
        st.sampled_from(["M", 120, True, math.nan, "2026-03-01", None, 1e308, [], {"a": 1}]),
    ),
    st.dictionaries(st.sampled_from(["vip", "old"]), st.sampled_from([0, NOW, NOW + 1])),
)
EVENTS = st.dictionaries(
    st.just("price"),
    st.sampled_from(["9.90", 9.9, "NaN", "sNaN", "Infinity", None, True, "x", [], 10**400]),
)


def known_of(name: str, evaluation: EvaluationContext) -> Any:
    """Read a field in the plainest way."""
    customer = evaluation.customer
    raw = customer.fields.get(name.partition(".")[2])
    number = isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw)
    found = {
        "profile.country": customer.profile.country,
        "profile.birthday": parse_day(customer.profile.birthday),
        "orders.count": customer.statistics.count,
        "orders.spent": customer.statistics.spent.get("EUR", Decimal(0)),
        "orders.average": customer.statistics.spent["EUR"] / customer.statistics.count
        if customer.statistics.count else None,
        "orders.last": customer.statistics.last or None,
        "orders.products": list(customer.purchases.products),
        "orders.months": [],
        "fields.size": "" if raw is None else str(raw),
        "fields.budget": raw if number else None,
        "fields.wedding": parse_day(raw) if isinstance(raw, str) else None,
        "fields.business": raw if isinstance(raw, bool) else None,
        "event.price": _price(evaluation.event.get("price")),
        "tags": [name for name, tag in customer.tags.items() if tag.expires > evaluation.now],
    }  # fmt: skip
    return found[name]


def _price(raw: Any) -> Decimal | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        price = Decimal(str(raw))
    except ArithmeticError:
        return None
    return price if price.is_finite() else None


def naive(given: dict[str, Any], evaluation: EvaluationContext) -> bool:
    """Answer a condition word by word."""
    answers = []
    for key, part in given.items():
        if key == "all":
            answers.append(all(naive(each, evaluation) for each in part))
        elif key == "any":
            answers.append(not part or any(naive(each, evaluation) for each in part))
        elif key == "not":
            answers.append(not naive(part, evaluation))
        else:
            type_ = REGISTRY.fields("product.viewed")[key].type
            value = known_of(key, evaluation)
            answers += [
                naive_test(type_, value, ask, wanted, evaluation) for ask, wanted in part.items()
            ]
    return all(answers)


def naive_test(  # noqa: PLR0911  # a table of cases, word by word
    type_: str, value: Any, ask: str, wanted: Any, evaluation: EvaluationContext
) -> bool:
    if ask == "known":
        return (value not in (None, "", [])) == wanted
    if ask in ("within", "longer_ago_than"):
        moment = day_begins(value, DEFAULT_ZONE) if isinstance(value, Day) else value
        if moment is None:
            return False
        span = {"0s": 0, "1h": 3_600_000, "3d": 3 * DAY, "3000d": 3_000 * DAY}[wanted]
        return (evaluation.now - moment >= span) == (ask == "longer_ago_than")
    several = [_as(type_, each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    if type_ == "flag":
        return (bool(value) == wanted) == (ask == "is")
    if type_ in ("texts", "numbers"):
        return any(each in value for each in several) == (ask in ("contains", "in"))
    if value is None:
        return ask in ("is_not", "not_in")
    if ask in ("contains", "lacks"):
        return (wanted.casefold() in value.casefold()) == (ask == "contains")
    if ask in ("is", "in", "is_not", "not_in"):
        return any(value == each for each in several) == (ask in ("is", "in"))
    return {
        "above": value > several[0], "at_least": value >= several[0],
        "below": value < several[0], "at_most": value <= several[0],
    }[ask]  # fmt: skip


def _as(type_: str, wanted: Any) -> Any:
    if type_ == "money":
        return Decimal(str(wanted))
    return parse_day(wanted) if type_ == "date" else wanted


@given(CONDITIONS, CUSTOMERS, EVENTS)
@examples(400)
def test_a_compiled_condition_answers_as_a_plain_reading(
    given: dict[str, Any], customer: Customer, event: dict[str, Any]
) -> None:
    evaluation = EvaluationContext(customer, NOW, None, event)
    compiled = check(given, "product.viewed")
    assert compiled(evaluation) == naive(given, evaluation)
    assert compiled.changes_at(evaluation) > NOW


@given(CUSTOMERS, EVENTS, st.integers(NOW - DAY, NOW + 400 * DAY))
@examples(100)
def test_no_field_ever_raises(customer: Customer, event: dict[str, Any], now: int) -> None:
    run = Run("r", "w", "v", NOW, 0, NOW, order_id="gone", coupon="gone")
    for evaluation in (
        EvaluationContext(customer, now),
        EvaluationContext(customer, now, run, event),
    ):
        for field in REGISTRY.fields("order.completed").values():
            value = field.read(evaluation)
            assert value is not None or field.type not in ("text", "texts", "numbers")
            if field.changes is not None:
                assert field.changes(evaluation, (0.0, 1.0, 20.0)) > now
