"""`ritorno connect`: the shops of `connections.yaml`, set up, checked and back-filled."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from streams.clock import SystemClock
from streams.connect.backfill import USE as HISTORY
from streams.connect.backfill import BackfillProgress, backfill, forget
from streams.connect.connection import ShopConnection
from streams.connect.connections import connections_file, read_connections
from streams.connect.connector import ShopConnector, ShopUnavailable
from streams.connect.cursors import CursorFile
from streams.connect.deliveries import LastDeliveries
from streams.connect.kinds import connector_of
from streams.connect.news_sink import NewsSink
from streams.connect.self_test import try_endpoint
from streams.http.ingest.intake import Intake
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus
from streams.runtime.bootstrap import provide_topics
from streams.runtime.factories import record_signer
from streams.settings import Settings
from streams.tools.cli.console import (
    CommandFailed,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    progress,
    run,
    settings_of,
    stdout,
)

_STYLES = {CheckStatus.OK: "green", CheckStatus.WARN: "yellow", CheckStatus.FAIL: "red"}


class Task(StrEnum):
    """What is to be done."""

    SETUP = "setup"
    CHECK = "check"
    BACKFILL = "backfill"
    STATUS = "status"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("connect")(connect)


def connect(
    context: typer.Context,
    shop: Annotated[
        str, typer.Argument(metavar="NAME|KIND", help="A connection, or the only one of a kind.")
    ],
    task: Annotated[Task, typer.Argument(metavar="TASK", help="setup, check, backfill, status.")],
    only: Annotated[
        str | None, typer.Option(help="backfill: orders, customers, products; with commas.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="backfill: from the beginning, not where it was.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Connect a shop: set up its webhooks, check everything, read its history, say how it goes.

    `check` switches on again what the shop has switched off, and sends a signed test through the
    real endpoint. `backfill` reads all orders, customers, consents and products as history: it
    starts no workflow, and goes on where it was.
    """
    settings = settings_of(context)
    if (only or again) and task is not Task.BACKFILL:
        raise UserError(f"--only and --again are for backfill, not for {task}")
    connection = _found(settings, shop)
    match task:
        case Task.SETUP:
            _show(run(_with(connection, _setup)), as_json=as_json)
        case Task.CHECK:
            _show(run(_with(connection, _checking(settings))), as_json=as_json)
        case Task.STATUS:
            _show_status(settings, connection, as_json=as_json)
        case Task.BACKFILL:
            done = run(_with(connection, _backfilling(settings, only, again=again)))
            _show_backfill(done, as_json=as_json)


def _found(settings: Settings, wanted: str) -> ShopConnection:
    there = read_connections(settings)
    named = [each for each in there if each.name == wanted] or [
        each for each in there if each.kind == wanted
    ]
    if len(named) == 1:
        return named[0]
    path = connections_file(settings)
    if named:
        names = ", ".join(each.name for each in named)
        raise UserError(f"{wanted}: there are several of this kind in {path}: name one of {names}")
    known = ", ".join(f"{each.name} ({each.kind})" for each in there) or "none"
    raise UserError(f"{wanted}: no such connection in {path}; there are: {known}")


async def _with(connection: ShopConnection, do: Callable[[ShopConnector], Any]) -> Any:
    async with _opened(connection) as connector:
        try:
            return await do(connector)
        except ShopUnavailable as error:
            if not error.unreached:
                raise
            place = connection.place(connection.address_field)
            raise CommandFailed(f"{error}. The address stands in {place}") from None


@asynccontextmanager
async def _opened(connection: ShopConnection) -> AsyncIterator[ShopConnector]:
    connector = connector_of(connection, SystemClock())
    try:
        yield connector
    finally:
        await connector.close()


async def _setup(connector: ShopConnector) -> Sequence[Check]:
    if not connector.can_ask:
        raise UserError(f"{connector.connection.name}: the connection has no key with which the "
                        "shop can be asked")  # fmt: skip
    return await connector.setup()


def _checking(settings: Settings) -> Callable[[ShopConnector], Any]:
    async def check(connector: ShopConnector) -> list[Check]:
        found = list(await connector.check())
        if connector.has_receiver:
            test = await try_endpoint(connector, secrets.token_hex(8), SystemClock())
            last = test.last or LastDeliveries(settings.data_dir).of(connector.connection.name)
            found += [*test.checks, _last(last)]
        return found

    return check


