"""Expressions: names and types are checked when they are read, and nothing stops a customer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.rules.cel_text import MAX_LENGTH
from agents.rules.conditions import ConditionError, compile_condition
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import FieldRegistry
from schemas.customer import Customer
from schemas.customer.consent import Subscription
from schemas.customer.person import CustomerTag, Profile
from schemas.customer.runs import Run
from schemas.customer.shopping import OrderStatistics, Purchases
from schemas.definitions.conditions import Condition
from tests.customer.test_segments import segments
from tests.examples import examples
from tests.harness import DAY, START, Harness

REGISTRY = FieldRegistry([])
NOW = START


def anna(count: int = 2) -> Customer:
    return Customer(
        key="anna",
        profile=Profile(city="Roma", birthday="--05-17"),
        statistics=OrderStatistics(
            count=count, spent={"EUR": Decimal("170.00")} if count else {},
            first=NOW - 40 * DAY * 1000 if count else 0, last=NOW - 3 * DAY * 1000 if count else 0,
        ),
        lists={"newsletter-it": Subscription(True, NOW, joined=True)},
        tags={"vip": CustomerTag(NOW), "size:m": CustomerTag(NOW)},
        purchases=Purchases(),
    )  # fmt: skip


def matches(text: str, evaluation: EvaluationContext | None = None) -> bool:
    check = compile_condition(Condition(cel=text), REGISTRY, about="product.viewed")
    return check(evaluation or EvaluationContext(anna(), NOW))


@pytest.mark.parametrize(
    "text",
    [
        "orders.spent / double(orders.count) > 80.0",
        "orders.spent / orders.count > 80",
        "orders.count == 2",
        "orders.count >= 2 && !(profile.city != 'Roma')",
        "'vip' in tags && size(tags) == 2",
        "tags.exists(tag, tag.startsWith('size:'))",
        "'newsletter-it' in lists && has(lists.joined)",
        "has(orders.last) && now.time - orders.last < duration('96h')",
        "orders.last > timestamp('2026-01-01T00:00:00Z')",
        "!has(orders.largest) && !has(last_active)",
        "profile.birthday == '--05-17' ? true : false",
        'profile.city.matches("^R.m") // orders.cout is no field here',
        "int(orders.count) % 2 == 0",
        "'orders.cout > 1' != profile.city",
        "profile.city in ['Roma', r'Mila.o']",
    ],
)
def test_what_can_be_said(text: str) -> None:
    assert matches(text)


def test_results_of_steps_may_be_named_in_brackets() -> None:
    run = Run("r", "w", "v", NOW, 0, NOW, results={"first-mail": "event"})
    evaluation = EvaluationContext(anna(), NOW, run, {"price": "9.90"})
    assert matches('run.results["first-mail"] == "event" && event.price < 10.0', evaluation)
    assert not matches("run.results['other'] == 'event'", evaluation)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("orders.cout > 1.0", ["no such field: orders.cout", "orders.count?"]),
        ("order.total > 1.0 && orders.spnt > 1.0", ["orders.spent?"]),
        ("orders > 1", ["no such field: orders"]),
        ("orders['count'] > orders[profile.city]", ["no such field: orders"]),
        ("profile.city.size > 1", ["no such field: profile.city.size"]),
        ("lower(profile.city) == 'roma'", ["no such function: lower"]),
        ("profile.city.startWith('R')", ["did you mean startsWith?"]),
        ("orders.count + 1 > 2", ["float + int", "orders.count is a double", "1.0"]),
        ("profile.city > 3", ["profile.city is a string"]),
        ("size(orders.count) > 1", ["can't be used so"]),
        ("orders.count", ["true or false", "float"]),
        ("profile.city + '!'", ["true or false", "str"]),
        ("orders.count >", ["no expression in CEL at its end"]),
        ("", []),
        ("'unclosed", ["no expression in CEL at character 1"]),
        ("tags.all(a, tags.all(b, tags.all(c, a != b || b != c)))", ["3 loops", "at most 2"]),
        ("true || " * 200 + "true", [f"at most {MAX_LENGTH}"]),
        ("(" * 400 + "true" + ")" * 400, []),
    ],
)
def test_what_can_not_be_meant_is_named(text: str, words: list[str]) -> None:
    if not text:
        assert compile_condition(Condition(cel=""), REGISTRY)(EvaluationContext(anna(), NOW))
        return
    with pytest.raises(ConditionError) as caught:
        matches(text)
    assert caught.value.path == "cel"
    for word in words:
        assert word in str(caught.value)


def test_what_is_not_known_does_not_hold_and_is_no_failure() -> None:
    failures: list[str] = []
    evaluation = EvaluationContext(anna(0), NOW, failures=failures)
    assert not matches("orders.last > timestamp('2026-01-01T00:00:00Z')", evaluation)
    assert not matches("orders.largest > 5.0", evaluation)
    assert failures == []


def test_a_failure_does_not_hold_and_says_so() -> None:
    failures: list[str] = []
    evaluation = EvaluationContext(anna(0), NOW, failures=failures)
    assert not matches("int(10) / int(orders.count) > 1", evaluation)
    assert not matches("timestamp(profile.city) > now.time", evaluation)
    assert len(failures) == 2
    assert failures[0].startswith("int(10) / int(orders.count) > 1: ")


def test_failures_are_counted_and_stop_nobody() -> None:
    there = Harness(segments(odd={"cel": "int(10) / int(visits) < 0"}, any={}))
    there.tell("customer.updated", country="IT")
    assert there.customer().segments == ["any"]
    assert sum(counts.failed_expressions for counts in there.counts) == 1


TEXTS = st.lists(
    st.sampled_from(
        ["orders.count", "tags", "profile.city", "has(", ")", "(", "1.0", "'x'", ">", "&&", "+",
         "in", ".exists(t, ", "t", "[", "]", "!", "?", ":", "null", "orders.last", "{", "}", ".",
         "//", '"']
    ),
    max_size=12,
)  # fmt: skip


@given(TEXTS.map(" ".join) | st.text(max_size=40))
@examples(300)
def test_any_text_is_a_mistake_or_an_answer(text: str) -> None:
    try:
        check = compile_condition(Condition(cel=text), REGISTRY)
    except ConditionError:
        return
    for count in (0, 2):
        assert check(EvaluationContext(anna(count), NOW)) in (True, False)
