"""`ritorno suppressions`: addresses that get no mail, why, and who decided it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from agents.mail.suppression import AddressHashes
from schemas.events.fields import is_address
from schemas.instant import to_rfc3339
from schemas.suppressions import Suppression, SuppressionScope
from streams.clock import SystemClock
from streams.mail.suppressions import Author, Listed, Released, read_list, release, suppress
from streams.messages.plurals import several
from streams.runtime.factories import record_signer, signing_keys
from streams.settings import Settings
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    progress,
    run,
    settings_of,
    stdout,
    this_user,
)
from streams.tools.cli.tables import listing

LONGEST_NOTE = 500

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="A mail address.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever asks later.")]
By = Annotated[str | None, typer.Option(help="Who decides; you, by default.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Addresses that get no mail.", no_args_is_help=True)
    group.command("list")(list_addresses)
    group.command("show")(show)
    group.command("add")(add)
    group.command("release")(release_address)
    app.add_typer(group, name="suppressions")


def list_addresses(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those released.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List what is suppressed, the latest last. Addresses are kept as keyed hashes only."""
    listed = run(_read(settings_of(context)))
    rows = [
        (hashed, suppression)
        for hashed, suppression in listed.latest.items()
        if everything or suppression.state == "suppressed"
    ]
    _print(rows, as_json=as_json, nothing="Nothing is suppressed.")


def show(context: typer.Context, address: Address, as_json: JsonFlag = False) -> None:
    """Show whether an address is suppressed, and what people have decided about it."""
    settings = settings_of(context)
    mine = set(_hashes(settings).all(_checked(address)))
    listed = run(_read(settings))
    rows = [(hashed, each) for hashed, each in listed.audit if hashed in mine]
    known = {(hashed, each.time) for hashed, each in rows}
    rows += [
        (hashed, each)
        for hashed, each in listed.latest.items()
        if hashed in mine and (hashed, each.time) not in known
    ]
    rows.sort(key=lambda row: row[1].time)
    _print(rows, as_json=as_json, nothing=f"{printable(address)} is not on the list.")


def add(
    context: typer.Context,
    address: Address,
    reason: Reason,
    scope: Annotated[str, typer.Option(help="all, or marketing: confirmations still go.")] = "all",
    by: By = None,
    as_json: JsonFlag = False,
) -> None:
    """Suppress an address, for every customer who has it."""
    settings = settings_of(context)
    hashes, author = _hashes(settings), _author(reason, by)
    checked, wanted = _checked(address), _scope(scope)

    async def write() -> None:
        async with open_log(settings) as log:
            await suppress(log, hashes, checked, wanted, author)

    run(write())
    if as_json:
        print_json({"state": "suppressed", "scope": wanted})
    else:
        stdout().print(f"suppressed ({wanted})", markup=False)


def release_address(
    context: typer.Context,
    address: Address,
    reason: Reason,
    by: By = None,
    as_json: JsonFlag = False,
) -> None:
    """Let mails go to an address again. The release, its author and reason stay on record."""
    settings = settings_of(context)
    hashes, author, checked = _hashes(settings), _author(reason, by), _checked(address)
    signer = record_signer(settings)

    async def write() -> Released:
        with progress("looking for customers") as bar:
            async with open_log(settings) as log:
                return await release(log, hashes, checked, author, signer, bar.at)

    released = run(write())
    if not released.hashes and not released.customers:
        raise UserError(f"{printable(address)} is not suppressed")
    customers = len(released.customers)
    if as_json:
        print_json({"state": "released", "customers": customers})
    else:
        stdout().print(f"released; told: {several(customers, 'customer')}", markup=False)


async def _read(settings: Settings) -> Listed:
    async with open_log(settings) as log:
        return await read_list(log)


def _hashes(settings: Settings) -> AddressHashes:
    return AddressHashes(signing_keys(settings))


def _author(reason: str, by: str | None) -> Author:
    note = " ".join(reason.split())
    if not note or len(note) > LONGEST_NOTE:
        raise UserError(f"--reason: expected 1 to {LONGEST_NOTE} characters")
    return Author(by or this_user(), SystemClock().now(), note)


def _checked(address: str) -> str:
    if not is_address(address):
        raise UserError(f"{printable(address)} is no mail address")
    return address


def _scope(scope: str) -> SuppressionScope:
    match scope:
        case "all" | "marketing":
            return scope
        case _:
            raise UserError(f"--scope {printable(scope)}: expected all or marketing")


def _print(rows: Iterable[tuple[str, Suppression]], *, as_json: bool, nothing: str) -> None:
    rows = list(rows)
    if as_json:
        for hashed, suppression in rows:
            print_json(_as_dict(hashed, suppression))
        return
    if not rows:
        stdout().print(nothing, markup=False)
        return
    columns = ("hash", "state", "scope", "reason", "time", "by", "why")
    stdout().print(listing(columns, (_row(hashed, each) for hashed, each in rows)))


def _row(hashed: str, each: Suppression) -> tuple[str, ...]:
    time = to_rfc3339(each.time - each.time % 1000)
    return hashed, each.state, each.scope, each.reason, time, each.by, each.note


def _as_dict(hashed: str, suppression: Suppression) -> dict[str, Any]:
    return {"hash": hashed, **suppression.model_dump(), "time": to_rfc3339(suppression.time)}
