"""The examples that `mappings.yaml` carries: what is given, and what is to come of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from pydantic import BaseModel

from agents.mappings.envelopes import ForeignRecord
from agents.mappings.mapping import Mapped, SourceMapping
from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.mappings import Example, ExpectedEvent
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.problem_words import shown_value
from streams.connect.mappings.mapping_file import MappingFile
from streams.messages.plurals import several

NOTED_AT = 1_772_442_000_000
"""2026-03-02T09:00:00Z: the time of a record whose example gives none."""


class ExampleResult(NamedTuple):
    """How an example has ended."""

    mapping: str
    name: str
    location: str
    problems: list[str]


def try_examples(
    file: MappingFile, notation: Notation = DEFAULT_NOTATION
) -> Iterator[ExampleResult]:
    """Yield what has become of each example."""
    for number, mapping in enumerate(file.mappings):
        for position, example in enumerate(mapping.source.examples):
            location = file.location("mappings", number, "examples", position)
            problems = _problems(mapping, example, notation)
            yield ExampleResult(mapping.source.name, example.name, location, problems)


def map_example(mapping: SourceMapping, example: Example, notation: Notation) -> Mapped:
    """Return what the record of an example becomes."""
    given = example.given
    time = NOTED_AT if given.time is None else given.time
    topic = mapping.source.topic
    record = ForeignRecord(topic, 0, 0, time, given.key, given.value, given.headers)
    return mapping.map(record, notation)


def _problems(mapping: SourceMapping, example: Example, notation: Notation) -> list[str]:
    mapped = map_example(mapping, example, notation)
    problems = [f"an expression failed: {each}" for each in mapped.failures]
    refusals = [error.detail for error in mapped.refusals]
    if example.refused is not None:
        if not any(example.refused in each for each in refusals):
            said = "; ".join(refusals) or "it was taken"
            problems.append(f"refused: expected {example.refused!r}, but {said}")
        return problems
    problems += [f"refused: {each}" for each in refusals]
    events = [event for _, event in mapped.events]
    expected = [] if example.expect == "dropped" or example.expect is None else example.expect
    if example.expect == "dropped" and not mapped.dropped:
        problems.append(f"expected to be dropped, but became {_types(events)}")
    elif len(events) != len(expected):
        came = several(len(events), "event")
        problems.append(
            f"expected {several(len(expected), 'event')}, but {came} came: {_types(events)}"
        )
    for number, (event, wanted) in enumerate(zip(events, expected, strict=False)):
        problems += [f"expect.{number}.{each}" for each in _differences(event, wanted)]
        problems += [f"expect.{number}.{each}" for each in _left_out(event, wanted)]
    return problems


def _left_out(event: Event, wanted: ExpectedEvent) -> Iterator[str]:
    """Yield the properties that can't be read, unless the example says what comes of them."""
    for odd in event.odd:
        name = odd.field.partition(".")[0]
        if not odd.kept and odd.field != "time" and name not in wanted.properties:
            yield f"properties.{odd.field}: can't be read and is left out (got {odd.value})"


def _types(events: list[Event]) -> str:
    return ", ".join(event.type for event in events) or "nothing"


def _differences(event: Event, wanted: ExpectedEvent) -> Iterator[str]:
    who = event.customer if event.named or event.anonymous_id is None else None
    facts: dict[str, Any] = {
        "type": event.type,
        "customer": who,
        "visitor": event.anonymous_id,
        "id": event.id,
        "source": event.source,
        "time": None if event.time is None else to_rfc3339(event.time),
        "history": event.backfill,
    }
    for name, fact in facts.items():
        want = getattr(wanted, name)
        if name == "time" and want is not None:
            want = to_rfc3339(want)
        if want is not None and want != fact:
            yield f"{name}: expected {shown_value(want)}, but it is {shown_value(fact)}"
    data: BaseModel = event.data
    properties = data.model_dump(mode="json", exclude_none=True)
    for name, value in wanted.properties.items():
        yield from _compared(f"properties.{name}", value, properties.get(name))


def _compared(path: str, want: Any, fact: Any) -> Iterator[str]:
    """Compare what is named: of an object its named fields, of a list all of its items."""
    if isinstance(want, dict) and isinstance(fact, dict):
        for name, value in want.items():
            yield from _compared(f"{path}.{name}", value, fact.get(name))
    elif isinstance(want, list) and isinstance(fact, list) and len(want) == len(fact):
        for number, (one, other) in enumerate(zip(want, fact, strict=True)):
            yield from _compared(f"{path}.{number}", one, other)
    elif want != fact and not _same_number(want, fact):
        yield f"{path}: expected {shown_value(want)}, but it is {shown_value(fact)}"


def _same_number(want: Any, fact: Any) -> bool:
    """Whether two amounts are the same, written as a text or a number: `52` and `"52.00"`."""
    if isinstance(want, bool) or isinstance(fact, bool) or want is None or fact is None:
        return False
    try:
        return Decimal(str(want)) == Decimal(str(fact))
    except InvalidOperation:
        return False
