"""Reads from the log, or from a file, which producer sends what wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic_core import from_json

from agents.insights.event_quality import EventQuality
from schemas.events import INTERNAL_TYPES, Event
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.records import OutRecord
from schemas.reserved import IMPORTED, SOURCES
from schemas.segment import SEGMENT_NAMES
from schemas.validation import Unreadable
from schemas.wire import MAX_EVENT_BYTES, ProductUpdate, parse_line, parse_record
from streams.log import Log, OnProgress, scan, within
from streams.operate.dead_letters import read_letters
from streams.operate.declarations import Declarations
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS

SEGMENT = "/segment"


async def read_event_quality(
    log: Log,
    *,
    since: int,
    on_progress: OnProgress,
    notation: Notation = DEFAULT_NOTATION,
    declared: Declarations,
) -> EventQuality:
    """Sum up what producers have sent since then (ms), and what was refused.

    Raises LogError.
    """
    quality = EventQuality(declared.understood)
    sizes = [await _size(log, topic) for topic in (CUSTOMER_EVENTS, DEAD_LETTERS)]
    events = within(on_progress, 0, sum(sizes))
    async for record in scan(log, CUSTOMER_EVENTS, since=since, on_progress=events):
        if record.key is None and record.header("ce_type") is not None:
            continue  # a control record
        try:
            event = parse_record(record, notation)
        except Unreadable:
            continue  # it is among the dead letters
        if not _is_ours(event):
            quality.read(event, record.timestamp)
    letters = within(on_progress, sizes[0], sum(sizes))
    async for letter in read_letters(log, since=since, on_progress=letters):
        if letter.origin.topic == CUSTOMER_EVENTS:
            source, type_ = _said_by(letter.original)
            quality.refused(source, type_, letter.reason, letter.detail, letter.time)
    return quality


def quality_of_lines(
    lines: Iterable[tuple[int, bytes]],
    *,
    since: int,
    report: Callable[[], None],
    notation: Notation = DEFAULT_NOTATION,
    declared: Declarations,
) -> EventQuality:
    """Sum up the numbered lines of a file. A line without a time counts as of the time of the one
    before; `report` is called now and then."""
    quality, now = EventQuality(declared.understood), 0
    for number, line in lines:
        if number % REPORTED_EVERY == 0:
            report()
        try:
            told = parse_line(line, notation)
        except Unreadable as error:
            if now >= since:
                where = f"line {number}: {error.detail}"
                quality.refused(*_said_by(OutRecord(None, line)), error.reason, where, now)
            continue
        now = max(now, told.time or 0)
        if now >= since and not isinstance(told, ProductUpdate) and not _is_ours(told):
            quality.read(told, now)
    return quality


REPORTED_EVERY = 2_000
"""Lines."""


async def _size(log: Log, topic: str) -> int:
    return sum(span.end - span.start for span in (await log.offsets(topic)).values())


def _is_ours(event: Event) -> bool:
    """Whether no producer has sent it, or our actors have passed it on."""
    return (
        event.type in INTERNAL_TYPES
        or event.forwarded
        or event.origin is not None
        or (event.source.startswith(SOURCES) and event.source != IMPORTED)
    )


def _said_by(original: OutRecord) -> tuple[str, str]:
    """Return source and type of a record that was refused, as far as it says so."""
    headers = dict(original.headers)
    source, type_ = _text(headers.get("ce_source")), _text(headers.get("ce_type"))
    if source or type_:
        return source or "/unknown", type_
    value = original.value or b""
    try:
        body = from_json(value) if len(value) <= MAX_EVENT_BYTES else None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return "", ""
    if isinstance(body.get("headers"), dict):
        body = {name.removeprefix("ce_"): said for name, said in body["headers"].items()}
    elif "specversion" not in body:
        name = _text(body.get("event", body.get("type")))
        return SEGMENT, SEGMENT_NAMES.get(name, name)
    return _text(body.get("source")) or "/unknown", _text(body.get("type"))


def _text(said: object) -> str:
    """Return what somebody says, cut, empty where it is no text."""
    if isinstance(said, bytes):
        said = said.decode("utf-8", "replace")
    return said[:MOST_CHARACTERS] if isinstance(said, str) else ""


MOST_CHARACTERS = 200
"""Of a source or a type."""
