"""Publishing: lines of NDJSON in any accepted form become records of `customer-events`; those about
products (`product.updated`) go the product feed's way.

Lines are read in batches. A batch is appended partition by partition in the order of its lines and
awaited before the next one is read, so that at any moment all lines up to some number are published
and at most one batch is in doubt. After a failure the same file may be published again, from the
start or from that line: the customers' actors know an event that is already in the log by its
source and id. They do so for a week of the log's time, unless it is set otherwise
(`agents/customer/deduplication.py`); what is published again later than that counts again, except
orders.

A line that can't be read is reported with number, field and value, and goes to `dead-letters`, with
the key of whom it is about where that can be read, so that an erasure finds it; the others go on.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from schemas.dead_letters import refuse_line
from schemas.events import Event
from schemas.events.custom import is_custom
from schemas.failures import Failure
from schemas.line_keys import key_of
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.products import Product
from schemas.records import OutRecord
from schemas.reserved import reserved, reserved_id
from schemas.signing import RecordSigner
from schemas.validation import Unreadable
from schemas.wire import MAX_EVENT_BYTES, ProductUpdate, parse_line, to_record
from streams.clock import Clock
from streams.log import Log, LogError, append_all
from streams.partitioner import partition_of
from streams.runtime import product_feed
from streams.tools.event_types import suggestion
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS

BATCH = 1000
"""Lines awaited together: some 300 kB, and well above the point where latency dominates."""

KEPT_OF_TOO_LARGE = 10_000
"""Bytes kept of a line that is too large: it could not be sent again anyway, and the whole would
not fit into a dead letter either."""

_BOM = b"\xef\xbb\xbf"


class NumberedLine(NamedTuple):
    """A line of a file, counted from 1."""

    number: int
    content: bytes


Told = tuple[NumberedLine, Event | ProductUpdate | Unreadable]
"""A line and what it says, or why it can't be read."""


class RefusedLine(NamedTuple):
    """A line that is no event."""

    line: int
    reason: str
    detail: str


@dataclass(slots=True)
class PublishReport:
    """What was published."""

    events: int = 0
    refused: int = 0
    examples: list[RefusedLine] = field(default_factory=list)
    """The first `MAX_EXAMPLES` of the refused lines."""
    by_reason: dict[str, int] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    """Events of the shop's own by type, the first `MAX_EXAMPLES` types."""
    through: int = 0
    """Every line up to this number is dealt with."""


MAX_EXAMPLES = 100
LONGEST_NAME = 100
"""Characters of the type of a shop's own event that are told."""


class PublishInterrupted(Failure):
    """The log failed on the way; `report.through` says how far it got."""

    def __init__(self, error: LogError, report: PublishReport) -> None:
        onward = (
            f"\nLines 1 to {report.through} are dealt with. When the cause is gone, go on with "
            f"--from-line {report.through + 1}"
        )
        super().__init__(f"{error}{onward if report.through else ''}")
        self.report = report


def read_lines(stream: BinaryIO, *, from_line: int = 1) -> Iterator[NumberedLine]:
    """Yield the lines that are not blank, from `from_line` on; never holds more than one of them.

    A line longer than any event is cut, one byte too long, so that it is refused as too large.
    """
    limit = MAX_EVENT_BYTES + 1
    for number in itertools.count(1):
        line = stream.readline(limit)
        if not line:
            return
        if len(line) == limit and not line.endswith(b"\n"):
            _skip_rest_of_line(stream)
        line = line.removeprefix(_BOM)  # in the middle where files were put together
        if number >= from_line and line.strip():
            yield NumberedLine(number, line.rstrip(b"\r\n"))


def _skip_rest_of_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(65_536)) and not rest.endswith(b"\n"):
        pass


async def publish(
    log: Log,
    lines: Iterable[NumberedLine],
    *,
    clock: Clock,
    signer: Callable[[], RecordSigner],
    notation: Notation = DEFAULT_NOTATION,
    dead_letter: bool = True,
    on_progress: Callable[[PublishReport], None] = lambda _: None,
) -> PublishReport:
    """Append every line to `customer-events`. Raises PublishInterrupted when the log fails.

    `signer` is asked for when a line is about a product: the feed is Ritorno's own to tell.
    `notation`: how the shop's systems write. `dead_letter`: refused lines also go to
    `dead-letters`. `on_progress` is called after each batch with the report so far.
    """
    report = PublishReport()
    known: dict[str, Product] | None = None
    try:
        partitions = await log.partitions(CUSTOMER_EVENTS)
        for batch in _batches(_read(line, notation) for line in lines):
            feed = [told.product for _, told in batch if isinstance(told, ProductUpdate)]
            if feed:
                known = await product_feed.read(log) if known is None else known
                await product_feed.publish(log, feed, signer(), known)
            outgoing = _records(batch, partitions)
            refused = [(line, why) for line, why in batch if isinstance(why, Unreadable)]
            letters = [_letter(line, why, clock.now()) for line, why in refused if dead_letter]
            if letters:
                outgoing[DEAD_LETTERS, 0] = letters
            await append_all(log, outgoing)
            _count(report, batch, refused)
            on_progress(report)
            await asyncio.sleep(0)
    except LogError as error:
        raise PublishInterrupted(error, report) from error
    return report


def _read(line: NumberedLine, notation: Notation) -> Told:
    try:
        return line, _publishable(parse_line(line.content, notation))
    except Unreadable as error:
        return line, error


def _publishable(told: Event | ProductUpdate) -> Event | ProductUpdate:
    """Raise Unreadable for what no worker would believe: it is ours, and nobody has signed it."""
    if isinstance(told, Event):
        if named := reserved_id(told):
            raise Unreadable("reserved", named)
        if (claim := reserved(told)) and not told.signature:
            raise Unreadable("unsigned", claim)
    return told


def _batches(lines: Iterable[Told]) -> Iterator[list[Told]]:
    """Yield at most BATCH lines, about products or about events: both go on in the file's order."""
    for _, group in itertools.groupby(lines, lambda told: isinstance(told[1], ProductUpdate)):
        while batch := list(itertools.islice(group, BATCH)):
            yield batch


def _records(batch: list[Told], partitions: int) -> dict[tuple[str, int], list[OutRecord]]:
    outgoing: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
    for _, told in batch:
        if isinstance(told, Event):
            record = to_record(told)
            number = partition_of(record.key or b"", partitions)
            outgoing[CUSTOMER_EVENTS, number].append(record)
    return outgoing


def _letter(line: NumberedLine, why: Unreadable, now: int) -> OutRecord:
    content = line.content[:KEPT_OF_TOO_LARGE] if why.reason == "too_large" else line.content
    return refuse_line(
        content,
        topic=CUSTOMER_EVENTS,
        number=line.number,
        reason=why.reason,
        detail=why.detail,
        time=now,
        key=key_of(line.content),
    )


def _count(
    report: PublishReport,
    batch: list[Told],
    refused: list[tuple[NumberedLine, Unreadable]],
) -> None:
    report.events += len(batch) - len(refused)
    report.refused += len(refused)
    for _, told in batch:
        if isinstance(told, Event) and is_custom(told.type):
            type_ = told.type[:LONGEST_NAME]
            if type_ in report.own or len(report.own) < MAX_EXAMPLES:
                report.own[type_] = report.own.get(type_, 0) + 1
    report.through = batch[-1][0].number
    for line, why in refused:
        report.by_reason[why.reason] = report.by_reason.get(why.reason, 0) + 1
        if len(report.examples) < MAX_EXAMPLES:
            detail = why.detail + suggestion(why.detail)
            report.examples.append(RefusedLine(line.number, why.reason, detail))
