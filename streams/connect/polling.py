"""Polling: what webhooks have not told is asked for.

WooCommerce sends nothing again that was missed, Shopify gives up after four hours, and PrestaShop
sends nothing at all. So each shop is asked every few minutes for what has changed since it was
asked last. What webhooks have told already is known by its fact id.

The first poll writes down when it was (`began`): whatever happened before is history and starts
nothing. It begins a week earlier nevertheless. Should the file of cursors be lost, what was missed
meanwhile is read again then, as history, unless the connection says `live_since`.

One process polls: the worker that has the first partition of `customer-events`, so another takes
over where one dies. `ritorno ingest` never does; many of them may run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from schemas.failures import Failure
from schemas.instant import parse_instant, to_rfc3339
from schemas.time_units import DAY_MS, MINUTE_MS
from streams.clock import Clock
from streams.connect.connector import NewsOrigin, ShopConnector
from streams.connect.counts import ShopCounts
from streams.connect.cursors import DIRECTORY, CursorFile
from streams.connect.facts import with_old_as_history
from streams.connect.news_sink import NewsSink
from streams.logging import get_logger
from streams.runtime.background import kept_up
from streams.runtime.backoff import Backoff

LOOK_BACK_MS = 7 * DAY_MS
"""Before the first poll: as long as an event that comes again is known by its id."""
BACKOFF = Backoff(30.0, 1_800.0)
"""Seconds before a shop is polled again that doesn't answer."""
MOST_PAGES = 2_000
"""Of one poll and resource; what is left comes with the next one. 500,000 orders of Shopify's."""
NOT_OURS_MS = 10_000
"""After which a worker looks again whether polling is its business."""

_log = get_logger(__name__)


class Polling:
    """Polls some shops for as long as it runs."""

    def __init__(
        self,
        connectors: Iterable[ShopConnector],
        sink: NewsSink,
        *,
        clock: Clock,
        data_dir: Path,
        counts: ShopCounts,
        is_ours: Callable[[], bool] = lambda: True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`is_ours`: whether this process is the one that polls. `chance`, from 0 to 1, spreads the
        polls of several shops."""
        self._connectors = [each for each in connectors if each.can_ask and each.resources]
        for each in self._connectors:
            each.keep_in(data_dir / DIRECTORY)
            counts.every[each.connection.name,] = each.connection.poll_seconds
            for resource in each.resources:
                counts.read[each.connection.name, resource] += 0
        self._sink = sink
        self._clock = clock
        self._data_dir = data_dir
        self._counts = counts
        self._is_ours = is_ours
        self._chance = chance

    async def run(self) -> None:
        """Poll until cancelled."""
        polls = [partial(self._keep_polling, each) for each in self._connectors]
        await asyncio.gather(*(kept_up("polling", each) for each in polls))

    async def poll(self, connector: ShopConnector) -> int:
        """Ask a shop once for all that has changed; return how many resources there were. Raises
        LogError, ShopUnavailable, ShopRefuses, Failure; what was read until then is kept."""
        name, now = connector.connection.name, self._clock.now()
        file = CursorFile(self._data_dir, name)
        state = file.read()
        began = _began(state, connector, now)
        cursors: dict[str, Any] = state.get("cursors") or {}
        origin, read, failure = NewsOrigin(name, connector.source), 0, None
        for resource in connector.resources:
            cursor = str(cursors.get(resource) or "")
            since = min(began, now - LOOK_BACK_MS)
            pages = 0
            try:
                async for page in connector.changed(resource, cursor, since=since, now=now):
                    page.news.events = with_old_as_history(
                        page.news.events, now=now, began=began, became=page.news.became
                    )
                    await self._sink.take(page.news, origin)
                    connector.heard(page.news)
                    cursors[resource] = page.cursor
                    file.write({"began": to_rfc3339(began), "cursors": cursors})
                    self._counts.read[name, resource] += page.rows
                    read, pages = read + page.rows, pages + 1
                    if pages >= MOST_PAGES:
                        break
            except Failure as error:  # of one resource: a right that is missing for customers
                failure = failure or error  # must not keep orders from being read
        file.write({"began": to_rfc3339(began), "cursors": cursors, "polled": to_rfc3339(now)})
        if failure is not None:
            raise failure
        return read

    async def _keep_polling(self, connector: ShopConnector) -> None:
        name, every = connector.connection.name, connector.connection.poll_seconds
        failures = 0
        await self._wait(every * self._chance() / 10)
        while True:
            if not self._is_ours():
                await self._clock.wait_until(self._clock.now() + NOT_OURS_MS)
                continue
            self._counts.polled.setdefault((name,), self._clock.now())
            try:
                await self.poll(connector)
            except Failure as error:
                failures += 1
                self._counts.failures[name,] += 1
                if failures == 1:
                    _log.warning("a shop can't be polled, it is tried again",
                                 connection=name, error=str(error))  # fmt: skip
                await self._wait(max(every, BACKOFF.after(failures)))
            else:
                if failures:
                    _log.info("a shop is polled again", connection=name, failures=failures)
                failures = 0
                self._counts.polled[name,] = self._clock.now()
                await self._wait(every * (0.9 + self._chance() / 5))

    def _wait(self, seconds: float) -> Awaitable[None]:
        return self._clock.wait_until(self._clock.now() + round(seconds * 1000))


def _began(state: dict[str, Any], connector: ShopConnector, now: int) -> int:
    """Return from when on what happens is no history."""
    if connector.connection.live_since is not None:
        return connector.connection.live_since
    return _instant(state.get("began")) or now


class Beginnings:
    """Since when connections have been polled, as the poller of this machine has written it."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._known: dict[str, int] = {}
        self._looked: dict[str, int] = {}

    def of(self, name: str) -> int:
        """Return the instant (ms); 0 while none is known. It never changes once it is, so a file
        is looked for again only until then, and each minute at most."""
        now = self._clock.now()
        if name not in self._known and now - self._looked.get(name, 0) >= MINUTE_MS:
            self._looked[name] = now
            found = _instant(CursorFile(self._data_dir, name).read().get("began"))
            if found:
                self._known[name] = found
        return self._known.get(name, 0)


def _instant(text: Any) -> int:
    try:
        return parse_instant(text)
    except ValueError:
        return 0
