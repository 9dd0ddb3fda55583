"""A customer's timeline: what the customer did, what was decided and why, what became of the mails.

Put together from the log (the customer's events, also those from before it was known who the
visitor was, and the decisions in `facts`), or from what a replay has written. Whatever stands twice
after a crash is told once.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from agents.customer.ownership import RecordOwnership
from agents.customer.speaker import of_itself
from agents.rules.local_time import local
from schemas.decisions import DECISION, Decision
from schemas.definitions import DEFINITION
from schemas.definitions.custom_events import CustomEvents
from schemas.definitions.workflow import Workflow
from schemas.events import INTERNAL_TYPES, Event
from schemas.events.custom import CUSTOM, is_custom
from schemas.facts import is_fact
from schemas.instant import parse_instant
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.records import Record
from schemas.reference import both, of_visitor
from schemas.signals import SIGNAL, AudienceExported
from schemas.stored import NEVER
from schemas.time_units import MINUTE_MS
from schemas.validation import Unreadable, first_error
from schemas.wire import parse_published, parse_record
from streams.http.internal.client import Lookups
from streams.log import Log, OnProgress, scan
from streams.messages.decisions import reason, with_detail
from streams.messages.events import happened, oddities
from streams.messages.translations import Language, message, title_in
from streams.operate.declarations import Declarations
from streams.operate.lookup import known_customers, latest_states
from streams.operate.record_search import find_records
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS, CUSTOMER_SIGNALS, FACTS

_TOLD = frozenset({"visitor.merged", "visitor.unlinked", "order.placed_elsewhere"})
"""What our own actors tell each other and people are told, too."""


_ABOUT_AN_ORDER = ("order.updated", "order.shipped", "order.delivered", "order.cancelled",
                   "order.refunded")  # fmt: skip
"""What is told of orders, but for the purchase."""


class TimelineError(Exception):
    """The timeline can't be made; the text says why."""


class TimelineEntry(NamedTuple):
    """One entry of the timeline."""

    time: int
    """By the log (ms)."""
    kind: Literal["event", "mail", "decision"]
    text: str
    type: str
    """Of the event, or the kind of the decision."""
    reason: str = ""
    workflow: str = ""
    step: str = ""
    detail: str = ""
    odd: tuple[str, ...] = ()
    """Of an event: what of it was read otherwise or left out, in words."""


class PendingWait(NamedTuple):
    """What a run waits for."""

    workflow: str
    due: int
    held_for: str


@dataclass(slots=True)
class TimelineData:
    """What is known of a customer, before it is put into words."""

    ownership: RecordOwnership
    """What is the customer's, and that of the visitors it was."""
    stranger: RecordOwnership = RecordOwnership(())  # noqa: RUF009  # it can't be changed
    """What is a visitor's who has the customer's id and isn't known to be the customer."""
    zone: str = ""
    events: list[tuple[int, Event]] = field(default_factory=list)
    """With the time at which each reached the log."""
    decisions: list[Decision] = field(default_factory=list)
    waiting: list[PendingWait] = field(default_factory=list)
    exports: list[AudienceExported] = field(default_factory=list)
    """Audiences that the customer was handed out in."""
    unplaced: set[str] = field(default_factory=set)
    """Numbers of orders of which something was told, and that haven't come under this id."""
    declared: Declarations = field(default_factory=Declarations)
    """What the shop declares of its events."""


