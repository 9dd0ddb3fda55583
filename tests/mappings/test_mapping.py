"""A record becomes events by its mapping and by nothing else; what can't be meant is told."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from agents.mappings.expressions import ExpressionFailed, compile_value
from agents.mappings.functions import decimal
from agents.mappings.mapping import MAX_EVENTS_OF_RECORD
from agents.rules.cel_text import ExpressionError
from agents.rules.validation_errors import InvalidDefinition
from schemas.mappings import Source
from tests.mappings.ordini import TIME, compiled, order, orders, record


def event(**changed: Any) -> dict[str, Any]:
    """A mapping of one event with little in it."""
    plain = {"type": "product.viewed", "customer": "value.c", "properties": {"product_id": "'x'"}}
    return {"name": "m", "topic": "t", "events": [{**plain, **changed}]}


def only(mapping: dict[str, Any], value: Any, **given: Any) -> Any:
    mapped = compiled(mapping).map(record(value, **given))
    assert not mapped.refusals, mapped.refusals
    ((_, found),) = mapped.events
    return found


def refusal(mapping: dict[str, Any], value: Any) -> str:
    mapped = compiled(mapping).map(record(value))
    assert not mapped.events
    return mapped.refusals[0].detail


def test_an_order_of_the_erp_is_an_order() -> None:
    found = only(orders(), order())
    assert (found.type, found.customer, found.named) == ("order.completed", "C-70001", True)
    assert found.id == "ordine:1001:completed"
    assert found.source == "gestionale:negozio.example.it"
    assert found.time == TIME
    assert found.backfill is False
    data = found.data
    assert (data.order_id, data.email) == ("1001", "anna.verdi@example.it")
    assert (data.total, data.shipping) == (Decimal("52.0"), Decimal("4.90"))
    assert [(line.product_id, line.quantity) for line in data.products] == [("MOKA-3", 1)]


@pytest.mark.parametrize("changed", [{"prova": True}, {"stato": "BOZZA"}])
def test_what_is_dropped_or_not_meant_becomes_nothing(changed: dict[str, Any]) -> None:
    mapped = compiled(orders()).map(record(order(**changed)))
    assert mapped.dropped
    assert (mapped.events, mapped.refusals) == ([], [])


def test_a_tombstone_says_nothing() -> None:
    assert compiled(orders()).map(record(None)).dropped


def test_a_record_can_become_many_events_each_with_its_own_id() -> None:
    mapping = event(
        each="value.viste", when="item.sku != ''", properties={"product_id": "item.sku"}
    )
    mapped = compiled(mapping).map(
        record({"c": "a", "viste": [{"sku": "x"}, {"sku": ""}, {"sku": "y"}]})
    )
    assert [(n, e.data.product_id, e.id) for n, e in mapped.events] == [
        (0, "x", "ordini/2/7/0"),
        (1, "y", "ordini/2/7/1"),
    ]


def test_one_item_that_cant_be_read_costs_itself() -> None:
    mapping = event(each="value.l", customer="item.c")
    mapped = compiled(mapping).map(record({"l": [{"c": "a"}, {"c": None}, {"c": "b"}]}))
    assert [(n, e.customer) for n, e in mapped.events] == [(0, "a"), (2, "b")]
    assert [error.reason for error in mapped.refusals] == ["missing_id"]


def test_a_record_that_becomes_too_many_is_refused_whole() -> None:
    items = [{"c": "a"}] * (MAX_EVENTS_OF_RECORD + 1)
    mapped = compiled(event(each="value", customer="item.c")).map(record(items))
    assert not mapped.events
    assert mapped.refusals[0].reason == "too_large"


def test_a_visitor_is_one_and_a_customer_may_be_known_beside() -> None:
    visitor = only(event(customer=None, visitor="value.v"), {"v": "a-7"})
    assert (visitor.customer, visitor.anonymous_id, visitor.named) == ("a-7", "a-7", False)
    both = only(event(visitor="value.v"), {"v": "a-7", "c": "anna"})
    assert (both.customer, both.anonymous_id, both.named) == ("anna", "a-7", True)


def test_history_is_said_by_the_mapping_or_by_an_instant() -> None:
    assert only(event(history=True), {"c": "a"}).backfill
    assert only(event(history="value.h"), {"c": "a", "h": True}).backfill
    before = {**event(), "history_before": "2026-03-02T09:15:01Z"}
    assert only(before, {"c": "a"}).backfill
    assert not only({**before, "history_before": "2026-03-02T09:15:00Z"}, {"c": "a"}).backfill


def test_an_optional_property_never_costs_its_event() -> None:
    mapping = event(
        properties={"product_id": "'x'", "price": "value.a - value.b", "name": "value.n"}
    )
    mapped = compiled(mapping).map(record({"c": "a", "a": 1, "b": "zwei"}))
    ((_, found),) = mapped.events
    assert found.data.price is None
    assert len(mapped.failures) == 1
    assert not compiled(mapping).map(record({"c": "a"})).failures  # it is only absent


def test_nobody_may_say_what_only_ritorno_may() -> None:
    assert "Ritorno's own" in refusal({**event(), "source": "/ritorno/pages"}, {"c": "a"})
    assert "Ritorno's own" in refusal(event(), {"c": "ritorno/address/x"})


def test_whom_it_is_about_has_to_be_there() -> None:
    assert refusal(event(), {}) == "customer, visitor: one of them is needed"


def test_a_condition_that_fails_refuses_the_record() -> None:
    assert "value.n > 1" in refusal(event(when="value.n > 1"), {"c": "a", "n": "viele"})
    assert "neither true nor false" in refusal(event(when="value.n"), {"c": "a", "n": 1})


@pytest.mark.parametrize(
    ("text", "scope", "expected"),
    [
        ("value.a.b", {"value": {"a": {"b": 3}}}, 3),
        ("value.a.b", {"value": {"a": 1}}, None),
        ("value['a b']", {"value": {"a b": 1}}, 1),
        ("'EUR'", {}, "EUR"),
        ("value.a == 'x'", {"value": {"a": "x"}}, True),
        ('value.a == "y"', {"value": {"a": "x"}}, False),
        ("value.a == 'x'", {"value": {}}, False),
        ("value.a == 'it\\'s'", {"value": {"a": "it's"}}, True),
        ("has(value.a)", {"value": {"a": None}}, False),
        ("has(value.a) ? value.a : 'x'", {"value": {}}, "x"),
        ("value.a == null", {"value": {}}, True),
        ("value.l[0].sku", {"value": {"l": [{"sku": "m"}]}}, "m"),
        ("value.l.map(r, r.sku)", {"value": {"l": [{"sku": "m"}]}}, ["m"]),
        ("value.d > 1.5", {"value": {"d": Decimal("2.5")}}, True),
        ("millis(value.t)", {"value": {"t": 1_772_442_900_123}}, "2026-03-02T09:15:00.123000Z"),
        ("days(value.t)", {"value": {"t": 20_514}}, "2026-03-02"),
        ("upper(value.a) + '!'", {"value": {"a": "ciao"}}, "CIAO!"),
    ],
)
def test_expressions(text: str, scope: dict[str, Any], expected: Any) -> None:
    assert compile_value(text, {"value"}).evaluate(scope) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("valeu.a", "no such name: valeu; did you mean value?"),
        ("CONFERMATO", "a text stands in quotes"),
        ("lowr(value.a)", "no such function: lowr; did you mean lower?"),
        ("value.a ==", "no expression in CEL at its end"),
        ("value.a.map(x, value.b.map(y, y))", "at most 1"),
        ("'x' + " * 300 + "'x'", "at most 1000"),
    ],
)
def test_expressions_that_cant_be_meant(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(problem)):
        compile_value(text, {"value"})


@pytest.mark.parametrize("value", [list(range(1_001)), ["x" * 65_537], {"a": ["x"] * 1_001}])
def test_an_expression_gets_no_more_than_it_can_work_on(value: Any) -> None:
    with pytest.raises(ExpressionFailed, match="handed to it"):
        compile_value("size(value.a) > 1", {"value"}).evaluate({"value": {"a": value}})


def test_connects_decimals() -> None:
    assert decimal("FFA=", 2) == "52.00"
    assert decimal("/w==", 2) == "-0.01"
    with pytest.raises(ValueError, match="not base64"):
        decimal("52,00", 2)


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        ({"type": "order.complete"}, "events.0.type", "did you mean order.completed?"),
        ({"type": "address.said"}, "events.0.type", "no such type"),
        (
            {"properties": {"product_id": "'x'", "prize": "1"}},
            "events.0.properties.prize",
            "did you mean price?",
        ),
        ({"properties": {}}, "events.0.properties", "product_id: missing"),
        ({"customer": None}, "events.0", "customer: missing"),
        ({"each": "value.l", "id": "value.n"}, "events.0.id", "the same for each item"),
        ({"when": "item.x"}, "events.0.when", "no such name: item"),
        (
            {"properties": {"product_id": {"each": "value.l", "fields": {}}}},
            "events.0.properties.product_id",
            "is no list",
        ),
    ],
)
def test_what_cant_be_meant_is_told_with_its_place(
    change: dict[str, Any], path: str, problem: str
) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        compiled(event(**change))
    assert any(issue.path == path and problem in issue.problem for issue in caught.value.found), (
        caught.value.found
    )


def test_the_same_record_becomes_the_same_events() -> None:
    mapping = compiled(orders())
    assert mapping.map(record(order())) == mapping.map(record(order()))


def test_a_source_reads_as_it_was_written() -> None:
    source = Source.model_validate(orders())
    assert Source.model_validate(source.model_dump(exclude_defaults=True)) == source
