"""A feed that is there brings the products up to date."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import BinaryIO

from schemas.signing import RecordSigner
from streams.feeds.reading import FeedOptions, FeedReading, read_feed
from streams.log import Log
from streams.runtime.product_feed import compared, read, tell, with_the_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedUpdate:
    """What a feed has brought."""

    reading: FeedReading
    products: int
    changed: int
    gone: int
    """Products that a whole feed leaves out."""


async def update_from(
    log: Log,
    feed: BinaryIO,
    options: FeedOptions,
    signer: RecordSigner,
    *,
    now: int,
    whole: bool,
    even_if_many: bool = False,
) -> FeedUpdate:
    """Publish what is new in a feed, which can be read more than once.

    Of a `whole` feed what it leaves out is gone, if all of it could be read, and if that is not
    more than three in ten or may be (`even_if_many`). `now`: ms since the epoch. Raises FeedError,
    MapError, TooManyGone and LogError; nothing is published then, but for the last.
    """
    known = await read(log)
    reading = FeedReading()
    # Beside the event loop: a large feed takes minutes, and others are served meanwhile.
    changes = await asyncio.to_thread(
        lambda: compared(read_feed(feed, options, now, reading), known, options.name)
    )
    gone = 0
    if whole and reading.is_complete:
        changes, gone = with_the_gone(
            changes,
            known,
            feed=options.name,
            spared=reading.refused_skus,
            even_if_many=even_if_many,
        )
    published = await tell(log, changes, signer, known)
    return FeedUpdate(
        reading=reading, products=reading.products, changed=published.changed, gone=gone
    )
