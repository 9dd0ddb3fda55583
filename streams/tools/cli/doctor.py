"""`ritorno doctor`: is everything there that a worker needs, and as it must be?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from streams.clock import SystemClock
from streams.operate.check import CheckStatus
from streams.operate.doctor import examine
from streams.runtime.factories import log_from
from streams.settings.sources import settings_file
from streams.tools.cli.console import (
    CommandFailed,
    JsonFlag,
    Options,
    print_json,
    progress,
    run,
    settings_of,
    stdout,
)

_STYLES = {CheckStatus.OK: "green", CheckStatus.WARN: "yellow", CheckStatus.FAIL: "red"}


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are failures.")] = False,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also compare all that is kept; reads each changelog."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check the broker, topics, workflows, clock, relay and disk, and say what to do.

    With --deep, all that is kept of customers and mails is read and compared with this machine's
    stores of it; stop its worker before, or those are left out.
    """
    settings = settings_of(context)
    clock = SystemClock()
    options = context.find_object(Options) or Options()
    file = settings_file(options.config)
    log = log_from(settings, clock)
    if deep:
        with progress("Comparing what is kept") as bar:
            checks = run(examine(settings, log, clock, file, deep=bar.at))
    else:
        checks = run(examine(settings, log, clock, file))
    out = stdout()
    for check in checks:
        if as_json:
            print_json({"check": check.name, "status": check.status.value,
                        "text": check.text, "remedy": check.remedy})  # fmt: skip
            continue
        out.print(
            Text(f"{check.status.value:5}", style=_STYLES[check.status]),
            Text(f"{check.name}: {check.text}"),
        )
        if check.remedy and check.status is not CheckStatus.OK:
            out.print(Text(f"      → {check.remedy}"))
    bad = [
        c
        for c in checks
        if c.status is CheckStatus.FAIL or (strict and c.status is CheckStatus.WARN)
    ]
    if bad:
        raise CommandFailed(f"not ready: {', '.join(check.name for check in bad)}")
