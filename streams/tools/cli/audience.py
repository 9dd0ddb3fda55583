"""`ritorno audience`: a segment as a file for an advertising platform, hashed and with consent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
)


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Segments for advertising platforms.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group with one command stays a group
    group.command("export")(export)
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
    as_json: JsonFlag = False,
) -> None:
    """Write who is in a segment and has consented to marketing, as SHA-256 hashes alone."""
    from agents.mail.suppression import AddressHashes  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.outbound.audience import AudienceReport, export_audience  # noqa: PLC0415  # as above
    from streams.runtime.factories import signing_keys  # noqa: PLC0415  # as above

    settings = settings_of(context)

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
                    also=("profiling",) if profiling else (),
                    on_progress=bar.at,
                )

    try:
        report = run(written())
    except OSError as error:
        raise CommandFailed(f"{out}: {error.strerror or error}") from None
    if as_json:
        print_json({"file": str(out), **report._asdict()})
        return
    stdout().print(f"{report.written:>8,}  written to {out}, {report.with_phone:,} with a phone",
                   markup=False)  # fmt: skip
    for why, count in report.left_out.items():
        stdout().print(f"{count:>8,}  left out: {why.replace('_', ' ')}", markup=False)
    if report.unreadable:
        say(f"{report.unreadable} kept records could not be read and were passed over")
