"""`ritorno insights`: the facts' store as a process, and its file; `ritorno sql`."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from streams.messages.plurals import several
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    print_json,
    progress,
    run,
    say,
    settings_of,
    stdout,
)

HELP = """Keep the facts in a store of their own and answer key figures; stops on SIGTERM.

One process for a shop; on the embedded log a worker does it instead, where RITORNO_INSIGHTS_BIND
is set.
"""

CsvFlag = Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=HELP, invoke_without_command=True)
    group.callback(invoke_without_command=True, help=HELP)(insights)
    group.command("rebuild")(rebuild)
    group.command("snapshot")(snapshot)
    app.add_typer(group, name="insights")
    app.command("sql")(sql)


def insights(
    context: typer.Context,
    bind: Annotated[str | None, typer.Option(help="Where it listens, HOST:PORT.")] = None,
    admin_bind: Annotated[str | None, typer.Option(help="Metrics and health, HOST:PORT.")] = None,
) -> None:
    """Keep the facts in a store of their own and answer key figures; stops on SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    settings = settings_of(context, runs_on=True, insights_bind=bind, admin_bind=admin_bind)
    if settings.insights_bind is None:
        raise UserError("nowhere to listen: set RITORNO_INSIGHTS_BIND, or --bind 127.0.0.1:9466")
    from streams.insights.process import run_insights  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    run_insights(settings)


def rebuild(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Read all facts of the log anew, while no process has the store.

    Months of which the log holds no fact any more stay as sums.
    """
    from streams.tools.insights import begin_anew  # noqa: PLC0415  # as above

    settings = settings_of(context)
    with progress("reading the facts") as bar:
        count = run(begin_anew(settings, bar.at))
    if as_json:
        print_json({"facts": count})
    else:
        say(f"read anew: {several(count, 'fact')}")


def snapshot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the file is called, without .parquet.")] = (
        "facts"
    ),
    as_json: JsonFlag = False,
) -> None:
    """Write all facts as Parquet into the data directory, for any program to read.

    Who is erased later is still in it: an erasure names the snapshots that there are.
    """
    from streams.tools.insights import ask  # noqa: PLC0415  # as above

    answer = run(ask(settings_of(context), "snapshot", {"name": name}))
    if as_json:
        print_json({"path": answer["path"], "fresh": answer["fresh"]})
    else:
        stdout().print(answer["path"], soft_wrap=True)


def sql(
    context: typer.Context,
    statement: Annotated[
        str, typer.Argument(help="One SELECT; `SHOW TABLES` lists what there is.")
    ],
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 1_000,
    as_csv: CsvFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask the facts in SQL: one SELECT, which can only read.

    The view `facts` has all of them, with pseudonyms; `DESCRIBE facts` says what is in it.
    """
    from streams.tools.insights import ask  # noqa: PLC0415  # as above

    with progress("reading the facts") as bar:
        answer = run(
            ask(settings_of(context), "sql", {"statement": statement, "rows": rows}, bar.at)
        )
    columns, found = answer["columns"], answer["rows"]
    if as_json:
        for row in found:
            print_json(dict(zip(columns, row, strict=True)))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(found)
    else:
        from streams.tools.cli.tables import listing  # noqa: PLC0415  # as above

        stdout().print(listing(columns, [["" if v is None else str(v) for v in r] for r in found]))
    if answer["is_cut"]:
        say(f"cut: there is more than {several(len(found), 'row')}")
