"""`ritorno clock`: records whose append time is ahead of the clock, and what they count as."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.instant import parse_instant, to_rfc3339
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    run,
    settings_of,
    stdout,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Records whose append time has not come yet.", no_args_is_help=True)
    group.command("show")(show)
    group.command("rule")(rule)
    app.add_typer(group, name="clock")


def show(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Show the partitions that wait in front of such a record; nothing is decided there."""
    from streams.clock import SystemClock  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.operate.ruling import FirstAhead, waiting  # noqa: PLC0415  # as above

    settings = settings_of(context)

    async def look() -> dict[int, FirstAhead]:
        async with open_log(settings) as log:
            return await waiting(log, SystemClock(), settings.clock_limit_ms)

    found = run(look())
    for number, each in sorted(found.items()):
        if as_json:
            print_json({"partition": number, "offset": each.offset, "time": to_rfc3339(each.time)})
        else:
            stdout().print(f"partition {number} waits at offset {each.offset}, "
                           f"stamped {to_rfc3339(each.time)}")  # fmt: skip
    if not found and not as_json:
        stdout().print("No partition waits.")


def rule(
    context: typer.Context,
    at: Annotated[
        str | None, typer.Option(help="RFC 3339; by default now, as the broker's clock has it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Rule what time such records count as, once the clock is right again.

    The partitions that wait go on within half a minute, and every replay counts the same.
    """
    from schemas.time_rulings import TimeRuling  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.clock import SystemClock  # noqa: PLC0415  # as above
    from streams.operate import ruling  # noqa: PLC0415  # as above
    from streams.runtime.factories import record_signer  # noqa: PLC0415  # as above

    settings, clock = settings_of(context), SystemClock()
    try:
        time = None if at is None else parse_instant(at)
    except ValueError as error:
        raise UserError(f"--at: {error}") from None
    limit = settings.clock_limit_ms

    async def append() -> dict[int, TimeRuling]:
        async with open_log(settings) as log:
            ahead = await ruling.waiting(log, clock, limit)
            signer = record_signer(settings)
            return await ruling.rule(log, signer, ahead, latest=clock.now() + limit, at=time)

    rulings = run(append())
    for number, each in sorted(rulings.items()):
        told = to_rfc3339(each.time)
        if as_json:
            print_json({"partition": number, "from": each.start, "to": each.stop, "time": told})
        else:
            last = each.stop - 1
            stdout().print(f"partition {number}: offsets {each.start} to {last}: what is later is "
                           f"taken as {told}")  # fmt: skip
    if not rulings and not as_json:
        stdout().print("No partition waits.")
