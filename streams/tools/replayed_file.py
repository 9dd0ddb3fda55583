"""A file of events becomes a log: appends, stamps and ticks, as a broker and a worker would."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from agents.definitions.published import Definitions
from agents.products.variants import folded
from schemas.commands import SendCommand
from schemas.decisions import Decision
from schemas.events import TICK, Event
from schemas.products import Product
from schemas.records import Headers, Record
from schemas.reserved import reserved
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable
from schemas.wire import ProductUpdate, parse_line
from streams.runtime.product_feed import control_record
from streams.tools.replayed_partition import COLLECT_EVERY, Outcome, ReplayedPartition, ReplayError

TICK_HEADERS = (("ce_type", TICK.encode()),)


class FileLog:
    """Plays the log's part for a file: appends, stamps and ticks."""

    def __init__(
        self,
        until: int,
        definitions: Definitions,
        live: Mapping[str, str],
        outcome: Outcome,
        watch: Callable[[SendCommand | Decision], None] | None = None,
        *,
        partition: int = 0,
        tells: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """`tells` is called with what actors of this `partition` tell each other."""
        self._number = partition
        self._tells = tells
        self._until = until
        self._notation = definitions.notation
        self._outcome = outcome
        self._events: dict[int, Event] = {}
        self._lines: dict[int, int] = {}
        self._products: dict[str, dict[str, Product]] = {}
        """Rows of the feed by product and SKU."""
        self._partition = ReplayedPartition(
            partition,
            definitions,
            live,
            outcome,
            parse=lambda record: self._events[record.offset],
            location=lambda offset: f"line {self._lines[offset]}",
            watch=watch,
        )
        self._waiting: deque[Event] = deque()
        self._line = 0
        self._offset = 0
        self._now = 0

    def take_line(self, number: int, line: bytes, *, since: int = 0, counts: bool = True) -> None:
        """Append the event of one line, after the ticks that come before it.

        `since` is when one happened that doesn't say so, at the earliest; a line that several
        partitions take `counts` in one of them. Raises ReplayError.
        """
        try:
            told = parse_line(line, self._notation)
        except Unreadable as error:
            if counts:
                self._outcome.refuse(f"line {number}", error.reason, error.detail)
            return
        if told.time is None and not max(self._now, since):
            raise ReplayError(f"line {number}: the first event has no time to begin with")
        time = max(self._now, since if told.time is None else told.time)
        if time > self._until:
            self._outcome.after_until += counts
            return
        self._tick_until(time)
        self._line = number
        if isinstance(told, ProductUpdate):
            rows = self._products.setdefault(told.product.id, {})
            rows[told.product.sku] = told.product
            self._append(time, *control_record([folded(list(rows.values()))]))
        else:
            self._outcome.believed += counts and bool(reserved(told))
            if told.odd and counts:
                self._outcome.note_odd(f"line {number}", told)
            self._append_event(told, time)

    def finish(self) -> None:
        """Let the time pass that is left."""
        self._tick_until(self._until)
        self._partition.finish()

    def _tick_until(self, time: int) -> None:
        """Append a tick at each second, up to `time`, in which a timer is due; at once, as long as
        work is left over."""
        while True:
            tick = self._now
            if not self._partition.unfinished:
                tick = max(tick, -(-self._partition.next_timer // 1_000) * 1_000)
                if tick > time:
                    return
            self._append(tick, None, b"", TICK_HEADERS)

    def _append_event(self, event: Event, time: int) -> None:
        self._events[self._offset] = event
        self._append(time, event.customer.encode(), b"")

    def _append(
        self, time: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Append a record, and behind it what it makes actors tell each other."""
        self._lines[self._offset] = self._line
        record = Record(CUSTOMER_EVENTS, self._number, self._offset, time, key, value, headers)
        for event in self._partition.absorb(record):
            self._tells(event)
            self._waiting.append(event)
        self._now = time
        self._offset += 1
        if self._offset % COLLECT_EVERY == 0:
            self._partition.collect()
            self._events.clear()
            self._lines.clear()
        if self._waiting:
            self._append_event(self._waiting.popleft(), time)
