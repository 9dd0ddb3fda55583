"""What the driver of a demo is given: records, and when each of them reaches the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.dead_letters import refuse_line
from schemas.line_keys import key_of
from schemas.products import Product
from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS, DEAD_LETTERS, PRODUCTS
from schemas.validation import Unreadable
from schemas.wire import ProductUpdate, parse_line, to_record
from streams.tools.publisher import NumberedLine


class DriverEvent(NamedTuple):
    """One record, and when it reaches the log."""

    time: int
    """ms since the epoch; never before that of the one before it."""
    record: OutRecord
    topic: str = CUSTOMER_EVENTS


class NoTime(Exception):
    """A recorded log whose first event does not say when it happened; the text is for a person."""


def restocked(product: Product, time: int) -> DriverEvent:
    """Return what the shop's feed says of a product from `time` (ms) on."""
    value = product.model_dump_json(exclude_defaults=True).encode()
    return DriverEvent(time, OutRecord(product.sku.encode(), value), PRODUCTS)


def recorded(lines: Iterable[NumberedLine]) -> Iterator[DriverEvent]:
    """Yield what a recorded log says as it came: a late event comes when it is read.

    Lines that can't be read become dead letters, as `ritorno publish` makes them. Raises NoTime.
    """
    now = 0
    early: list[tuple[NumberedLine, Unreadable]] = []
    for line in lines:
        try:
            told = parse_line(line.content)
        except Unreadable as error:
            early.append((line, error))
            continue
        if told.time is None and not now:
            raise NoTime(f"line {line.number}: the first event has no time to begin with")
        now = max(now, told.time or 0)
        yield from (_letter(refused, why, now) for refused, why in early)
        early.clear()
        if isinstance(told, ProductUpdate):
            yield restocked(told.product, now)
        else:
            yield DriverEvent(now, to_record(told))
    yield from (_letter(refused, why, now) for refused, why in early if now)


def _letter(line: NumberedLine, why: Unreadable, now: int) -> DriverEvent:
    letter = refuse_line(line.content, topic=CUSTOMER_EVENTS, number=line.number,
                         reason=why.reason, detail=why.detail, time=now,
                         key=key_of(line.content))  # fmt: skip
    return DriverEvent(now, letter, DEAD_LETTERS)
