"""`ritorno audience`: a segment as a file for an advertising platform, hashed and with consent."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Literal

import typer

from schemas.instant import to_rfc3339
from streams.clock import SystemClock
from streams.tools.cli.console import (
    OUTPUT,
    CommandFailed,
    JsonFlag,
    open_log,
    print_json,
    progress,
    run,
    say,
    settings_of,
    stdout,
    this_user,
)
from streams.tools.cli.tables import listing


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Segments for advertising platforms.", no_args_is_help=True)
    group.command("export")(export)
    group.command("list")(list_exports)
    app.add_typer(group, name="audience")


def export(
    context: typer.Context,
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="As segments.yaml calls it.")],
    out: Annotated[Path, typer.Option(*OUTPUT, help="The file to write, CSV.")],
    format_: Annotated[
        Literal["meta", "google", "csv"],
        typer.Option("--format", help="As the platform wants addresses spelled before hashing."),
    ] = "csv",
    profiling: Annotated[
        bool, typer.Option("--profiling", help="Only who has consented to profiling as well.")
    ] = False,
    country: Annotated[
        str, typer.Option(help="Of telephone numbers without one, two letters.")
    ] = "IT",
    by: Annotated[str, typer.Option(help="Who asks for it; else the user of this machine.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Write who is in a segment and has consented to marketing, as SHA-256 hashes alone.

    Each of them is told of in the log: `ritorno explain`, `privacy export` and `privacy erase` name
    the file that they are in.
    """
    from agents.mail.suppression import AddressHashes  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.outbound.audience import (  # noqa: PLC0415  # as above
        AudienceExport,
        AudienceReport,
        export_audience,
    )
    from streams.runtime.factories import signing_keys  # noqa: PLC0415  # as above

    settings = settings_of(context)
    told = AudienceExport(uuid.uuid4().hex, SystemClock().now(), by or this_user())

    async def written() -> AudienceReport:
        async with open_log(settings) as log:
            with progress("reading customers") as bar:
                return await export_audience(
                    log,
                    out,
                    segment=segment,
                    format_=format_,
                    country=country,
                    hashes=AddressHashes(signing_keys(settings)),
                    export=told,
                    also=("profiling",) if profiling else (),
                    on_progress=bar.at,
                )

    try:
        report = run(written())
    except OSError as error:
        raise CommandFailed(f"{out}: {error.strerror or error}") from None
    if as_json:
        print_json({"file": str(out), "export": told.id, "by": told.by, **report._asdict()})
        return
    stdout().print(f"{report.written:>8,}  written to {out}, {report.with_phone:,} with a phone",
                   markup=False)  # fmt: skip
    for why, count in report.left_out.items():
        stdout().print(f"{count:>8,}  left out: {why.replace('_', ' ')}", markup=False)
    if report.unreadable:
        say(f"{report.unreadable} kept records could not be read and were passed over")


def list_exports(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the files that were written in the last thirty days, the oldest first."""
    from schemas.signals import AudienceExported  # noqa: PLC0415  # as above
    from streams.outbound.audience import exports  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    settings = settings_of(context)

    async def found() -> list[tuple[AudienceExported, int]]:
        async with open_log(settings) as log:
            with progress("reading signals") as bar:
                return await exports(log, on_progress=bar.at)

    known = run(found())
    if as_json:
        for each, people in known:
            said = each.model_dump(mode="json", include={"export", "segment", "format", "by"})
            print_json({**said, "time": to_rfc3339(each.time), "people": people})
        return
    if not known:
        stdout().print("No audience was written.")
        return
    columns = ("time", "segment", "format", "people", "by", "export")
    rows = (
        (to_rfc3339(each.time - each.time % 1000), each.segment, each.format, f"{people:,}",
         each.by, each.export)
        for each, people in known
    )  # fmt: skip
    stdout().print(listing(columns, rows))
