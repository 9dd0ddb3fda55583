"""Back-filling: all that a shop has, read as history. Builds state, starts no workflow.

Page after page is appended and then noted, so that it goes on where it was after a crash, and what
is read twice then is known by its id. Pages are fetched ahead: while one is appended the shop
answers the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

from streams.connect.connector import NewsOrigin, ShopConnector, ShopPage
from streams.connect.cursors import DIRECTORY, CursorFile
from streams.connect.facts import as_history
from streams.connect.news_sink import NewsSink

USE = "history"
AHEAD = 2
"""Pages that wait to be appended: 500 orders of Shopify's."""


class BackfillProgress(NamedTuple):
    """How far the back-fill of one resource is."""

    resource: str
    rows: int = 0
    """Read, also before an interruption."""
    total: int | None = None
    events: int = 0
    """Of this run."""
    unread: int = 0
    passed_over: int = 0
    is_done: bool = False


OnBackfill = Callable[[BackfillProgress], None]


async def backfill(
    connector: ShopConnector,
    resources: Sequence[str],
    sink: NewsSink,
    *,
    data_dir: Path,
    on_progress: OnBackfill = lambda _: None,
) -> list[BackfillProgress]:
    """Read what is left of each resource; those that were read to their end before are left out.

    Raises LogError, ShopUnavailable, ShopRefuses, Failure; asked for again it goes on.
    """
    file = CursorFile(data_dir, connector.connection.name, USE)
    connector.keep_in(data_dir / DIRECTORY)
    origin = NewsOrigin(connector.connection.name, connector.source, history=True)
    state = file.read()
    done = []
    for resource in resources:
        kept = state.get(resource)
        known: dict[str, Any] = kept if isinstance(kept, dict) else {}
        progress = BackfillProgress(
            resource, rows=_number(known.get("rows")), is_done=known.get("done") is True
        )
        if not progress.is_done:
            cursor = str(known.get("cursor") or "")
            async with aclosing(_ahead(connector.history(resource, cursor))) as pages:
                async for page in pages:
                    page.news.events = as_history(page.news.events)
                    await sink.take(page.news, origin)
                    connector.heard(page.news)
                    progress = _on(progress, page)
                    state[resource] = {"cursor": page.cursor, "rows": progress.rows}
                    file.write(state)
                    on_progress(progress)
            progress = progress._replace(is_done=True)
            state[resource] = {"rows": progress.rows, "done": True}
            file.write(state)
        on_progress(progress)
        done.append(progress)
    return done


def forget(connector: ShopConnector, data_dir: Path) -> None:
    """Have the next back-fill begin anew. Raises CursorFileError."""
    CursorFile(data_dir, connector.connection.name, USE).forget()


def _on(progress: BackfillProgress, page: ShopPage) -> BackfillProgress:
    return progress._replace(
        rows=progress.rows + page.rows,
        total=page.total if page.total is not None else progress.total,
        events=progress.events + len(page.news.events),
        unread=progress.unread + len(page.news.unread),
        passed_over=progress.passed_over + page.news.passed_over,
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


async def _ahead(pages: AsyncIterator[ShopPage]) -> AsyncGenerator[ShopPage]:
    """Yield pages while the next ones are being fetched. Raises what fetching them does."""
    queue: asyncio.Queue[ShopPage | Exception | None] = asyncio.Queue(AHEAD)

    async def fetch() -> None:
        # Who is cancelled puts nothing: nobody takes pages any more, and the queue may be full.
        try:
            async for page in pages:
                await queue.put(page)
        except Exception as error:
            await queue.put(error)
        else:
            await queue.put(None)

    task = asyncio.create_task(fetch(), name="backfill")
    try:
        while (page := await queue.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield page
    finally:
        task.cancel()
        await asyncio.wait([task])
