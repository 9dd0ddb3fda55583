"""A record of a topic that others own becomes events of ours: by its source's mapping, and by
nothing else, so the same record always becomes the same events.

What can't be read is refused, with the reason: a record as a whole where its envelope or a
condition can't be read, else the event alone, and the others that are made of the record count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel

from agents.mappings import envelopes
from agents.mappings.envelopes import ForeignMessage, ForeignRecord
from agents.mappings.expressions import (
    CompiledExpression,
    ExpressionFailed,
    Scope,
    as_json,
)
from agents.mappings.properties import (
    Failures,
    Issues,
    compile_properties,
    each_item,
    is_true,
)
from agents.mappings.scope import OF_ITEM, names, scope_of
from agents.rules.validation_errors import InvalidDefinition
from schemas.events import EVENT_TYPES, INTERNAL_TYPES, Event
from schemas.events.custom import CUSTOM, is_custom, is_declarable
from schemas.events.odd import OddField, noted
from schemas.mappings import EventMapping, Source
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.reserved import reserved, reserved_id
from schemas.suggestions import did_you_mean
from schemas.validation import (
    Unreadable,
    checked_id,
    checked_time,
    is_no_id,
    payload_model,
    validated,
)
from schemas.whom import is_the_visitors
from schemas.wire import parse_object

MAX_EVENTS_OF_RECORD = 1_000
"""What one record may become: a batch, the lines of an order."""


class Mapped(NamedTuple):
    """What has become of a record."""

    events: list[tuple[int, Event]]
    """Each with its number among all that the record becomes, those that are refused counted."""
    refusals: list[Unreadable]
    dropped: bool
    """It was left out on purpose, or is about nothing that is mapped."""
    failures: Failures


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """A source's mapping, compiled."""

    source: Source
    _drop: tuple[CompiledExpression, ...]
    _events: tuple[_CompiledEvent, ...]

    def map(self, record: ForeignRecord, notation: Notation = DEFAULT_NOTATION) -> Mapped:
        """Return what a record becomes. Never raises for what others have written."""
        mapped = Mapped([], [], dropped=False, failures=[])
        try:
            for message in envelopes.unwrap(self.source.envelope, record):
                if isinstance(message, Unreadable):
                    mapped.refusals.append(message)
                else:
                    self._map_message(record, message, notation, mapped)
        except Unreadable as error:
            return Mapped([], [error], dropped=False, failures=mapped.failures)
        except RecursionError:
            too_deep = Unreadable("invalid_event", "value: nested too deep")
            return Mapped([], [too_deep], dropped=False, failures=mapped.failures)
        return mapped._replace(dropped=not mapped.events and not mapped.refusals)

    def _map_message(
        self, record: ForeignRecord, message: ForeignMessage, notation: Notation, mapped: Mapped
    ) -> None:
        """Add to `mapped` what a message becomes. Raises Unreadable when the whole record is to be
        refused."""
        scope = scope_of(record, message)
        if any(is_true(condition, scope) for condition in self._drop):
            return
        if not self._events:
            _add(mapped, lambda _: _as_it_is(record, message, notation))
        for event in self._events:
            if message.operation not in event.on:
                continue
            for inner in event.scopes(scope):
                made = partial(event.made, inner, record, message, notation, mapped.failures)
                _add(mapped, made)


def _add(mapped: Mapped, made: Callable[[int], Event]) -> None:
    """Add the event that is `made` with the next number, or why it is refused. Raises Unreadable
    when the record becomes too many."""
    number = len(mapped.events) + len(mapped.refusals)
    if number >= MAX_EVENTS_OF_RECORD:
        problem = f"more than {MAX_EVENTS_OF_RECORD} events of one record"
        raise Unreadable("too_large", problem)
    try:
        mapped.events.append((number, _published(made(number))))
    except Unreadable as error:
        mapped.refusals.append(error)


