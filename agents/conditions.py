"""Conditions: rules of workflow files as functions over a customer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NamedTuple

from agents.vocabulary import Vocabulary
from schemas.customer import Customer, Run
from schemas.definitions.conditions import Condition, Test
from schemas.stored import NEVER

_NAMED = re.compile(r"\{([a-z_.]+)\}")


class Subject(NamedTuple):
    """What a condition is about."""

    customer: Customer
    now: int
    run: Run | None = None
    event: Mapping[str, Any] = {}


class ConditionMistake(ValueError):
    """A condition that can't hold for anybody. `path`: where in it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class Check(NamedTuple):
    """A compiled condition."""

    holds: Callable[[Subject], bool]
    reads: frozenset[str]

    def __call__(self, subject: Subject) -> bool:
        """Return whether it holds."""
        return self.holds(subject)


def compile_condition(condition: Condition, vocabulary: Vocabulary, *, about: str = "") -> Check:
    """Return the condition as a function. Raises ConditionMistake."""
    parts: list[Callable[[Subject], bool]] = []
    reads: set[str] = set()
    for name, test in condition.fields.items():
        if not vocabulary.knows(name, about):
            near = get_close_matches(name, vocabulary.types(about), n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise ConditionMistake(name, f"no such field: {name}{hint}")
        parts.append(_field_test(name, test))
        reads.add(name)
    if condition.cel:
        raise ConditionMistake("cel", "expressions can't be used yet")
    every = [compile_condition(part, vocabulary, about=about) for part in condition.all_]
    some = [compile_condition(part, vocabulary, about=about) for part in condition.any_]
    none = [compile_condition(condition.not_, vocabulary, about=about)] if condition.not_ else []
    reads.update(*(check.reads for check in (*every, *some, *none)))

    def holds(subject: Subject) -> bool:
        return (
            all(part(subject) for part in parts)
            and all(check(subject) for check in every)
            and (not some or any(check(subject) for check in some))
            and not any(check(subject) for check in none)
        )

    return Check(holds, frozenset(reads))


def read_field(name: str, subject: Subject) -> Any:
    """Return what a field is at the moment; None when it isn't known."""
    customer, run = subject.customer, subject.run
    room, _, rest = name.partition(".")
    order = customer.order(run.order_id) if run is not None and run.order_id else None
    coupon = next((c for c in customer.coupons if run is not None and c.code == run.coupon), None)
    readers: dict[str, Callable[[], Any]] = {
        "profile": lambda: getattr(customer.profile, rest) or None,
        "fields": lambda: customer.fields.get(rest),
        "event": lambda: subject.event.get(rest),
        "orders": lambda: getattr(customer.statistics, rest),
        "order": lambda: getattr(order, rest, None) or None,
        "coupon": lambda: None if coupon is None or coupon.expires == NEVER else coupon.expires,
        "lists": lambda: sorted(n for n, s in customer.lists.items() if s.subscribed),
        "tags": lambda: sorted(customer.tags),
        "segments": lambda: customer.segments,
        "views": lambda: customer.views,
    }
    if name == "cart.total":
        return customer.cart.total()
    if name == "cart.categories":
        return sorted({line.category for line in customer.cart.lines if line.category})
    return readers[room]()


def fill(text: str, subject: Subject) -> str:
    """Replace each `{field}` by what it is; by nothing when it isn't known."""

    def value(match: re.Match[str]) -> str:
        found = read_field(match[1], subject)
        return "" if found is None else str(found)

    return _NAMED.sub(value, text)


def _field_test(name: str, test: Test) -> Callable[[Subject], bool]:
    def holds(subject: Subject) -> bool:
        value = read_field(name, subject)
        return all(_asked(key, value, getattr(test, key), subject.now) for key in asked)

    asked = sorted(test.model_fields_set)
    return holds


def _asked(key: str, value: Any, wanted: Any, now: int) -> bool:
    if key == "known":
        return (value not in (None, [], "")) is wanted
    if value is None:
        return key in ("is_not", "not_in", "lacks")
    if isinstance(value, Decimal) or (isinstance(wanted, int | float) and isinstance(value, str)):
        value = _number(value)
    tests: dict[str, Callable[[], Any]] = {
        "is_": lambda: value == wanted,
        "is_not": lambda: value != wanted,
        "one_of": lambda: value in wanted,
        "not_in": lambda: value not in wanted,
        "above": lambda: value > wanted,
        "at_least": lambda: value >= wanted,
        "below": lambda: value < wanted,
        "at_most": lambda: value <= wanted,
        "contains": lambda: wanted in value,
        "lacks": lambda: wanted not in value,
        "within": lambda: value > 0 and now - value <= wanted,
        "longer_ago_than": lambda: value > 0 and now - value > wanted,
    }
    return bool(tests[key]())


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")
