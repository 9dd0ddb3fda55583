"""`ritorno crm`: which CRM is told what and read, and what it has not taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.instant import to_rfc3339
from streams.messages.plurals import several
from streams.tools.cli.console import (
    CommandFailed,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    run,
    settings_of,
    stdout,
)
from streams.tools.cli.tables import listing
from streams.tools.cli.undelivered import list_undelivered, undelivered_counts

if TYPE_CHECKING:
    from streams.outbound.crm_file import Crm
    from streams.settings import Settings

REPLAY_SECONDS = 60.0
"""For which a CRM that fails is asked again by `replay`."""

TOGETHER = 100
"""Letters that are told together."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="CRMs that are told of customers and read.", no_args_is_help=True)
    group.command("list")(list_crms)
    group.command("failed")(list_failed)
    group.command("replay")(replay)
    app.add_typer(group, name="crm")


def list_crms(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the CRMs, since when each is read, and what it has not taken."""
    settings = settings_of(context)
    rows = run(_described(settings))
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        stdout().print(f"No CRM: there is none in {settings.crm_file}.", markup=False)
        return
    cells = [
        (row["name"], row["url"],
         ", ".join(f"{name} since {since or '(not begun)'}" for name, since in row["read"].items()),
         ", ".join(row["told"]), str(row["failed"]))
        for row in rows
    ]  # fmt: skip
    stdout().print(listing(("name", "url", "read", "told of", "failed"), cells))


def list_failed(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this CRM alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List what a CRM has refused, or did not answer to for too long."""
    from streams.operate.dead_letters import CRM_FAILED  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    settings = settings_of(context)
    list_undelivered(settings, "crm", CRM_FAILED, name=name, limit=limit, as_json=as_json)


def replay(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As crm.yaml calls it.")],
    as_json: JsonFlag = False,
) -> None:
    """Tell a CRM again what it has not taken, by the addresses that customers have now."""
    settings = settings_of(context)
    crm = _find(settings, name)
    told, kept, stopped = run(_replayed(settings, crm))
    if as_json:
        print_json({"told": told, "kept": kept, "stopped": stopped})
    else:
        stdout().print(f"{told} told", markup=False)
    if stopped:
        raise CommandFailed(f"{name}: it fails, the rest was not tried")
    if kept:
        raise CommandFailed(f"{several(kept, 'message')} not taken")


async def _replayed(settings: Settings, crm: Crm) -> tuple[int, int, bool]:
    """Return how many were told, how many were not taken, and whether the CRM failed."""
    from schemas.dead_letters import DeadLetter, resolve  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.clock import SystemClock  # noqa: PLC0415  # as above
    from streams.operate.dead_letters import CRM_FAILED  # noqa: PLC0415  # as above
    from streams.operate.lookup import known_customers, latest_states  # noqa: PLC0415  # as above
    from streams.outbound.counts import OutboundCounts  # noqa: PLC0415  # as above
    from streams.outbound.crm_outlet import CrmOutlet  # noqa: PLC0415  # as above
    from streams.outbound.follower import Waiting  # noqa: PLC0415  # as above
    from streams.outbound.letters import failed_letters, record_of  # noqa: PLC0415  # as above
    from streams.runtime.factories import lookups_of, record_signer  # noqa: PLC0415  # as above
    from streams.topology import DEAD_LETTERS  # noqa: PLC0415  # as above

    if crm.write is None:
        raise UserError(f"{crm.name} is told nothing")
    told = kept = 0
    async with open_log(settings) as log:
        lookups = lookups_of(settings, log)

        async def address_of(customer: str) -> str:
            states = await latest_states(log, customer, lookups=lookups)
            found = known_customers(states).get(customer)
            return "" if found is None else found.profile.email

        outlet = CrmOutlet(
            crm, crm.write, signer=record_signer(settings), clock=SystemClock(),
            counts=OutboundCounts(), address_of=address_of,
        )  # fmt: skip

        async def tell(letters: list[DeadLetter]) -> int:
            """Return how many were told and taken off the list."""
            waiting = []
            for letter in letters:
                record = record_of(letter)
                if (message := outlet.read(record)) is not None:
                    waiting.append((letter, Waiting(record, message)))
            async with asyncio.timeout(REPLAY_SECONDS):
                lost = await outlet.deliver([each for _, each in waiting])
            gone = {id(each.waiting) for each in lost}
            done = [letter for letter, each in waiting if id(each) not in gone]
            for letter in done:
                await log.append(DEAD_LETTERS, letter.partition, [resolve(letter)])
            return len(done)

        try:
            batch: list[DeadLetter] = []
            async for letter in failed_letters(log, crm.name, reason=CRM_FAILED):
                batch.append(letter)
                if len(batch) == TOGETHER:
                    told, kept, batch = told + (done := await tell(batch)), kept + 100 - done, []
            if batch:
                told, kept = told + (done := await tell(batch)), kept + len(batch) - done
        except TimeoutError:
            return told, kept, True
        finally:
            await outlet.close()
    return told, kept, False


async def _described(settings: Settings) -> list[dict[str, Any]]:
    from streams.connect.cursors import CursorFile  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.operate.dead_letters import CRM_FAILED  # noqa: PLC0415  # as above
    from streams.outbound.crm_file import read_crm  # noqa: PLC0415  # as above

    crms = read_crm(settings.crm_file)
    if not crms:
        return []
    async with open_log(settings) as log:
        failed = await undelivered_counts(log, CRM_FAILED)
    rows = []
    for each in crms:
        read = {}
        for reading in each.read:
            since = CursorFile(settings.data_dir, f"crm-{each.name}", reading.name).read()
            at = since.get("since")
            read[reading.name] = to_rfc3339(at) if isinstance(at, int) else None
        mapped = () if each.write is None else each.write.map
        told = sorted({type_ for part in mapped for type_ in part.types})
        rows.append({"name": each.name, "url": each.url, "read": read, "told": told,
                     "failed": failed[each.name]})  # fmt: skip
    return rows


def _find(settings: Settings, name: str) -> Crm:
    from streams.outbound.crm_file import read_crm  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    crms = {each.name: each for each in read_crm(settings.crm_file)}
    if name not in crms:
        there_are = ", ".join(crms) or "none"
        raise UserError(f"no CRM {name!r} in {settings.crm_file}; there are: {there_are}")
    return crms[name]
