"""The properties of an event: a tree of expressions, and its names as the type's model has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from agents.mappings.expressions import (
    CompiledExpression,
    ExpressionFailed,
    Scope,
    as_json,
    compile_value,
)
from agents.mappings.scope import OF_ITEM
from agents.rules.cel_text import ExpressionError
from agents.rules.validation_errors import ValidationIssue
from schemas.field_kinds import field_kinds, member_kind
from schemas.mappings import Constant, Each, Property
from schemas.suggestions import did_you_mean
from schemas.validation import Unreadable

MAX_ITEMS = 2_000
"""Of a list of objects: as many lines as an order has."""

MAX_DEPTH = 10

Failures = list[str]
"""Expressions that failed although all that they need is there; what they should have given is left
out."""

_Evaluate = Callable[[Scope, Failures], Any]


class Issues:
    """Gathers what is wrong, each with its path in the file."""

    def __init__(self) -> None:
        self.found: list[ValidationIssue] = []

    def add(self, path: str, problem: str) -> None:
        """Note that something at `path` can't be meant."""
        self.found.append(ValidationIssue(path, problem))

    def compiled(
        self, path: str, text: str | None, roots: Collection[str]
    ) -> CompiledExpression | None:
        """Return an expression, None where there is none or it can't be used."""
        if text is None:
            return None
        try:
            return compile_value(text, roots)
        except ExpressionError as error:
            self.add(path, str(error))
            return None


def compile_properties(
    tree: Mapping[str, Property],
    model: type[BaseModel],
    path: str,
    roots: Collection[str],
    issues: Issues,
) -> Callable[[Scope, Failures], dict[str, Any]]:
    """Compile the properties of an event whose data is a `model`."""
    _check_names(tree, model, path, issues)
    return _object(tree, model, path, roots, issues)


def is_true(condition: CompiledExpression, scope: Scope) -> bool:
    """Whether a condition holds; one that needs what isn't there doesn't. Raises Unreadable."""
    try:
        result = condition.evaluate(scope)
    except ExpressionFailed as error:
        if error.is_null:
            return False
        raise Unreadable("mapping_failed", str(error)) from None
    if result is None or isinstance(result, bool):
        return result is True
    problem = f"{condition.text}: neither true nor false (got {result!r})"
    raise Unreadable("mapping_failed", problem[:300])


def _object(
    tree: Mapping[str, Property],
    model: type[BaseModel] | None,
    path: str,
    roots: Collection[str],
    issues: Issues,
    depth: int = 0,
) -> Callable[[Scope, Failures], dict[str, Any]]:
    if depth > MAX_DEPTH:
        issues.add(path, f"nested more than {MAX_DEPTH} deep")
        return lambda _scope, _failures: {}
    compiled = [
        (name, _property(each, name, model, f"{path}.{name}", roots, issues, depth))
        for name, each in tree.items()
    ]

    def evaluate(scope: Scope, failures: Failures) -> dict[str, Any]:
        found = {}
        for name, each in compiled:
            value = each(scope, failures)
            if value is not None:
                found[name] = value
        return found

    return evaluate


def _property(
    given: Property,
    name: str,
    model: type[BaseModel] | None,
    path: str,
    roots: Collection[str],
    issues: Issues,
    depth: int,
) -> _Evaluate:
    match given:
        case Constant():
            return lambda _scope, _failures: given.constant
        case Each():
            return _list(given, _members(model, name, path, issues), path, roots, issues, depth)
        case dict():
            within = None if model is None else field_kinds(model)[name].model
            return _object(given, within, path, roots, issues, depth + 1)
        case str():
            expression = issues.compiled(path, given, roots)
            return _nothing if expression is None else _value(expression)
    return lambda _scope, _failures: given


def _nothing(_scope: Scope, _failures: Failures) -> None:
    """What a property is whose expression can't be compiled: the mapping isn't used then."""


def _value(expression: CompiledExpression) -> _Evaluate:
    def evaluate(scope: Scope, failures: Failures) -> Any:
        try:
            value = expression.evaluate(scope)
        except ExpressionFailed as error:
            if not error.is_null:
                failures.append(str(error))
            return None
        return value if type(value) is str else as_json(value)

    return evaluate


def _list(
    given: Each,
    model: type[BaseModel] | None,
    path: str,
    roots: Collection[str],
    issues: Issues,
    depth: int,
) -> _Evaluate:
    items = issues.compiled(f"{path}.each", given.each, roots)
    inner = frozenset(roots) | OF_ITEM
    when = issues.compiled(f"{path}.when", given.when, inner)
    if model is not None:
        _check_names(given.fields, model, f"{path}.fields", issues)
    fields = _object(given.fields, model, f"{path}.fields", inner, issues, depth + 1)
    if items is None:
        return _nothing

    def evaluate(scope: Scope, failures: Failures) -> list[dict[str, Any]]:
        return [
            fields(inner_scope, failures)
            for inner_scope in each_item(items, scope, MAX_ITEMS)
            if when is None or is_true(when, inner_scope)
        ]

    return evaluate


def each_item(items: CompiledExpression, scope: Scope, at_most: int) -> Iterator[dict[str, Any]]:
    """Yield the scope of each item of a list; none where there is no list. Raises Unreadable."""
    try:
        found = items.evaluate(scope)
    except ExpressionFailed as error:
        if error.is_null:
            return
        raise Unreadable("mapping_failed", str(error)) from None
    if found is None:
        return
    if not isinstance(found, list | tuple):
        problem = f"{items.text}: no list (got {type(found).__name__})"
        raise Unreadable("mapping_failed", problem[:300])
    if len(found) > at_most:
        problem = f"{items.text}: {len(found)} items, at most {at_most}"
        raise Unreadable("too_large", problem[:300])
    for index, item in enumerate(found):
        yield {**scope, "item": item, "index": index}


def _members(
    model: type[BaseModel] | None, name: str, path: str, issues: Issues
) -> type[BaseModel] | None:
    kind = None if model is None else field_kinds(model).get(name)
    if model is None or kind is None:
        return None
    if kind.kind != "list":
        issues.add(path, f"{name} is no list, so it has no `each`")
        return None
    return member_kind(model, kind.name).model


def _check_names(
    tree: Mapping[str, Property], model: type[BaseModel], path: str, issues: Issues
) -> None:
    """See that each property is one that the model reads, and that none is missing."""
    kinds = field_kinds(model)
    known = {key for key in kinds if isinstance(key, str)}
    known |= {key[0] for key in kinds if isinstance(key, tuple)}
    if model.model_config.get("extra") != "allow":
        for name in tree:
            if name not in known:
                near = did_you_mean(name, known) or f"; there are {', '.join(sorted(known))}"
                issues.add(f"{path}.{name}", f"no such property: {name}{near}")
    missing = {kind.name for kind in kinds.values() if kind.required}
    missing -= {kinds[name].name for name in tree if name in kinds}
    for name in sorted(missing):
        issues.add(path, f"{name}: missing, it can't be left out")