def compile_source(source: Source) -> SourceMapping:
    """Compile a source. Raises InvalidDefinition with all that is wrong; paths begin in it."""
    issues = Issues()
    roots = names(source.envelope)
    drop = [
        issues.compiled(f"drop.{number}", text, roots) for number, text in enumerate(source.drop)
    ]
    events = [
        _compiled(source, event, f"events.{number}", issues)
        for number, event in enumerate(source.events)
    ]
    if not source.events and source.envelope != "cloudevents":
        issues.add("events", "none: only CloudEvents can be taken as they are")
    if source.security.protocol != "plaintext" and source.broker is None:
        issues.add("security", "it is of `broker`, and there is none: our own is in the settings")
    if issues.found:
        raise InvalidDefinition(issues.found)
    return SourceMapping(
        source,
        tuple(each for each in drop if each is not None),
        tuple(each for each in events if each is not None),
    )


@dataclass(frozen=True, slots=True)
class _CompiledEvent:
    model: type[BaseModel]
    name: str
    """The type."""
    on: frozenset[str]
    when: CompiledExpression | None
    each: CompiledExpression | None
    customer: CompiledExpression | None
    visitor: CompiledExpression | None
    id: CompiledExpression | None
    time: CompiledExpression | None
    history: CompiledExpression | None
    is_history: bool | None
    properties: Callable[[Scope, Failures], dict[str, Any]]
    source: str
    history_before: int | None

    def scopes(self, scope: Scope) -> Iterator[Scope]:
        """Yield the scope of each event that a message becomes. Raises Unreadable."""
        if self.each is None:
            if self.when is None or is_true(self.when, scope):
                yield scope
            return
        for inner in each_item(self.each, scope, MAX_EVENTS_OF_RECORD):
            if self.when is None or is_true(self.when, inner):
                yield inner

    def made(
        self,
        scope: Scope,
        record: ForeignRecord,
        message: ForeignMessage,
        notation: Notation,
        failures: Failures,
        number: int,
    ) -> Event:
        """Return the event. Raises Unreadable."""
        odd: list[OddField] = []
        customer, visitor = self._whom(scope, odd)
        is_history = self._is_history(scope, message)
        given = _value(self.time, scope, "time")
        time = checked_time("time", given, notation, odd, needed=is_history)
        if time is None and odd and odd[-1].field == "time":
            failures.append(
                f"time: no point in time (got {odd[-1].value}), so the record's own time counts"
            )
        time = message.time if time is None else time
        if self.history_before is not None and time is not None and time < self.history_before:
            is_history = True
        if is_history and time is None:
            raise Unreadable("invalid_event", "time: missing, and history has to say when it was")
        data, of_data = validated(
            self.model, self.properties(scope, failures), notation, self.source
        )
        return Event(
            id=self._id(scope, record, number),
            type=self.name,
            source=self.source,
            time=time,
            customer=visitor or "" if customer is None else customer,
            anonymous_id=visitor,
            backfill=is_history,
            data=data,
            named=customer is not None and customer != visitor,
            odd=noted([*odd, *of_data]) if odd or of_data else (),
        )

    def _whom(self, scope: Scope, odd: list[OddField]) -> tuple[str | None, str | None]:
        customer = _id_of(self.customer, scope, "customer")
        visitor = _id_of(self.visitor, scope, "visitor")
        if customer is None and visitor is None:
            raise Unreadable("missing_id", "customer, visitor: one of them is needed")
        if None not in (customer, visitor) and is_the_visitors(customer, visitor, "customer", odd):
            return None, visitor
        return customer, visitor

    def _id(self, scope: Scope, record: ForeignRecord, number: int) -> str:
        if self.id is None:
            return f"{record.topic}/{record.partition}/{record.offset}/{number}"
        return checked_id("id", _value(self.id, scope, "id"))

    def _is_history(self, scope: Scope, message: ForeignMessage) -> bool:
        if self.history is not None:
            return is_true(self.history, scope)
        return message.is_snapshot if self.is_history is None else self.is_history


