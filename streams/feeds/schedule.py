"""Fetches the feeds of the settings file again and again, and publishes what is new in them.

One worker does it: whoever has the first partition of `customer-events`, as somebody always has.
While it passes from one to another both may do it for a moment, which harms nobody: what is told
twice changes nothing. What a worker knows of a feed's last version lies in `data_dir/feeds`, so
another one downloads it whole once.

A feed that fails stays as it was and is tried again, sooner than at its own hour and ever more
rarely.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from schemas.notation import Notation
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.feeds.downloads import download
from streams.feeds.reading import FeedOptions, MapError
from streams.feeds.source_rows import FeedError
from streams.feeds.updating import FeedUpdate, update_from
from streams.http.fetching import Fetcher, FetchError, FetchLimits, Validators
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.replaced_file import replace_file
from streams.runtime.backoff import Backoff
from streams.runtime.product_feed import TooManyGone
from streams.settings.feeds import FeedSource

LOOK_MS = 5_000
"""How often somebody who has not the first partition looks whether that has changed."""
FIRST_PAUSE = 60.0
"""Seconds after a failure; twice as many after the next one, up to what the feed is due anyway."""

UNPACKED_TIMES = 10
"""How many times what is downloaded at most a feed may be that gzip has packed."""

_EXPECTED = (FetchError, FeedError, MapError, TooManyGone, LogError, OSError, zlib.error)
"""What feeds fail of; the last is a torn gzip. Their texts hold no secret."""

_log = get_logger(__name__)


@dataclass(slots=True)
class FeedState:
    """What is kept of a feed."""

    settings: str = ""
    """A digest of how it is read: read otherwise, the same version says something else."""
    etag: str = ""
    last_modified: str = ""
    next_change: int = 0
    """When a reduction begins or ends, ms since the epoch; 0: never. From then on the same version
    says something else."""
    checked: int = 0
    """When it was last asked for and answered, ms since the epoch."""


@dataclass(slots=True)
class FeedCounts:
    """What became of a feed, for the metrics."""

    succeeded: float = 0.0
    """When it was last up to date, seconds since the epoch; 0: not since this process is there."""
    products: int = 0
    refused: int = 0
    gone: int = 0
    failures: int = 0
    failures_in_a_row: int = 0


class FeedSchedule:
    """Fetches feeds when they are due. Run `watch`; `close` it."""

    def __init__(
        self,
        feeds: Sequence[FeedSource],
        *,
        log: Log,
        clock: Clock,
        signer: RecordSigner,
        notation: Notation,
        directory: Path,
        is_ours: Callable[[], bool],
        loopback: bool = False,
    ) -> None:
        """`directory` keeps what is known of the last version. `is_ours`: whether this process has
        the first partition. `loopback`: for tests."""
        self._feeds = feeds
        self._log = log
        self._clock = clock
        self._signer = signer
        self._notation = notation
        self._directory = directory
        self._is_ours = is_ours
        self._loopback = loopback
        self._due = {feed.name: 0 for feed in feeds}
        self._counts = {feed.name: FeedCounts() for feed in feeds}

    def counts(self) -> Mapping[str, FeedCounts]:
        """Return what became of each feed by its name; nothing while another worker fetches."""
        return self._counts if self._is_ours() else {}

    async def watch(self) -> None:
        """Go on for ever."""
        while True:
            await self.fetch_due()
            due = min(self._due.values())
            now = self._clock.now()
            await self._clock.wait_until(
                max(now + 1_000, min(due, now + LOOK_MS)) if self._is_ours() else now + LOOK_MS
            )

    async def fetch_due(self) -> None:
        """Fetch the feeds that are due, one after the other."""
        for feed in self._feeds:
            if self._is_ours() and self._due[feed.name] <= self._clock.now():
                await self._fetch(feed)

    async def _fetch(self, feed: FeedSource) -> None:
        counts = self._counts[feed.name]
        try:
            update = await self._update(feed)
        except Exception as error:  # of whatever kind, it is this feed's alone
            counts.failures += 1
            counts.failures_in_a_row += 1
            pause = Backoff(FIRST_PAUSE, feed.every / 1000).after(counts.failures_in_a_row)
            self._due[feed.name] = self._clock.now() + int(pause * 1000)
            _log.warning("feed not taken over, it stays as it was", feed=feed.name,
                         error=_told(error))  # fmt: skip
            return
        counts.failures_in_a_row = 0
        self._due[feed.name] = self._clock.now() + feed.every
        counts.succeeded = self._clock.now() / 1000
        if update is None:
            return
        reading = update.reading
        counts.products, counts.refused, counts.gone = update.products, reading.refused, update.gone
        examples = [each.told()[:200] for each in reading.examples[:3]]
        _log.info("feed taken over", feed=feed.name, products=update.products,
                  changed=update.changed, gone=update.gone, refused=reading.refused,
                  **({"examples": examples} if examples else {}),
                  **({"broken": reading.broken} if reading.broken else {}))  # fmt: skip

    async def _update(self, feed: FeedSource) -> FeedUpdate | None:
        """Bring the products up to date; None when the feed is as it was."""
        now = self._clock.now()
        digest, state = _digest(feed), self._kept(feed)
        known = Validators()
        if state.settings == digest and not 0 < state.next_change <= now:
            known = Validators(state.etag, state.last_modified)
        limits = FetchLimits(bytes=feed.max_mb << 20)
        fetcher = Fetcher(loopback=self._loopback, limits=limits)
        try:
            with tempfile.TemporaryFile() as opened:
                file = cast("BinaryIO", opened)
                fetched = await download(
                    fetcher, feed.url, file, known, max_bytes=limits.bytes, pause=self._pause
                )
                if not fetched.changed:
                    state.checked = now
                    self._keep(feed, state)
                    return None
                file.seek(0)
                update = await update_from(
                    self._log, file, self._options(feed), self._signer, now=now, whole=feed.whole
                )
        finally:
            await fetcher.close()
        reading = update.reading
        validators = fetched.validators if not reading.broken else Validators()
        self._keep(
            feed,
            FeedState(
                digest,
                validators.etag,
                validators.last_modified,
                reading.next_change or 0,
                now,
            ),
        )
        return update

    def _options(self, feed: FeedSource) -> FeedOptions:
        return FeedOptions(
            kind=feed.kind,
            columns=feed.map,
            variants=feed.variants,
            currency=feed.currency,
            decimal_mark=feed.decimals,
            notation=self._notation,
            name=feed.name,
            most_bytes=(feed.max_mb << 20) * UNPACKED_TIMES,
        )

    async def _pause(self, seconds: int) -> None:
        await self._clock.wait_until(self._clock.now() + seconds * 1000)

    # What is kept of the last version.

    def _kept(self, feed: FeedSource) -> FeedState:
        try:
            return FeedState(**json.loads(self._path(feed).read_bytes()))
        except (OSError, ValueError, TypeError):  # none, or one of another release: begin anew
            return FeedState()

    def _keep(self, feed: FeedSource, state: FeedState) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(self._path(feed), json.dumps(asdict(state)))

    def _path(self, feed: FeedSource) -> Path:
        return self._directory / f"{feed.name}.json"


def _told(error: Exception) -> str:
    """Return what went wrong; of a mistake of ours where it was, as its text may hold the URL."""
    if isinstance(error, _EXPECTED):
        return str(error)[:500]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {where.name}, line {where.lineno}"


def _digest(feed: FeedSource) -> str:
    """Return what changes when a feed is to be read otherwise."""
    return hashlib.sha256(feed.model_dump_json().encode()).hexdigest()[:16]
