"""Polls a CRM for what has changed, and tells it as events.

Objects are asked for from the last change that was seen, oldest first, page by page; a page's
events are durable before the next is asked for, and the cursor is put down behind them. A search
lags behind what was changed, so each poll begins two minutes early: what is read twice is known by
its fact. The first poll begins now: what happened before is nobody's news.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from schemas.dead_letters import refuse_line
from schemas.events import Event
from schemas.instant import parse_instant, to_rfc3339
from schemas.records import OutRecord
from schemas.time_units import MINUTE_MS
from schemas.validation import Unreadable
from schemas.wire import parse_published
from streams.clock import Clock
from streams.connect.cursors import CursorFile
from streams.log import LogError
from streams.logging import get_logger
from streams.outbound.conditions import Value, compile_value
from streams.outbound.crm_api import CrmAnswer, CrmApi
from streams.outbound.crm_file import OF_OBJECTS, Crm, CrmReading
from streams.runtime.backoff import Backoff
from streams.topology import CUSTOMER_EVENTS

EARLIER_MS = 2 * MINUTE_MS
PAGE = 100
MOST_PAGES = 100
"""Of one poll: searches end at 10,000 objects; what is left comes with the next poll."""
NOT_OURS_MS = MINUTE_MS
"""After which a worker looks again whether polling is its business."""
BACKOFF = Backoff(30.0, 1_800.0)
"""Seconds before a CRM is asked again that doesn't answer as it should."""

_log = get_logger(__name__)


class EventTaker(Protocol):
    """Appends events durably."""

    async def take(self, events: Sequence[Event], *, letters: Sequence[OutRecord] = ()) -> None:
        """Return once all are in the log. Raises LogError."""