def _compiled(
    source: Source, event: EventMapping, path: str, issues: Issues
) -> _CompiledEvent | None:
    model = _model(event.type, f"{path}.type", issues)
    outer = names(source.envelope)
    roots = outer if event.each is None else outer | OF_ITEM

    def own(name: str) -> CompiledExpression | None:
        """The event's own expression; else the source's, which knows no items."""
        text = getattr(event, name)
        if text is not None:
            return issues.compiled(f"{path}.{name}", text, roots)
        return issues.compiled(name, getattr(source, name), outer)

    customer, visitor = own("customer"), own("visitor")
    if not any((event.customer, event.visitor, source.customer, source.visitor)):
        issues.add(path, "customer: missing; who is it about? customer or visitor is needed")
    id_ = issues.compiled(f"{path}.id", event.id, roots)
    if id_ is not None and event.each is not None and not id_.roots & OF_ITEM:
        problem = "the same for each item, so that only the first one would count; use item or "
        issues.add(f"{path}.id", f"{problem}index")
    history = event.history
    properties = None
    if model is not None:
        where = f"{path}.properties"
        properties = compile_properties(event.properties, model, where, roots, issues)
    compiled = {
        "when": issues.compiled(f"{path}.when", event.when, roots),
        "each": issues.compiled(f"{path}.each", event.each, outer),
        "customer": customer,
        "visitor": visitor,
        "id": id_,
        "time": own("time"),
    }
    of_history = history if isinstance(history, str) else None
    how = issues.compiled(f"{path}.history", of_history, roots)
    if model is None or properties is None:
        return None
    return _CompiledEvent(
        name=event.type,
        model=model,
        on=frozenset(event.on),
        history=how,
        is_history=history if isinstance(history, bool) else None,
        properties=properties,
        source=source.event_source,
        history_before=source.history_before,
        **compiled,
    )


def _model(type_: str, path: str, issues: Issues) -> type[BaseModel] | None:
    if is_custom(type_) and not is_declarable(type_):
        name = type_.removeprefix(CUSTOM)
        issues.add(path, f"no name of an event: {name!r}; a-z, 0-9 and _, at most 41 characters")
        return None
    known = [each for each in EVENT_TYPES if each not in INTERNAL_TYPES]
    if not is_custom(type_) and type_ not in known:
        near = did_you_mean(type_, known) or "; `ritorno events types` lists them"
        issues.add(path, f"no such type: {type_}{near}")
        return None
    return payload_model(type_)


def _as_it_is(record: ForeignRecord, message: ForeignMessage, notation: Notation) -> Event:
    """Return a CloudEvent of ours as it was sent. Raises Unreadable."""
    data = {} if message.value is None else message.value
    body: Mapping[str, Any] = {"specversion": "1.0", **(message.event or {}), "data": data}
    key = record.key.encode() if isinstance(record.key, str) else None
    event = parse_object(dict(body), notation, key=key)
    return event._replace(signature=b"", public=False, forwarded=False)


def _published(event: Event) -> Event:
    """Return an event that anybody may publish. Raises Unreadable."""
    if claim := reserved_id(event) or reserved(event):
        raise Unreadable("reserved", claim)
    return event


def _value(expression: CompiledExpression | None, scope: Scope, name: str) -> Any:
    """Return what an expression says, None where there is none or what it needs isn't there. Raises
    Unreadable."""
    if expression is None:
        return None
    try:
        return as_json(expression.evaluate(scope))
    except ExpressionFailed as error:
        if error.is_null:
            return None
        raise Unreadable("mapping_failed", f"{name}: {error}") from None


def _id_of(expression: CompiledExpression | None, scope: Scope, name: str) -> str | None:
    value = _value(expression, scope, name)
    return None if is_no_id(value) else checked_id(name, value)
