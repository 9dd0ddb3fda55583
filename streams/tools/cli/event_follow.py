"""`ritorno events follow`: what arrives, as it arrives."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.instant import to_rfc3339
from streams.tools.cli.console import (
    JsonFlag,
    open_log,
    print_json,
    printable,
    run,
    settings_of,
    stdout,
)
from streams.tools.cli.event_quality import since_option

if TYPE_CHECKING:
    from schemas.records import Record
    from streams.log import Log
    from streams.settings import Settings

EVERY = 0.5
"""Seconds between two looks at the log."""

_LONGEST = 200
"""Characters of what an event says; `--json` has all of it."""


def follow(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(help="Also what came from then on: a span such as 10m, or RFC 3339."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show events as they arrive, whoever sends them; Ctrl-C ends it."""
    settings = settings_of(context)
    start = None if since is None else since_option(since)
    try:
        run(_follow(settings, start, count, as_json=as_json))
    except KeyboardInterrupt:
        return


async def _follow(
    settings: Settings, since: int | None, count: int | None, *, as_json: bool
) -> None:
    from schemas.validation import Unreadable  # noqa: PLC0415  # pydantic models take a moment
    from schemas.wire import parse_record  # noqa: PLC0415  # as above
    from streams.runtime.factories import notation  # noqa: PLC0415  # as above

    left = count
    async with open_log(settings) as log:
        async for record in arriving(log, since):
            if record.key is None and record.header("ce_type") is not None:
                continue  # a control record
            try:
                event = parse_record(record, notation(settings))
            except Unreadable as error:
                said: dict[str, Any] = {"refused": error.reason, "detail": error.detail}
            else:
                said = {
                    "type": event.type,
                    "by": "visitor" if event.customer == event.anonymous_id else "customer",
                    "id": event.customer,
                    "source": event.source,
                    "data": event.data.model_dump(
                        mode="json", exclude_none=True, exclude_defaults=True
                    ),
                }
            said = {"arrived": to_rfc3339(record.timestamp), **said}
            if as_json:
                print_json(said)
            else:
                stdout().print(printable(_line(said)), markup=False, soft_wrap=True)
            sys.stdout.flush()  # whoever reads a pipe wants it as it arrives, too
            if left is not None:
                left -= 1
                if not left:
                    return


async def arriving(
    log: Log, since: int | None, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncIterator[Record]:
    """Yield what is appended to the events' topic from `since` (ms) on, or from now on; for ever.
    Raises LogError."""
    from streams.topology import CUSTOMER_EVENTS  # noqa: PLC0415  # as above

    ends = {
        partition: span.end if since is None
        else await log.offset_at(CUSTOMER_EVENTS, partition, since)
        for partition, span in (await log.offsets(CUSTOMER_EVENTS)).items()
    }  # fmt: skip
    while True:
        for partition, span in (await log.offsets(CUSTOMER_EVENTS)).items():
            start = max(ends.get(partition, span.start), span.start)
            async for chunk in log.read(CUSTOMER_EVENTS, partition, start, span.end):
                for record in chunk:
                    yield record
            ends[partition] = span.end
        await pause(EVERY)


def _line(said: dict[str, Any]) -> str:
    time = said["arrived"][11:19]
    if "refused" in said:
        return f"{time}  refused: {said['refused']}: {said['detail']}"[:_LONGEST]
    told = ", ".join(f"{name}={value}" for name, value in said["data"].items())
    told = told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
    return f"{time}  {said['type']:<24} {said['by']} {said['id']}  {said['source']}  {told}"