def _last(last: dict[str, Any]) -> Check:
    if not last:
        return Check("last webhook", CheckStatus.WARN, "none has come yet")
    told = f"{last.get('topic', '')} at {last.get('time', '')}"
    return Check("last webhook", CheckStatus.OK, told)


def _backfilling(
    settings: Settings, only: str | None, *, again: bool
) -> Callable[[ShopConnector], Any]:
    async def fill(connector: ShopConnector) -> list[BackfillProgress]:
        name, clock = connector.connection.name, SystemClock()
        resources = _resources(connector, only)
        if not connector.can_ask:
            raise UserError(f"{name}: the connection has no key with which the shop can be asked")
        if again:
            forget(connector, settings.data_dir)
        async with open_log(settings) as log:
            await provide_topics(log, settings)
            sink = NewsSink(log, Intake(log), clock=clock, signer=lambda: record_signer(settings))
            with progress(f"reading {name}") as bar:
                return await backfill(
                    connector,
                    resources,
                    sink,
                    data_dir=settings.data_dir,
                    on_progress=lambda each: bar.at(each.rows, each.total),
                )

    return fill


def _resources(connector: ShopConnector, only: str | None) -> Sequence[str]:
    if only is None:
        return connector.resources
    wanted = [each.strip() for each in only.split(",") if each.strip()]
    for each in wanted:
        if each not in connector.resources:
            known = ", ".join(connector.resources)
            raise UserError(f"--only {each}: expected some of {known}")
    return [each for each in connector.resources if each in wanted]


# What is shown.


def _show(checks: Sequence[Check], *, as_json: bool) -> None:
    from rich.text import Text  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    out = stdout()
    for check in checks:
        if as_json:
            print_json({"check": check.name, "status": check.status.value,
                        "text": check.text, "remedy": check.remedy})  # fmt: skip
            continue
        style = _STYLES[check.status]
        said = Text(f"{check.name}: {printable(check.text)}")
        out.print(Text(f"{check.status.value:5}", style=style), said)
        if check.remedy and check.status is not CheckStatus.OK:
            out.print(Text(f"      → {check.remedy}"))
    bad = [check.name for check in checks if check.status is CheckStatus.FAIL]
    if bad:
        raise CommandFailed(f"not as it should be: {', '.join(bad)}")


def _show_backfill(done: Sequence[BackfillProgress], *, as_json: bool) -> None:
    out = stdout()
    for each in done:
        if as_json:
            print_json(each._asdict())
            continue
        letters = f", {each.unread:,} in dead-letters" if each.unread else ""
        over = f", {each.passed_over:,} nobody's or tests" if each.passed_over else ""
        events = several(each.events, "event")
        out.print(f"{each.resource:10} {each.rows:>9,} read, {events}{over}{letters}")


def _show_status(settings: Settings, connection: ShopConnection, *, as_json: bool) -> None:
    name = connection.name
    polled = CursorFile(settings.data_dir, name).read()
    history = CursorFile(settings.data_dir, name, HISTORY).read()
    last = LastDeliveries(settings.data_dir).of(name)
    if as_json:
        print_json({"name": name, "kind": connection.kind, "last_webhook": last,
                    "polls": polled, "history": history})  # fmt: skip
        return
    out = stdout()
    out.print(f"{name}: {connection.kind} {connection.host}", markup=False)
    out.print(f"  last webhook   {_last(last).text}", markup=False)
    out.print(f"  last poll      {polled.get('polled', 'none on this machine yet')}", markup=False)
    for resource, cursor in (polled.get("cursors") or {}).items():
        out.print(f"    {resource:12} up to {cursor}", markup=False)
    for resource, state in history.items():
        how = "read to its end" if state.get("done") else "goes on with the next backfill"
        rows = f"{state.get('rows', 0):,}"
        out.print(f"  history        {resource}: {rows} read, {how}", markup=False)
    if not history:
        out.print("  history        not read yet (ritorno connect "
                  f"{name} backfill)", markup=False)  # fmt: skip