async def from_log(
    log: Log,
    customer: str,
    on_progress: OnProgress,
    *,
    notation: Notation = DEFAULT_NOTATION,
    lookups: Lookups | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> TimelineData:
    """Collect from the topics; `notation` is how the shop's systems write. Raises StoryError when
    the customer was erased, LogError.

    The owner is asked through `lookups` what it keeps and where the rest lies; `told` says when
    nobody answers, and then everybody's records are read.
    """
    look_up = partial(latest_states, log, on_progress=on_progress, lookups=lookups, told=told)
    states = await look_up(customer)
    known = known_customers(states)
    if states and not known:
        raise TimelineError(f"{customer!r} was erased")
    if len(known) > 1 and known[of_visitor(customer)].became:
        del known[of_visitor(customer)]  # it is the customer's, or another has claimed the id
    visitors = {each for kept in known.values() for each in kept.visitors}
    taken = set[str]()
    for each in sorted(visitors - {customer}):
        if each in known_customers(await look_up(each)):
            taken.add(each)
    references = known or dict.fromkeys(both(customer))
    source = TimelineData(
        ownership=RecordOwnership([*references, *map(of_visitor, visitors)], taken),
        zone=next((each.profile.zone for each in known.values() if each.profile.zone), ""),
        waiting=[
            PendingWait(run.workflow, run.due, run.held_for)
            for kept in known.values()
            for run in kept.runs
        ],
        unplaced={early.order.id for kept in known.values() for early in kept.early},
    )
    if len(known) > 1:
        source.stranger = RecordOwnership([of_visitor(customer)], [customer])
    keys = source.ownership.keys
    found = partial(
        find_records, log, keys=keys, lookups=lookups, told=told, on_progress=on_progress
    )
    _take_events(await found(CUSTOMER_EVENTS), source, notation)
    source.exports = [each async for each in _exports(log, references, on_progress)]
    decided = {record.value: _decision(record.value or b"") for record in await found(FACTS)}
    source.decisions = sorted(
        (
            each
            for each in decided.values()
            if each is not None and source.ownership.is_named(each.customer)
        ),
        key=lambda each: each.time,
    )
    return source


def from_replay(
    directory: Path,
    customer: str,
    events: Iterable[bytes] = (),
    notation: Notation = DEFAULT_NOTATION,
) -> TimelineData:
    """Collect from what a replay has written, and from the lines of events that it read.

    Raises StoryError when the directory holds no replay.
    """
    source, visitors, customers = TimelineData(RecordOwnership(())), set[str](), set[str]()
    for known in _lines(directory / "customers.ndjson"):
        if not known.get("visitor"):
            customers.add(known.get("key", ""))
        if known.get("key") == customer:
            visitors.update(known.get("visitors", ()))
            source.zone = source.zone or known.get("profile", {}).get("zone", "")
            source.waiting += [
                PendingWait(run["workflow"], _instant(run["due"]), run.get("held_for", ""))
                for run in known.get("runs", ())
            ]
            source.unplaced |= {each["order"]["id"] for each in known.get("early", ())}
    ownership = source.ownership = RecordOwnership(
        (*both(customer), *map(of_visitor, visitors)), customers & (visitors - {customer})
    )
    decisions = decisions_of(directory)
    source.decisions = [each for each in decisions if ownership.is_named(each.customer)]
    now = 0
    for line in events:
        try:
            event = parse_published(line, notation)
        except Unreadable:
            continue  # the replay has said so
        now = max(now, event.time or 0)  # as the replay appends them
        if ownership.is_about(event):
            source.events.append((now, event))
    return source


def decisions_of(directory: Path) -> Iterator[Decision]:
    """Yield the decisions that a replay has written. Raises StoryError."""
    path = directory / "decisions.ndjson"
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield DECISION.validate_python(_own_names(line))
        except ValidationError as error:
            raise TimelineError(f"{path}:{number}: {first_error(error)}") from None


def customers_of(directory: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the customers that a replay has written. Raises StoryError."""
    return _lines(directory / "customers.ndjson")


def titles_of(contents: Iterable[bytes], language: Language) -> dict[str, str]:
    """Return what workflows are called, by id; of several versions the last one says it."""
    titles: dict[str, str] = {}
    for content in contents:
        try:
            definition = DEFINITION.validate_json(content)
        except ValidationError:
            continue  # of a newer Ritorno: it goes by its id
        if isinstance(definition, Workflow):
            given = definition.title
            titles[definition.id] = title_in(given, language) or definition.id
        elif isinstance(definition, CustomEvents):
            for each in definition.events:
                titles[CUSTOM + each.id] = title_in(each.title, language) or each.id
    return titles


async def read_decisions(log: Log, on_progress: OnProgress) -> list[Decision]:
    """Return all decisions in `facts`, each once, in order of time. Raises LogError."""
    found: dict[bytes, Decision] = {}
    async for record in scan(log, FACTS, on_progress=on_progress):
        if record.value is not None and record.value not in found and not is_fact(record):
            decision = _decision(record.value)
            if decision is not None:
                found[record.value] = decision
    return sorted(found.values(), key=lambda decision: decision.time)


async def read_events_of(
    log: Log, types: Collection[str], on_progress: OnProgress
) -> tuple[dict[str, dict[str, list[int]]], int]:
    """Return by type and customer when such events happened (ms), and how far the log goes.

    Raises LogError.
    """
    found: dict[str, dict[str, list[int]]] = {}
    wanted = {type_.encode() for type_ in types}
    until = 0
    async for record in scan(log, CUSTOMER_EVENTS, on_progress=on_progress):
        until = max(until, record.timestamp)
        kind = record.header("ce_type")  # none in structured mode
        if record.key is None or not (kind is None or kind in wanted):
            continue
        try:
            event = parse_record(record)
        except Unreadable:
            continue  # it is among the dead letters
        if event.type not in types:
            continue
        who = of_visitor(event.customer) if of_itself(event) else event.customer
        times = found.setdefault(event.type, {}).setdefault(who, [])
        times.append(min(event.time or record.timestamp, record.timestamp))
    return found, until


def decision_of(fact: object) -> Decision | None:
    """Read one of `facts`, None when it is no decision: hits lie there, too."""
    if not isinstance(fact, dict):
        return None
    try:
        return DECISION.validate_python(_own_names(fact))
    except ValidationError:
        return None


def describe(
    source: TimelineData, titles: Mapping[str, str], language: Language
) -> list[TimelineEntry]:
    """Put it into words, in order of time; what happened comes before what was decided of it."""

    def by(stranger: bool, line: TimelineEntry) -> TimelineEntry:
        if not stranger:
            return line
        return line._replace(text=message(language, "timeline.visitor", text=line.text))

    lines = []
    currencies = {
        event.data.order_id: event.data.currency
        for _, event in source.events
        if event.type == "order.completed"
    }
    numbers = {
        event.data.order_id: event.data.order_number
        for _, event in source.events
        if getattr(event.data, "order_number", None)
    }
    for time, event in source.events:
        line = _event_line(time, event, source, titles, currencies, numbers, language)
        lines.append(by(source.stranger.is_about(event), line))
    for each in source.exports:
        told = message(language, "timeline.exported", segment=each.segment, by=each.by)
        lines.append(TimelineEntry(each.time, "event", told, each.signal))
    for decision in source.decisions:
        line = _decision_line(decision, titles, language)
        lines.append(by(source.stranger.is_named(decision.customer), line))
    return sorted(lines, key=lambda line: line.time)


def waits(waiting: PendingWait, titles: Mapping[str, str], language: Language, when: str) -> str:
    """Say what a run waits for; `when`: its due time as people write it."""
    title = titles.get(waiting.workflow, waiting.workflow)
    if waiting.held_for:
        why = reason(waiting.held_for, language)
        return message(language, "timeline.held", title=title, when=when, reason=why)
    if waiting.due >= NEVER:
        return message(language, "timeline.waits_for_event", title=title)
    return message(language, "timeline.waits_until", title=title, when=when)


async def _exports(
    log: Log, references: Collection[str], on_progress: OnProgress
) -> AsyncIterator[AudienceExported]:
    count = await log.partitions(CUSTOMER_SIGNALS)
    partitions = {partition_of(each.encode(), count) for each in references}
    async for record in scan(log, CUSTOMER_SIGNALS, partitions, on_progress=on_progress):
        if (record.key or b"").decode("utf-8", "replace") not in references:
            continue
        try:
            told = SIGNAL.validate_json(record.value or b"")
        except ValidationError:
            continue
        if isinstance(told, AudienceExported):
            yield told


def _take_events(records: Iterable[Record], source: TimelineData, notation: Notation) -> None:
    seen: set[tuple[str, str, str]] = set()
    for record in records:
        try:
            event = parse_record(record, notation)
        except Unreadable:
            continue  # it is among the dead letters
        if not source.ownership.is_about(event):
            continue
        is_told = event.type not in INTERNAL_TYPES or event.type in _TOLD
        known_by = (event.source, event.type, event.id)
        if known_by not in seen and is_told:
            seen.add(known_by)
            source.events.append((record.timestamp, event))


def _event_line(
    time: int,
    event: Event,
    source: TimelineData,
    titles: Mapping[str, str],
    currencies: Mapping[str, str],
    numbers: Mapping[str, str],
    language: Language,
) -> TimelineEntry:
    """Put an event into words; `currencies`, `numbers`: of the orders, by id."""
    understood = source.declared.understood(event)
    event = understood or event
    notes = list(_notes(event, source, language, is_known=understood is not None, appended=time))
    text = happened(
        event,
        language,
        name=titles.get(event.type, "") if is_custom(event.type) else "",
        currency=currencies.get(order := getattr(event.data, "order_id", None) or ""),
        number=numbers.get(order),
        notes=notes,
    )
    workflow = getattr(event.data, "workflow", "") or ""
    if not event.type.startswith("mail."):
        odd = oddities(event, language)
        return TimelineEntry(time, "event", text, event.type, odd=odd)
    if workflow:
        text = f"{titles.get(workflow, workflow)}: {text}"
    code = getattr(event.data, "reason", "") or ""
    return TimelineEntry(time, "mail", text, event.type, code, workflow, event.data.step)


def _notes(
    event: Event, source: TimelineData, language: Language, *, is_known: bool, appended: int
) -> Iterator[str]:
    """Yield what there is to know of an event beside what it says."""
    if event.backfill:
        yield message(language, "event.history")
    elif event.time is not None and appended - event.time > LATE_MS:
        yield message(
            language, "event.late", when=f"{local(event.time, source.zone):%Y-%m-%d %H:%M}"
        )
    if not is_known:
        yield message(language, "event.undeclared")
    if event.type in _ABOUT_AN_ORDER and event.data.order_id in source.unplaced:
        yield message(language, "event.no_order")
    if event.type == "order.completed" and source.declared.lacks_rate(
        event.data.currency, min(event.time or appended, appended)
    ):
        yield message(language, "event.no_points", currency=event.data.currency)


LATE_MS = 5 * MINUTE_MS
"""An event that reaches the log so much later is said to have."""


def _decision_line(
    decision: Decision, titles: Mapping[str, str], language: Language
) -> TimelineEntry:
    title = titles.get(decision.workflow, decision.workflow)
    return TimelineEntry(
        decision.time,
        "decision",
        with_detail(decision, title, language),
        decision.decision,
        decision.reason,
        decision.workflow,
        decision.step,
        decision.detail,
    )


def _decision(value: bytes) -> Decision | None:
    try:
        return decision_of(from_json(value))
    except ValueError:
        return None


def _own_names(line: Mapping[str, Any]) -> dict[str, Any]:
    """On the wire the class of a mail is `class`, which is no name in Python."""
    return {("mail_class" if name == "class" else name): value for name, value in line.items()}


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    raise TimelineError(f"{path}:{number}: not JSON") from None
    except OSError as error:
        raise TimelineError(f"{path}: {error.strerror}; --from names what a replay wrote") from None
    except UnicodeDecodeError:
        raise TimelineError(f"{path}: not text; --from names what a replay wrote") from None


def _instant(text: str | None) -> int:
    return NEVER if text is None else parse_instant(text)