class CrmPolling:
    """Polls one kind of object of one CRM."""

    def __init__(
        self,
        crm: Crm,
        reading: CrmReading,
        taker: EventTaker,
        *,
        clock: Clock,
        data_dir: Path,
        is_ours: Callable[[], bool] = lambda: True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`is_ours`: whether this process is the one that polls."""
        self._api = CrmApi(crm)
        self._reading = reading
        self._source = f"crm:{crm.name}"
        self._taker = taker
        self._clock = clock
        self._cursor = CursorFile(data_dir, f"crm-{crm.name}", reading.name)
        self._is_ours = is_ours
        self._chance = chance
        self._when = compile_value(reading.when, OF_OBJECTS) if reading.when else None
        self._fact = [compile_value(each, OF_OBJECTS) for each in reading.fact]
        self._customer = compile_value(reading.customer, OF_OBJECTS)
        self._time = compile_value(reading.time, OF_OBJECTS)
        self._data = {name: compile_value(text, OF_OBJECTS) for name, text in reading.data.items()}

    async def run(self) -> None:
        """Poll for ever."""
        failures = 0
        try:
            while True:
                wait = NOT_OURS_MS
                if self._is_ours():
                    wait = self._reading.every
                    try:
                        problem, retry_after = await self.poll()
                    except LogError as error:
                        problem, retry_after = str(error), None
                    failures = failures + 1 if problem else 0
                    if problem:
                        _log.warning("a CRM could not be read, it is asked again",
                                     crm=self._source, kind=self._reading.name,
                                     reason=problem)  # fmt: skip
                        grown = BACKOFF.after(failures) * (0.8 + 0.4 * self._chance())
                        wait = int(max(grown, min(retry_after or 0, 3_600)) * 1000)
                await self._clock.wait_until(self._clock.now() + wait)
        finally:
            await self._api.close()

    async def poll(self) -> tuple[str, int | None]:
        """Read what has changed. Return what is wrong, empty when nothing is, and for how many
        seconds the CRM wants to be left alone. Raises LogError."""
        state = self._cursor.read()
        since = state.get("since")
        if not isinstance(since, int):
            since = self._clock.now()
            self._cursor.write({"since": since})
            return "", None
        begin, after, reached = _place(state, since), _after(state), since
        for _ in range(MOST_PAGES):
            answer = await self._api.post(self._reading.path, self._search(begin, after))
            found = _results(answer)
            if found is None:
                return answer.why or "its answer is no list of results", answer.retry_after
            await self._take(found)
            # A time to come would hide all that changes before it.
            latest = max([reached, *(self._changed(each) for each in found)])
            reached = max(reached, min(latest, self._clock.now()))
            after = _next(answer.body)
            self._cursor.write({"since": reached})
            if not after:
                return "", None
        # The next poll goes on behind these, without the overlap: with it, it could get no further.
        # Only where all are of one instant the search itself has to be gone on with.
        onward: dict[str, Any] = {"since": reached, "begin": max(begin, reached)}
        self._cursor.write(onward if reached > begin else {**onward, "after": after})
        return "", None

    def _search(self, begin: int, after: str) -> dict[str, Any]:
        changed = self._reading.changed
        condition = {
            "propertyName": changed, "operator": "GTE", "value": str(max(0, begin)),
        }  # fmt: skip
        body: dict[str, Any] = {
            "filterGroups": [{"filters": [condition]}],
            "sorts": [{"propertyName": changed, "direction": "ASCENDING"}],
            "properties": list(dict.fromkeys((*self._reading.properties, changed))),
            "limit": PAGE,
        }
        return {**body, "after": after} if after else body

    def _changed(self, found: Any) -> int:
        """Return when an object was changed, 0 where that can't be read."""
        properties = found.get("properties") if isinstance(found, dict) else None
        text = properties.get(self._reading.changed) if isinstance(properties, dict) else None
        if isinstance(text, str) and text.isdecimal() and len(text) < 16:
            return int(text)
        try:
            return parse_instant(str(text))
        except ValueError:
            return 0

    async def _take(self, found: Sequence[Any]) -> None:
        events, letters = [], []
        for each in found:
            variables = {"object": each}
            if self._when is not None and self._when(variables) is not True:
                continue
            line, customer, problem = self._line(variables)
            if not customer:
                continue  # of somebody whom the shop doesn't know
            try:
                if problem:
                    raise Unreadable("invalid_event", problem)
                events.append(parse_published(line))
            except Unreadable as error:
                letters.append(
                    refuse_line(
                        line, topic=CUSTOMER_EVENTS, number=0, reason=error.reason,
                        detail=error.detail, time=self._clock.now(),
                        key=customer.encode(errors="replace"),
                    )
                )  # fmt: skip
        await self._taker.take(events, letters=letters)

    def _line(self, variables: dict[str, Any]) -> tuple[bytes, str, str]:
        """Return an event as a line, whose it is, and why it can't be one, empty when it can."""
        customer, time, problem = _text(self._customer, variables), self._time(variables), ""
        if isinstance(time, float) or (isinstance(time, str) and time.isdigit()):
            try:
                time = to_rfc3339(int(time))
            except (ValueError, OverflowError):
                time = str(time)
                problem = f"time: {time[:64]!r} are no milliseconds since 1970"
        told = {name: value(variables) for name, value in self._data.items()}
        event = {
            "specversion": "1.0",
            "id": ":".join([self._reading.name, *(_text(each, variables) for each in self._fact)]),
            "source": self._source,
            "type": self._reading.event,
            "subject": customer,
            "time": time,
            "data": {name: value for name, value in told.items() if value is not None},
        }
        line = json.dumps(event, ensure_ascii=False, default=str)
        # Half of an emoji costs no event.
        return line.encode(errors="replace"), customer, problem


def _place(state: Mapping[str, Any], since: int) -> int:
    """Return from which change on is asked: where a poll has ended before its time, else early."""
    begin = state.get("begin")
    return begin if isinstance(begin, int) else since - EARLIER_MS


def _after(state: Mapping[str, Any]) -> str:
    after = state.get("after")
    return after if isinstance(after, str) else ""


def _text(value: Value, variables: dict[str, Any]) -> str:
    found = value(variables)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return "" if found is None else str(found)


def _results(answer: CrmAnswer) -> list[Any] | None:
    if answer.status // 100 != 2 or not isinstance(answer.body, dict):
        return None
    found = answer.body.get("results")
    return found if isinstance(found, list) else None


def _next(body: Any) -> str:
    """Return the cursor of the next page, empty at the last one."""
    try:
        return str(body["paging"]["next"]["after"])
    except (KeyError, TypeError):
        return ""
